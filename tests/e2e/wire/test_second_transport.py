"""Pages that use only the second transport, in a real browser: ComfyUI's /ws for requests, POST for responses.

Twice: a bare page with scripted answers, and the real frontend with this extension's commands behind a
loop for that transport, so that real graphs are served.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import Chromium, Tab
from comfyui_uiapi.tests.harness.comfy.process import PACKAGE_NAME, ComfyProcess
from comfyui_uiapi.tests.harness.comfy.workflows import BLUE, RED, is_all, picture, twins
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program
from comfyui_uiapi.tests.tools import build

# The bare page has nothing of a frontend.
ONE_FRONTEND = pytest.mark.parametrize("frontend", [build.FRONTENDS[-1]], indirect=True, scope="session")
# The whole of such a page. It answers from window.answers; what is not there stays unanswered.
BARE_PAGE = """async () => {
    window.seen = []
    const post = (route, body) => fetch('/uiapi/' + route, {
        method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body),
    }).then(response => response.json())
    window.socket = new WebSocket(`ws://${location.host}/ws?clientId=bare`)
    await new Promise(resolve => { socket.onopen = resolve })
    const {client_id} = await post('webui_ready', {client_id: '-1', browserInfo: {browser: 'bare'}})
    socket.onmessage = async ({data}) => {
        if (typeof data !== 'string') return
        const frame = JSON.parse(data)
        if (!frame.type.startsWith('/uiapi/') || frame.data.client_id !== client_id) return
        const command = frame.type.slice('/uiapi/'.length)
        window.seen.push(command)
        const response = window.answers[command]
        if (response !== undefined)
            await post('webui_response', {request_id: frame.data.request_id, client_id, response})
    }
    window.leave = () => post('client_disconnect', {client_id})
    return client_id
}"""

# What the bare page answers, by command: a request that leads to it, and the answer.
CANNED: dict[str, tuple[dict[str, Any], Any]] = {
    "get_workflow": ({}, {"workflow": {"workflow": {"nodes": []}, "output": {}}}),
    "get_workflow_api": ({}, {"output": {}}),
    "get_fields": ({"fields": ["a.b"]}, {"a.b": 1}),
    "set_fields": ({"fields": [["a.b", 1]]}, {"a.b": {"requested": 1, "value": 1, "warnings": []}}),
    "set_connection": ({"field": ["a", "b"]}, {"link_id": 1}),
    "execute": ({}, {"prompt_id": "p", "number": 1, "node_errors": {}}),
    "query_fields": ({}, {"nodes": [{"id": 4, "type": "t", "title": "t", "inputs": [], "outputs": []}]}),
    "load_workflow": ({"workflow": {"nodes": []}}, {"loaded": True, "message": "loaded"}),
    "send_workflow": ({"workflow": {"nodes": []}}, {"accepted": True, "message": "accepted"}),
    "get_model_url": ({"ckpt_name": "x.safetensors"}, {"url": "https://huggingface.co/a/b/resolve/main/x.safetensors"}),
}

# In place of the extension's own transport.js: the same door to its commands, reached over the second transport.
SECOND_TRANSPORT = """
import { api } from '../../../scripts/api.js'
import { commands } from '../commands.js'

export function createTransport({handle, info}) {
    const post = (route, body) => fetch('/uiapi/' + route, {
        method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body),
    }).then(response => response.json())
    function start() {
        const ready = post('webui_ready', {client_id: -1, browserInfo: info()})
        // Listening from the first moment on: what comes before the page knows its id waits for that.
        for (const command of Object.keys(commands))
            api.addEventListener('/uiapi/' + command, async ({detail}) => {
                if (detail.client_id === (await ready).client_id) await answer(command, detail)
            })
    }
    async function answer(command, {request_id, client_id, ...data}) {
        const signal = new AbortController().signal
        const call = {id: request_id, signal, answered: Promise.resolve(), submitting: () => undefined}
        let response
        try {
            response = await handle(command, data, call)
        } catch ({message, code, details}) {
            response = {status: 'error', error: message, code, details}
        }
        await post('webui_response', {request_id, client_id, response})
    }
    // Whatever else the extension does with a transport is beyond this one.
    return new Proxy({start}, {get: (own, name) => own[name] ?? (() => undefined)})
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def empty_page(kept_tab: list[Tab], browser: Chromium, comfy: ComfyProcess) -> AsyncIterator[Tab]:
    """An empty page; no other page of ComfyUI is connected."""
    while kept_tab:
        other = kept_tab.pop()
        await other.close()
        await other.wait_gone()
    tab = Tab(await browser.new_page(), comfy)
    yield tab
    await tab.close()
    await tab.wait_gone()
    assert tab.errors == []


@pytest_asyncio.fixture(loop_scope="session")
async def program(comfy: ComfyProcess) -> AsyncIterator[Program]:
    """A program."""
    async with Program(comfy) as asking:
        yield asking


async def open_bare_page(tab: Tab) -> int:
    """Turn the empty page into the bare page and return its id."""
    await tab.page.goto(f"{tab.comfy.url}/system_stats")
    await tab.page.evaluate(
        "answers => { window.answers = answers }", {name: answer for name, (_, answer) in CANNED.items()}
    )
    tab.webui = await tab.page.evaluate(BARE_PAGE)
    assert tab.webui is not None
    return tab.webui


@ONE_FRONTEND
async def test_a_bare_page_on_the_second_transport_serves_every_graph_route(program: Program, empty_page: Tab) -> None:
    webui = await open_bare_page(empty_page)
    [listed] = (await program.get("webuis"))[1]["response"]
    assert (listed["id"], listed["browser"], listed["transport"]) == (webui, "bare", "events")
    for command, (body, expected) in CANNED.items():
        status, envelope = await program.post(command, body)
        assert (status, envelope["status"]) == (200, "ok"), envelope
        answer = envelope.get("response", envelope)
        assert {key: answer[key] for key in expected} == expected
    status, envelope = await program.post("clear_nonexistant_models")
    assert (status, envelope["cleared_count"]) == (200, 0)
    # The last one needs the open graph to know that there is nothing to clear.
    assert await empty_page.page.evaluate("window.seen") == [*CANNED, "get_workflow"]
    socket = await program.socket()
    assert (await socket.request("get_fields", {"fields": ["a.b"]}))["response"] == {"a.b": 1}


@ONE_FRONTEND
async def test_when_a_bare_page_says_goodbye_its_requests_are_answered_at_once(
    program: Program, empty_page: Tab
) -> None:
    await open_bare_page(empty_page)
    await empty_page.page.evaluate("window.answers = {}")
    asked = program.spawn(program.post("get_fields", {"fields": ["a.b"]}))
    await empty_page.page.wait_for_function("window.seen.length === 1")
    assert (await empty_page.page.evaluate("window.leave()"))["status"] == "ok"
    status, envelope = await asyncio.wait_for(asked, PATIENCE)
    assert (status, envelope["error"]) == (502, "Client disconnected")
    assert (await program.post("get_fields", {"fields": ["a.b"]}))[0] == 503


@ONE_FRONTEND
async def test_when_a_bare_page_is_closed_its_requests_are_answered_long_before_they_time_out(
    program: Program, empty_page: Tab
) -> None:
    await open_bare_page(empty_page)
    await empty_page.page.evaluate("window.answers = {}")
    asked = program.spawn(program.post("get_fields", {"fields": ["a.b"], "timeout": 10 * PATIENCE}))
    await empty_page.page.wait_for_function("window.seen.length === 1")
    # Closed for good: a page that a person merely leaves may be kept by the browser, its sockets open.
    await empty_page.page.close()
    status, envelope = await asyncio.wait_for(asked, PATIENCE)
    assert (status, envelope["error"]) == (502, "Client disconnected")
    assert (await program.post("get_fields", {"fields": ["a.b"]}))[0] == 503


async def test_real_graphs_are_served_over_the_second_transport(program: Program, empty_page: Tab) -> None:
    transport = f"**/extensions/{PACKAGE_NAME}/connection/transport.js"
    script = "text/javascript"
    await empty_page.page.route(transport, lambda route: route.fulfill(body=SECOND_TRANSPORT, content_type=script))
    await empty_page.load()
    [listed] = (await program.get("webuis"))[1]["response"]
    assert (listed["id"], listed["transport"]) == (empty_page.webui, "events")
    assert (await program.ok("load_workflow", {"workflow": picture()}))["loaded"] is True
    assert await program.ok("get_fields", {"fields": ["Canvas.width"]}) == {"Canvas.width": 48}
    written = await program.ok("set_fields", {"fields": [["Canvas.width", 24], ["Canvas.color", BLUE]]})
    assert {path: field["value"] for path, field in written.items()} == {"Canvas.width": 24, "Canvas.color": BLUE}
    link = await program.ok("set_connection", {"field": ["Canvas.outputs[0]", "Result.inputs[0]"]})
    assert link["type"] == "IMAGE"
    assert [node["title"] for node in (await program.ok("query_fields"))["nodes"]] == ["Canvas", "Result"]
    opened = (await program.ok("get_workflow"))["workflow"]
    assert opened["output"] == (await program.ok("get_workflow_api"))["output"]
    assert opened["output"]["1"]["inputs"]["width"] == 24
    assert (await program.ok("execute"))["prompt_id"]
    [output] = (await program.ok("run"))["outputs"]
    assert is_all(await program.file(output["url"]), BLUE)
    # This page does not say that it sets fields with a run, so they are set before.
    [output] = (await program.ok("run", {"fields": [["Canvas.color", RED]]}))["outputs"]
    assert is_all(await program.file(output["url"]), RED)
    status, envelope = await program.post("get_fields", {"fields": ["Canvas.widht"]})
    assert (status, envelope["code"], envelope["details"]["nearest"][0]) == (404, "unknown_path", "Canvas.width")
    await program.ok("load_workflow", {"workflow": twins()})
    status, envelope = await program.post("get_fields", {"fields": ["Canvas.width"]})
    assert (status, envelope["code"], len(envelope["details"]["candidates"])) == (409, "ambiguous_path", 2)
    assert (await program.ok("clear_nonexistant_models"))["cleared_count"] == 0
    offered = program.spawn(program.ok("send_workflow", {"workflow": picture(), "title": "An offer"}))
    dialog = empty_page.page.get_by_role("dialog", name="An offer")
    await dialog.get_by_role("button", name="Open in new tab").click()
    assert (await asyncio.wait_for(offered, PATIENCE))["accepted"] is True
    await program.ok("client_disconnect", {"client_id": empty_page.webui})
    assert (await program.post("query_fields"))[0] == 503
