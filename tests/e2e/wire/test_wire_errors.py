"""Errors on the real stack: every refusal is one sentence with its code, and the next command works."""

from __future__ import annotations

from comfyui_uiapi.tests.harness.browser.person import FrameWatch, dialogs
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.alone import Alone
from comfyui_uiapi.tests.harness.comfy.workflows import picture, throwing, twins, unconnected
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program
from comfyui_uiapi.tests.harness.programs.wire import GRAPH, SendRequest, fail, succeed

# -- errors ---------------------------------------------------------------------------------------------------------


async def test_an_unknown_path_is_answered_with_the_nearest_which_works(send_request: SendRequest) -> None:
    await succeed(send_request, "load_workflow", {"workflow": picture()})
    for command, body in (
        ("get_fields", {"fields": ["Canvas.widht"]}),
        ("set_fields", {"fields": [["Canvas.widht", 8]]}),
    ):
        nearest = (await fail(send_request, "unknown_path", command, body))["nearest"][0]
        assert nearest == "Canvas.width"
        assert (await succeed(send_request, "get_fields", {"fields": [nearest]}))["response"] == {nearest: 48}


async def test_an_ambiguous_path_is_answered_with_candidates_that_each_work(send_request: SendRequest) -> None:
    await succeed(send_request, "load_workflow", {"workflow": twins()})
    candidates = (await fail(send_request, "ambiguous_path", "get_fields", {"fields": ["Canvas.width"]}))["candidates"]
    await fail(send_request, "ambiguous_path", "set_fields", {"fields": [["Canvas.width", 8]]})
    values = (await succeed(send_request, "get_fields", {"fields": candidates}))["response"]
    assert sorted(values.values()) == [16, 64] and len(candidates) == 2
    wanted = {path: 100 + index for index, path in enumerate(candidates)}
    await succeed(send_request, "set_fields", {"fields": [*wanted.items()]})
    output = (await succeed(send_request, "get_workflow_api"))["response"]["output"]
    assert sorted(output[node]["inputs"]["width"] for node in ("1", "2")) == [100, 101]


async def test_a_write_in_which_one_field_fails_changes_nothing(send_request: SendRequest) -> None:
    await succeed(send_request, "load_workflow", {"workflow": picture()})
    await fail(send_request, "unknown_path", "set_fields", {"fields": [["Canvas.width", 8], ["Canvas.nothing", 8]]})
    assert (await succeed(send_request, "get_fields", {"fields": ["Canvas.width"]}))["response"] == {"Canvas.width": 48}


async def test_an_invalid_request_reaches_no_tab(send_request: SendRequest, tab: Tab) -> None:
    watch = await FrameWatch().on(tab.page)
    for command, body in (
        ("get_fields", {}),
        ("get_fields", {"fields": "Canvas.width"}),
        ("get_fields", {"fields": ["Canvas.width"], "feilds": []}),
        ("set_fields", {"fields": [["Canvas.width"]]}),
        ("set_fields", {"fields": {"Canvas.width": 8}}),
        ("set_connection", {"field": ["a"]}),
        ("load_workflow", {"workflow": []}),
        ("execute", {"batch_count": "many"}),
        ("run", {"outputs": "bytes"}),
        ("get_fields", {"fields": ["Canvas.width"], "webui": "main"}),
    ):
        await fail(send_request, "invalid", command, body)
    await fail(send_request, "unknown_command", "get_feilds")
    await fail(send_request, "unknown_webui", "get_workflow", {"webui": 4711})
    await succeed(send_request, "get_workflow_api")

    async def seen() -> list[str]:
        return watch.requests

    assert await until(seen, "the valid request", PATIENCE) == ["get_workflow_api"]


async def test_a_workflow_that_comfyui_refuses_is_reported_by_node_type_and_message(
    send_request: SendRequest, tab: Tab
) -> None:
    await succeed(send_request, "load_workflow", {"workflow": unconnected()})
    for command in ("execute", "run"):
        details = await fail(send_request, "execution_failed", command)
        refused = details["node_errors"]["1"]
        assert refused["class_type"] == "SaveImage"
        assert refused["errors"][0]["message"] == "Required input is missing"

    async def no_dialog() -> bool:
        # The page's own may still be fading out.
        return await dialogs(tab.page) == 0

    await until(no_dialog, "the page without a dialog", PATIENCE)


async def test_a_node_that_raises_is_reported_by_node_type_and_message(send_request: SendRequest, tab: Tab) -> None:
    await succeed(send_request, "load_workflow", {"workflow": throwing()})
    for command, body in (("execute", {"wait": True}), ("run", {})):
        details = await fail(send_request, "execution_failed", command, body)
        assert (details["node"], details["type"], details["title"]) == ("1", "RegexReplace", "Pattern")
        assert "unterminated subpattern" in details["message"]


async def test_a_page_that_throws_is_reported_and_stays_connected(send_request: SendRequest, tab: Tab) -> None:
    await tab.page.evaluate(
        """() => {
            window.exporter = app.graphToPrompt
            app.graphToPrompt = () => { throw new Error('the page broke') }
        }"""
    )
    status, envelope = await send_request("get_workflow")
    await tab.page.evaluate("() => { app.graphToPrompt = window.exporter }")
    assert (status in (None, 502), envelope["code"]) == (True, "tab_failed")
    assert "the page broke" in envelope["error"]
    await succeed(send_request, "get_workflow")


async def test_a_page_that_is_busy_is_a_timeout_and_serves_again_afterwards(
    send_request: SendRequest, tab: Tab
) -> None:
    async with tab.busy():
        details = await fail(send_request, "timeout", "get_workflow_api", {"timeout": 0.2})
    assert details["delivered"] is True
    await succeed(send_request, "get_workflow_api")


async def test_without_a_tab_every_graph_route_is_answered_no_webui(alone: Alone) -> None:
    person = {"send_workflow": {"workflow": picture()}, "get_model_url": {"ckpt_name": "x.safetensors"}}
    bodies = {command: body for command, (body, _) in GRAPH.items()}
    async with Program(alone.comfy) as program:
        socket = await program.socket()
        for command, body in {**bodies, **person}.items():
            await fail(program.post, "no_webui", command, body)
            assert (await socket.request(command, body))["code"] == "no_webui"
