"""Every route on the real stack answers in the documented form, over HTTP and the websocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.person import answer_dialog, dialogs
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.workflows import UPSCALER, picture, upscaled, write_upscaler
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program
from comfyui_uiapi.tests.harness.programs.wire import GRAPH, NUMBER, SendRequest, fail, fits, succeed

# -- answers --------------------------------------------------------------------------------------------------------


async def test_every_graph_route_answers_in_the_documented_form(send_request: SendRequest) -> None:
    for command, (body, form) in GRAPH.items():
        await succeed(send_request, command, body, **form)


async def test_the_answers_are_what_the_page_shows(send_request: SendRequest, tab: Tab) -> None:
    await succeed(send_request, "load_workflow", {"workflow": picture(width=56)})
    opened = (await succeed(send_request, "get_workflow"))["response"]["workflow"]
    # As text: of JSON's own, an object that leaves the page otherwise also has what is undefined.
    shown = json.loads(await tab.page.evaluate("app.graphToPrompt().then(both => JSON.stringify(both))"))
    assert opened["output"] == shown["output"]
    assert _without_looks(opened["workflow"]) == _without_looks(shown["workflow"])
    assert (await succeed(send_request, "get_workflow_api"))["response"]["output"] == opened["output"]
    await succeed(send_request, "set_fields", {"field": ["Canvas.width", 72]})
    width = "app.rootGraph.nodes.find(node => node.title === 'Canvas').widgets[0].value"
    assert await tab.page.evaluate(width) == 72
    again = await succeed(send_request, "load_workflow", {"workflow": opened["workflow"]})
    assert again["format"] == "ui" and await tab.page.evaluate(width) == 56


def _without_looks(workflow: dict[str, Any]) -> dict[str, Any]:
    """A workflow without the part of the canvas in view and the nodes' sizes, which may still change by themselves."""
    nodes = [{key: value for key, value in node.items() if key != "size"} for node in workflow["nodes"]]
    return {**workflow, "nodes": nodes, "extra": {}}


async def test_the_status_answers_in_the_documented_form(send_request: SendRequest, program: Program, tab: Tab) -> None:
    overall = {
        "active_clients": 1,
        "main_webui_id": tab.webui,
        "active_downloads": int,
        "pending_downloads": int,
        "server_time": NUMBER,
        "server_uptime": NUMBER,
    }
    one = {"webui_connected": True, "client_id": tab.webui, "is_main": True}

    async def nothing_waits() -> bool:
        # The page may reload its lists of models after a download of an earlier test.
        return bool((await program.get(f"connection_status?client_id={tab.webui}"))[1]["pending_requests"] == 0)

    await until(nothing_waits, "no request under way", PATIENCE)
    status, envelope = await program.get("connection_status")
    fits({"http": status, **envelope}, {"http": 200, "status": "ok", **overall}, "connection_status")
    status, envelope = await program.get(f"connection_status?client_id={tab.webui}")
    fits({"http": status, **envelope}, {"http": 200, "status": "ok", **one}, "connection_status")
    status, envelope = await program.get("connection_status?client_id=4711")
    assert (status, envelope["webui_connected"], envelope["is_main"]) == (200, False, False)
    assert (await program.get("connection_status"))[1]["active_clients"] == 1


async def test_every_open_tab_is_listed_with_what_it_is(program: Program, tab: Tab, frontend: str) -> None:
    await program.ok("load_workflow", {"workflow": picture(), "name": "portrait"})

    async def named() -> dict[str, Any] | None:
        [listed] = (await program.get("webuis"))[1]["response"]
        return listed if listed["workflow_name"] == "portrait" else None

    listed = await until(named, "the workflow's name", PATIENCE)
    fits(
        listed,
        {"id": tab.webui, "browser": str, "frontend_version": frontend, "is_main": True, "since": NUMBER},
        "webuis",
    )
    assert "Chrom" in listed["browser"]


async def test_the_routes_of_the_second_transport_answer_in_the_documented_form(send_request: SendRequest) -> None:
    page = (await succeed(send_request, "webui_ready", {"client_id": "-1", "browserInfo": {}}, client_id=int))[
        "client_id"
    ]
    unknown = {"request_id": "none", "client_id": page, "response": {}}
    fits((await send_request("webui_response", unknown))[1], {"status": "ignored"}, "webui_response")
    await fail(send_request, "malformed", "webui_response", {"client_id": page, "response": {}})
    await fail(send_request, "malformed", "webui_response", {"request_id": "none", "response": {}})
    await succeed(send_request, "webui_disconnect", {"client_id": page})
    again = (await succeed(send_request, "webui_ready", {"client_id": str(page)}, client_id=page))["client_id"]
    await succeed(send_request, "client_disconnect", {"client_id": again})


@pytest.mark.parametrize(("button", "accepted"), [("Open in new tab", True), ("Deny", False)])
async def test_a_workflow_is_offered_to_the_person_who_accepts_or_declines(
    send_request: SendRequest, program: Program, tab: Tab, button: str, accepted: bool
) -> None:
    offer = {"workflow": picture(), "title": "A picture", "message": "Have a look?"}
    asked = program.spawn(send_request("send_workflow", offer))
    await answer_dialog(tab.page, "A picture", button=button)
    status, envelope = await asyncio.wait_for(asked, PATIENCE)
    assert status in (None, 200)
    fits(envelope, {"status": "ok", "accepted": accepted, "message": str}, "send_workflow")
    assert await tab.page.evaluate("app.rootGraph.nodes.length") == (2 if accepted else 0)


async def test_the_first_to_accept_an_offer_closes_it_in_every_other_tab(
    program: Program, tab: Tab, open_tab: Callable[..., Awaitable[Tab]]
) -> None:
    other = await open_tab(tab.comfy)
    offer = program.spawn(program.ok("send_workflow", {"workflow": picture(), "title": "For one of you"}))
    await tab.page.get_by_role("dialog", name="For one of you").wait_for()
    await answer_dialog(other.page, "For one of you", button="Open in new tab")
    answer = await asyncio.wait_for(offer, PATIENCE)
    assert (answer["accepted"], answer["webui"]) == (True, other.webui)

    async def closed() -> bool:
        return await dialogs(tab.page) == 0

    await until(closed, "the other tab's dialog to close", PATIENCE)
    counted = [await each.page.evaluate("app.rootGraph.nodes.length") for each in (tab, other)]
    assert counted == [0, 2]


# -- models ---------------------------------------------------------------------------------------------------------


async def test_the_person_is_asked_for_urls_which_are_saved(
    send_request: SendRequest, program: Program, tab: Tab
) -> None:
    url = "https://huggingface.co/some/repository/resolve/main/wanted.safetensors"
    asked = program.spawn(send_request("get_model_url", {"ckpt_name": "wanted.safetensors"}))
    await answer_dialog(tab.page, "wanted.safetensors", url)
    envelope = (await asyncio.wait_for(asked, PATIENCE))[1]
    fits(envelope, {"status": "ok", "url": url, "model_type": str}, "get_model_url")
    asked = program.spawn(send_request("get_model_url", {"ckpt_names": ["one.safetensors", "two.safetensors"]}))
    urls = {f"{name}.safetensors": url.replace("wanted", name) for name in ("one", "two")}
    await answer_dialog(tab.page, "these models", *urls.values())
    envelope = (await asyncio.wait_for(asked, PATIENCE))[1]
    fits(envelope, {"status": "ok", "urls": urls}, "get_model_url")
    saved = (await program.get("model_urls"))[1]["response"]["urls"]
    assert {"wanted.safetensors", *urls} <= saved.keys()
    asked = program.spawn(send_request("get_model_url", {"ckpt_name": "skipped.safetensors"}))
    await answer_dialog(tab.page, "skipped.safetensors", button="Close")
    assert (await asyncio.wait_for(asked, PATIENCE))[1]["code"] == "declined"


async def test_a_url_is_added_listed_and_removed(send_request: SendRequest, program: Program) -> None:
    url = "https://huggingface.co/some/repository/resolve/main/added.safetensors"
    given = {"model_name": "added.safetensors", "url": url, "model_type": "loras"}
    await succeed(send_request, "add_model_url", given, model_def={"url": url, "ckpt_type": "loras"})
    assert "added.safetensors" in (await program.get("model_urls"))[1]["response"]["urls"]
    await succeed(send_request, "remove_model_url", {"model_name": "added.safetensors"})
    assert "added.safetensors" not in (await program.get("model_urls"))[1]["response"]["urls"]
    await fail(send_request, "unknown_model", "remove_model_url", {"model_name": "added.safetensors"})


async def test_a_workflow_s_models_are_listed_planned_and_fetched(
    send_request: SendRequest, program: Program, tmp_path: Path
) -> None:
    models = program.comfy.base / "models" / "upscale_models"
    for file in models.glob("*.safetensors"):
        file.unlink()
    write_upscaler(tmp_path)
    source = {"local": str(tmp_path / "models" / "upscale_models" / UPSCALER), "ckpt_type": "upscale_models"}
    status, envelope = await program.get(f"model_status/{UPSCALER}")
    assert (status, envelope["status"], envelope["exists"]) == (200, "not_found", False)
    need = {"name": UPSCALER, "directory": "upscale_models", "exists": False, "node": {"id": str, "type": str}}
    await succeed(send_request, "load_workflow", {"workflow": upscaled(1)})
    await succeed(send_request, "analyze_workflow", response={"models": [need]})
    await succeed(send_request, "plan_downloads", {"download_table": {UPSCALER: source}}, response=dict)
    cleared = await succeed(
        send_request, "clear_nonexistant_models", cleared_count=1, cleared_fields=["Upscaler.model_name"]
    )
    assert cleared["message"]
    workflow = {"workflow": upscaled(1), "download_table": {UPSCALER: source}}
    begun = await succeed(send_request, "download_models", workflow, message=str, download_id=str)
    path = f"download_status/{begun['download_id']}"

    async def completed() -> dict[str, Any] | None:
        status, envelope = await program.get(path)
        assert status == 200
        return envelope if envelope["completed"] else None

    finished = await until(completed, "the download", PATIENCE)
    progress = {"status": "success", "path": str(models / UPSCALER), "bytes": int, "total": int, "model_number": "1/1"}
    fits(
        finished,
        {
            "status": "completed",
            "completed": True,
            "progress": {UPSCALER: progress},
            "total_models": 1,
            "current_model": object,
            "start_time": NUMBER,
            "elapsed_time": NUMBER,
        },
        "download_status",
    )
    listed = (await program.get("downloads"))[1]["response"]["downloads"]
    assert finished["download_id"] in [run["download_id"] for run in listed]
    status, envelope = await program.get(f"model_status/{UPSCALER}")
    fits({"http": status, **envelope}, {"http": 200, "exists": True, "path": str(models / UPSCALER)}, "model_status")
    one = {"model_name": f"again-{UPSCALER}", "model_def": source}
    fetched = await succeed_with(send_request, "success", "download_model", one)
    assert fetched["path"] == str(models / f"again-{UPSCALER}")
    assert (models / f"again-{UPSCALER}").read_bytes() == (models / UPSCALER).read_bytes()


async def succeed_with(send_request: SendRequest, status: str, command: str, body: Any) -> dict[str, Any]:
    """Send a request that must succeed with this status."""
    http, envelope = await send_request(command, body)
    assert (http in (None, 200), envelope["status"]) == (True, status), envelope
    return envelope


async def test_a_download_id_that_was_never_given_is_unknown(send_request: SendRequest, program: Program) -> None:
    status, envelope = await program.get("download_status/none")
    assert (status, envelope["code"]) == (404, "unknown_download")
    await fail(send_request, "unknown_download", "download_cancel", {"download_id": "none"})
