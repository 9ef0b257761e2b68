"""Tests without a tab: stale reads, runs of a given workflow or a snapshot, and late answers."""

from __future__ import annotations

import asyncio
import base64
import json
from time import thread_time
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.tabs.graph_snapshot import Fields, Snapshot
from comfyui_uiapi.bridge.tabs.late_answers import KEEP, MAX_REQUESTS, LateAnswers
from comfyui_uiapi.common.errors import UiapiError

OUTPUT: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "color": 0}, "_meta": {"title": "Canvas"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
NODES = [
    {"id": "1", "type": "EmptyImage", "title": "Canvas", "path": "Canvas", "widgets": [{"name": "width", "value": 64}]},
    {"id": "2", "type": "SaveImage", "title": "Save", "widgets": [{"name": "filename_prefix", "value": "a"}]},
    {"id": "3", "type": "EmptyImage", "title": "Muted", "widgets": [{"name": "width", "value": 8}]},
]
SNAPSHOT = {"workflow": {"nodes": []}, "output": OUTPUT, "nodes": NODES, "workflow_name": "w", "revision": "r"}
STALE = {"allow_stale": True}


def as_texts(data: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot as the page sends it, with its parts as JSON text."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in data.items()}


@pytest.fixture(params=[as_texts, dict], ids=["texts", "decoded"])
async def remembered(server: Any, eventually: Any, request: pytest.FixtureRequest) -> None:
    """A main tab that has sent its graph, as the page does or as earlier ones did, and closed."""
    tab = await server.tab()
    await tab.ws.send_json({"type": "event", "event": "snapshot", "data": request.param(SNAPSHOT)})
    await eventually(lambda: server.bridge.webuis.find().snapshot)
    await tab.close()
    await eventually(lambda: not server.bridge.webuis.connected())


@pytest.fixture
async def queued(server: Any) -> Any:
    """ComfyUI's /prompt, which records the requests."""
    seen: list[Any] = []

    async def prompt(request: web.Request) -> web.Response:
        body = await request.json()
        if "broken" in body["prompt"]:
            return web.Response(status=500, text="500 Internal Server Error")
        seen.append(body["prompt"])
        if "bad" in body["prompt"]:
            return web.json_response({"error": {"message": "no"}, "node_errors": {"bad": {}}}, status=400)
        return web.json_response({"prompt_id": f"p{len(seen)}", "number": len(seen), "node_errors": {}})

    app = web.Application()
    app.add_routes([web.post("/prompt", prompt)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.comfy.address, server.comfy.port = runner.addresses[0][:2]
    server.comfy.client_session = aiohttp.ClientSession()
    yield seen
    await server.comfy.client_session.close()
    await runner.cleanup()


@pytest.mark.usefixtures("remembered")
async def test_a_read_without_a_tab_is_refused_unless_staleness_is_allowed(server: Any) -> None:
    assert (await server.post("get_fields", {"fields": ["Canvas.width"]}))[0] == 503
    status, body = await server.post("get_fields", {"fields": ["canvas.WIDTH", "#2.filename_prefix"], **STALE})
    assert (status, body["response"]) == (200, {"canvas.WIDTH": 64, "#2.filename_prefix": "a"})
    assert body["stale"] is True and body["snapshot_time"] > 0
    assert (await server.post("get_workflow_api", STALE))[1]["response"] == {"output": OUTPUT}
    assert (await server.post("query_fields", STALE))[1]["response"] == {"nodes": NODES, "total": 3}
    assert (await server.post("get_workflow", STALE))[1]["response"]["workflow"]["output"] == OUTPUT


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize(
    ("asked", "ids", "more"),
    [
        ({"types": ["emptyimage"]}, ["1", "3"], {"total": 2}),
        ({"titles": ["MUTED", "Save"]}, ["2", "3"], {"total": 2}),
        ({"limit": 2}, ["1", "2"], {"total": 3, "next_offset": 2}),
        ({"offset": 1, "limit": 2}, ["2", "3"], {"total": 3}),
        ({"types": ["EmptyImage"], "limit": 1, "allow_stale": True}, ["1"], {"total": 2, "next_offset": 1}),
        ({"depth": 0}, ["1", "2", "3"], {"total": 3}),
    ],
)
async def test_a_stale_reading_in_pieces_answers_the_pieces(
    server: Any, asked: dict[str, Any], ids: list[str], more: dict[str, Any]
) -> None:
    status, body = await server.post("query_fields", {**asked, **STALE})
    answer = body["response"]
    assert (status, [node["id"] for node in answer.pop("nodes")], answer) == (200, ids, more)


@pytest.mark.usefixtures("remembered")
async def test_a_stale_read_returns_the_wanted_keys_of_each_node(server: Any) -> None:
    _status, body = await server.post("query_fields", {"want": ["path"], "limit": 1, **STALE})
    [node] = body["response"]["nodes"]
    assert (node["path"], node["title"]) == ("Canvas", "Canvas") and "widgets" not in node


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("asked", [{"near": "Canvas"}, {"distance": 2}, {"want": ["links"]}, {"want": ["pos"]}])
async def test_a_stale_read_that_needs_a_tab_is_refused(server: Any, asked: dict[str, Any]) -> None:
    status, body = await server.post("query_fields", {**asked, **STALE})
    assert (status, body["code"]) == (422, "invalid") and next(iter(asked)) in body["error"]


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("meant", [{"webui": 7}, {"workflow_tab": "another"}])
async def test_a_request_for_one_tab_is_not_answered_from_anothers_snapshot(
    server: Any, queued: Any, meant: dict[str, Any]
) -> None:
    for command, body in (("get_fields", {"fields": ["Canvas.width"]}), ("query_fields", {}), ("run", {"wait": False})):
        status, answer = await server.post(command, {**body, **meant, **STALE})
        assert (status, answer["code"]) == (503, "no_webui")
    assert queued == []


@pytest.mark.parametrize("change", [{"nodes": [1]}, {"nodes": [{"title": "no id"}]}, {"output": []}])
def test_an_invalid_snapshot_is_ignored(change: dict[str, Any]) -> None:
    assert Snapshot.of({**SNAPSHOT, **change}) is None


@pytest.mark.parametrize(
    ("part", "text"), [("nodes", "[1]"), ("nodes", '[{"title":"no id"}]'), ("output", "[]"), ("workflow", "{")]
)
async def test_a_snapshot_that_is_invalid_text_is_an_error_of_the_tab(
    server: Any, eventually: Any, part: str, text: str
) -> None:
    tab = await server.tab()
    data = {**as_texts(SNAPSHOT), part: text}
    await tab.ws.send_json({"type": "event", "event": "snapshot", "data": data})
    await eventually(lambda: server.bridge.webuis.find().snapshot)
    await tab.close()
    await eventually(lambda: not server.bridge.webuis.connected())
    command = {"nodes": "query_fields", "output": "get_workflow_api", "workflow": "get_workflow"}[part]
    status, answer = await server.post(command, STALE)
    assert (status, answer["code"]) == (502, "tab_failed") and "open ComfyUI in a browser" in answer["error"]


def test_many_paths_of_a_large_snapshot_are_looked_up_in_a_moment() -> None:
    widgets = [{"name": f"w{number}", "value": number} for number in range(8)]
    nodes = [{"id": str(n), "type": "T", "title": f"N{n}", "path": f"N{n}", "widgets": widgets} for n in range(300)]
    paths = [form.format(n=n % 300, w=n % 8) for n in range(2500) for form in ("n{n}.w{w}", "T[{n}].w{w}", "#{n}.W{w}")]
    began = thread_time()
    values = Snapshot({}, {}, nodes, None, 0.0).answer("get_fields", {"fields": paths})
    assert len(values) == len({*paths}) and values["n299.w3"] == 3
    # Searching all nodes for each path would take five seconds or more.
    assert thread_time() - began < 1


@pytest.mark.usefixtures("remembered")
async def test_a_write_without_a_tab_is_a_503_whatever_is_allowed(server: Any) -> None:
    status, body = await server.post("set_fields", {"fields": [["Canvas.width", 1]], **STALE})
    assert (status, body["code"]) == (503, "no_webui")


@pytest.mark.usefixtures("remembered")
async def test_an_open_tab_is_read_itself_even_where_staleness_is_allowed(server: Any) -> None:
    (await server.tab()).on("get_fields", {"Canvas.width": 5})
    _status, body = await server.post("get_fields", {"fields": ["Canvas.width"], **STALE})
    assert body["response"] == {"Canvas.width": 5} and "stale" not in body


@pytest.mark.usefixtures("remembered")
async def test_the_remembered_graph_runs_with_fields_set_when_staleness_is_allowed(server: Any, queued: Any) -> None:
    body = {"fields": [["Canvas.width", 32]], "wait": False}
    assert (await server.post("run", body))[0] == 503
    status, envelope = await server.post("run", {**body, **STALE})
    assert (status, envelope["stale"], envelope["response"]["prompt_id"]) == (200, True, "p1")
    assert queued[0]["1"]["inputs"]["width"] == 32 and OUTPUT["1"]["inputs"]["width"] == 64
    status, envelope = await server.post("run", {"fields": [["Muted.width", 1]], **STALE})
    assert (status, envelope["code"]) == (404, "unknown_path") and len(queued) == 1


async def test_an_api_workflow_runs_without_any_tab_and_its_results_are_awaited(
    server: Any, queued: Any, eventually: Any
) -> None:
    asked = asyncio.create_task(server.post("run", {"workflow": OUTPUT, "fields": [["EmptyImage.width", 16]]}))
    server.comfy.prompt_queue.waiting.append((1, "p1", OUTPUT, {}, []))
    await eventually(lambda: server.bridge.runs._runs.get("p1"))
    images = [{"filename": "a.png", "subfolder": "", "type": "output"}]
    entry = {"prompt": (1, "p1", OUTPUT), "outputs": {"2": {"images": images}}, "status": {"status_str": "success"}}
    server.comfy.prompt_queue.history["p1"] = entry
    server.comfy.send_sync("status", {})
    status, body = await asyncio.wait_for(asked, 60)
    assert status == 200 and [file["filename"] for file in body["response"]["outputs"]] == ["a.png"]
    assert queued[0]["1"]["inputs"]["width"] == 16


async def test_a_ui_workflow_needs_a_tab(server: Any, queued: Any) -> None:
    status, body = await server.post("run", {"workflow": {"nodes": []}})
    assert (status, body["code"]) == (503, "no_webui") and queued == []


async def test_a_prompt_that_comfyui_refuses_without_a_tab_is_an_execution_failure(server: Any, queued: Any) -> None:
    workflow = {"bad": {"class_type": "Nope", "inputs": {}}}
    status, body = await server.post("run", {"workflow": workflow})
    assert (status, body["code"], body["details"]["node_errors"]) == (422, "execution_failed", {"bad": {}})


@pytest.mark.parametrize("odd", [{"_meta": "x"}, {"_meta": {"title": 3}}, {"_meta": None}])
async def test_a_workflow_with_odd_notes_on_its_nodes_runs_as_comfyui_runs_it(
    server: Any, queued: Any, odd: dict[str, Any]
) -> None:
    workflow = {"1": {**OUTPUT["1"], **odd}, "2": {"class_type": [], "inputs": "none"}}
    body = {"workflow": workflow, "fields": [["EmptyImage.width", 2]], "wait": False}
    assert (await server.post("run", body))[0] == 200
    assert queued[0]["1"]["inputs"]["width"] == 2


async def test_a_workflow_that_comfyui_fails_over_is_an_execution_failure(server: Any, queued: Any) -> None:
    status, body = await server.post("run", {"workflow": {"broken": {"class_type": [], "inputs": {}}}})
    assert (status, body["code"]) == (422, "execution_failed") and "500" in body["details"]["reason"]


@pytest.mark.parametrize(
    ("path", "code"),
    [("width", "unknown_path"), ("EmptyImage.width", "ambiguous_path"), ("Canvas.height", "unknown_path")],
)
def test_paths_of_a_snapshot_are_never_guessed(path: str, code: str) -> None:
    with pytest.raises(UiapiError) as caught:
        Fields(NODES).find(path)
    assert caught.value.code == code
    for candidate in caught.value.details.get("candidates", []) + caught.value.details.get("nearest", []):
        assert Fields(NODES).find(candidate)


def test_of_several_nodes_of_one_name_a_number_picks_one() -> None:
    assert Fields(NODES).find("EmptyImage[1].width")[0]["id"] == "3"


async def test_an_answer_after_its_timeout_can_be_fetched_by_the_requests_id(server: Any) -> None:
    tab = await server.tab()
    status, body = await server.post("get_fields", {"fields": ["a"], "timeout": 0.05})
    request_id = body["details"]["request_id"]
    status, late = await server.post("late_result", {"request_id": request_id})
    assert late["response"] == {"answered": False, "answer": None}
    await tab.respond(request_id, {"a": 1})
    await tab.respond(request_id, {"a": 2})
    tab.on("get_fields", {"a": 3})
    await server.post("get_fields", {"fields": ["a"]})
    status, late = await server.post("late_result", {"request_id": request_id})
    assert late["response"] == {"answered": True, "answer": {"status": "ok", "response": {"a": 1}}}
    status, body = await server.post("late_result", {"request_id": "another"})
    assert (status, body["code"]) == (404, "unknown_request")


def test_late_answers_are_bounded_in_number_and_time() -> None:
    now = [0.0]
    late = LateAnswers(lambda: now[0])
    for number in range(MAX_REQUESTS + 1):
        late.expect(str(number))
    with pytest.raises(KeyError):
        late.find("0")
    late.offer("never expected", {})
    with pytest.raises(KeyError):
        late.find("never expected")
    assert late.find("1") is None
    now[0] = KEEP
    with pytest.raises(KeyError):
        late.find("1")


def test_late_answers_take_no_more_memory_than_they_may_and_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfyui_uiapi.bridge.tabs.late_answers.MAX_BYTES", 1000)
    late = LateAnswers()
    for name in ("waits", "first", "second", "third"):
        late.expect(name)
    for name in ("first", "second", "third"):
        late.offer(name, {"response": name.ljust(400)})
    with pytest.raises(KeyError):
        late.find("first")
    assert late.find("second") == {"response": "second".ljust(400)}
    assert late.find("third") == {"response": "third".ljust(400)} and late.find("waits") is None


@pytest.mark.parametrize("field", ["image", "text"])
async def test_without_a_tab_a_text_that_is_a_picture_is_one_where_the_node_takes_pictures(
    server: Any, queued: Any, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    class Node:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"image": (["a.png"], {"image_upload": True}), "text": ("STRING", {})}}

    monkeypatch.setattr(Comfy, "node_classes", {"Load": Node})
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(300)).decode()
    workflow = {"1": {"class_type": "Load", "inputs": {"image": "a.png", "text": ""}}}
    asked = {"workflow": workflow, "fields": [[f"#1.{field}", picture]], "wait": False}
    assert (await server.post("run", asked))[0] == 200
    written = queued[0]["1"]["inputs"][field]
    assert written.startswith("INPUT_1_") if field == "image" else written == picture
