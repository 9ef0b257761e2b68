"""Tests of pages on ComfyUI's own websocket: they serve all graph routes, and their disconnection is noticed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from comfyui_uiapi.bridge.tabs import comfyui_transport, registry
from comfyui_uiapi.bridge.tabs import tab as manager

ANSWERS: dict[str, Any] = {
    "get_workflow": {"workflow": {"workflow": {"nodes": []}, "output": {}}},
    "get_workflow_api": {"output": {}},
    "get_fields": {"a.b": 1},
    "set_fields": {"a.b": {"requested": 1, "value": 1, "warnings": []}},
    "set_connection": {"link_id": 1},
    "execute": {"prompt_id": "p", "number": 1, "node_errors": {}},
    "query_fields": {"nodes": [{"id": 4, "type": "KSampler", "title": "k", "inputs": ["model"], "outputs": []}]},
    "load_workflow": {"status": "ok", "loaded": True, "message": "m"},
    "send_workflow": {"status": "ok", "accepted": True, "message": "m"},
}
BODIES: dict[str, Any] = {
    "get_fields": {"fields": ["a.b"]},
    "set_fields": {"fields": [["a.b", 1]]},
    "set_connection": {"field": ["a", "b"]},
    "load_workflow": {"workflow": {"nodes": []}},
    "send_workflow": {"workflow": {"nodes": []}},
}


@pytest.fixture(autouse=True)
def slow_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may open its socket at any time; a test may override it."""
    monkeypatch.setattr(comfyui_transport, "ARRIVAL", 3600.0)


class OldPage:
    """A page on ComfyUI's /ws that answers by POST."""

    def __init__(self, server: Any, sid: str, eventually: Any, answers: dict[str, Any] | None = None) -> None:
        self.server, self.sid, self.eventually = server, sid, eventually
        self.answers = ANSWERS if answers is None else answers
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.client_id = 0
        self.headers = {"User-Agent": "Browser"}

    async def open(self, wanted: Any = "-1") -> OldPage:
        self.ws = await self.server.session.ws_connect(
            self.server.url(f"/ws?clientId={self.sid}"), headers=self.headers
        )
        await self.eventually(lambda: self.sid in self.server.comfy.sockets)
        status, body = await self.server.post(
            "webui_ready", {"client_id": wanted, "browserInfo": {"browser": "Old"}}, headers=self.headers
        )
        assert status == 200 and body["status"] == "ok"
        self.client_id = body["client_id"]
        self.task = asyncio.create_task(self._read())
        return self

    async def close(self) -> None:
        self.task.cancel()
        await self.ws.close()

    async def _read(self) -> None:
        async for message in self.ws:
            frame = message.json()
            if not frame["type"].startswith("/uiapi/"):
                continue
            data = frame["data"]
            if data["client_id"] != self.client_id:
                continue
            command = frame["type"].removeprefix("/uiapi/")
            self.seen.append((command, data))
            if command in self.answers:
                ids = {"request_id": data["request_id"], "client_id": self.client_id}
                await self.server.post("webui_response", {**ids, "response": self.answers[command]})


@pytest.fixture
async def page(server: Any, eventually: Any) -> Any:
    page = await OldPage(server, "sid-1", eventually).open()
    yield page
    await page.close()


@pytest.mark.parametrize("command", [*ANSWERS])
async def test_a_page_on_the_second_transport_serves_every_graph_route(
    server: Any, page: OldPage, command: str
) -> None:
    status, body = await server.post(command, BODIES.get(command, {}))
    assert status == 200
    expected = ANSWERS[command]
    flat = command in ("load_workflow", "send_workflow")
    answer = {key: body[key] for key in expected} if flat else body["response"]
    assert answer == expected
    (seen, data), *_ = page.seen
    assert seen == command and isinstance(data["client_id"], int) and data["request_id"]


async def test_ids_are_assigned_on_request_kept_if_free_and_whole_numbers(server: Any, eventually: Any) -> None:
    pages = [
        await OldPage(server, f"sid-{number}", eventually).open(wanted)
        for number, wanted in enumerate(("-1", -1, 7, "9"))
    ]
    assert [page.client_id for page in pages] == [1, 2, 7, 9]
    status, body = await server.post("webui_ready", {"client_id": "seven"})
    assert (status, body["code"]) == (422, "invalid")
    for page in pages:
        await page.close()


@pytest.mark.parametrize("body", [{"client_id": 1, "response": {}}, {"request_id": "x", "response": {}}, {}])
async def test_an_answer_without_its_ids_is_a_400(server: Any, body: Any) -> None:
    status, envelope = await server.post("webui_response", body)
    assert (status, envelope["code"]) == (400, "malformed")


async def test_an_answer_to_no_pending_request_is_ignored(server: Any, page: OldPage) -> None:
    body = {"request_id": "gone", "client_id": page.client_id, "response": {}}
    status, envelope = await server.post("webui_response", body)
    assert (status, envelope["status"]) == (200, "ignored")


async def test_pending_requests_are_answered_when_the_pages_socket_closes(server: Any, eventually: Any) -> None:
    page = await OldPage(server, "sid-1", eventually, answers={}).open()
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a.b"]}))
    await eventually(lambda: page.seen)
    await page.close()
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["error"]) == (502, "Client disconnected")
    assert (await server.post("get_fields", {"fields": ["a.b"]}))[0] == 503


@pytest.mark.parametrize("route", ["client_disconnect", "webui_disconnect"])
async def test_a_page_can_say_goodbye_with_its_id_or_with_an_empty_body(
    server: Any, page: OldPage, route: str, eventually: Any
) -> None:
    assert (await server.post(route, {"client_id": page.client_id})) == (200, {"status": "ok"})
    assert (await server.post("query_fields"))[0] == 503
    again = await OldPage(server, "sid-2", eventually).open()
    async with server.session.post(server.url(f"/uiapi/{route}")) as response:
        assert response.status == 200
    assert (await server.post("query_fields"))[0] == 503
    assert (await server.post(route, {"client_id": 99})) == (200, {"status": "ok"})
    await again.close()


async def test_an_empty_goodbye_among_several_pages_closes_none_of_them(
    server: Any, page: OldPage, eventually: Any
) -> None:
    other = await OldPage(server, "sid-2", eventually).open()
    async with server.session.post(server.url("/uiapi/client_disconnect")) as response:
        assert response.status == 409
    assert (await server.get("connection_status"))[1]["active_clients"] == 2
    await other.close()


@pytest.mark.parametrize("route", ["client_disconnect", "webui_disconnect"])
async def test_a_goodbye_in_the_name_of_a_tab_on_our_own_websocket_ends_nothing(server: Any, route: str) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("query_fields"))
    request = await tab.next()
    status, body = await server.post(route, {"client_id": tab.client_id})
    assert (status, body["code"]) == (409, "conflict")
    await tab.respond(request["id"], {"nodes": []})
    assert (await asyncio.wait_for(asked, 60))[0] == 200


async def test_requests_do_not_go_to_the_sockets_of_tabs_on_our_own_websocket(server: Any, eventually: Any) -> None:
    await server.tab(sid="claimed")
    claimed = await server.session.ws_connect(server.url("/ws?clientId=claimed"))
    page = await OldPage(server, "sid-1", eventually).open()
    assert (await server.post("query_fields", {"webui": page.client_id}))[0] == 200
    with pytest.raises(asyncio.TimeoutError):
        await claimed.receive(timeout=0.05)
    await claimed.close()
    await page.close()


async def test_a_page_that_sends_webui_ready_again_keeps_its_id_and_requests(server: Any, eventually: Any) -> None:
    page = await OldPage(server, "sid-1", eventually, answers={}).open()
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a.b"]}))
    await eventually(lambda: page.seen)
    _status, body = await server.post("webui_ready", {"client_id": page.client_id})
    assert body["client_id"] == page.client_id
    answer = {"request_id": page.seen[0][1]["request_id"], "client_id": str(page.client_id), "response": {"a.b": 3}}
    assert (await server.post("webui_response", answer))[0] == 200
    assert (await asked)[1]["response"] == {"a.b": 3}
    await page.close()


async def test_an_error_of_a_page_is_a_502_with_its_message(server: Any, eventually: Any) -> None:
    page = await OldPage(server, "sid-1", eventually, {"query_fields": {"status": "error", "error": "no graph"}}).open()
    status, body = await server.post("query_fields")
    assert (status, body["code"], body["error"]) == (502, "tab_failed", "no graph")
    await page.close()


async def test_a_programs_socket_on_comfyui_does_not_keep_a_closed_page_alive(server: Any, eventually: Any) -> None:
    program = await server.session.ws_connect(server.url("/ws?clientId=program"), headers={"User-Agent": "Program"})
    page = await OldPage(server, "sid-1", eventually, answers={}).open()
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a.b"]}))
    await eventually(lambda: page.seen)
    await page.close()
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["error"]) == (502, "Client disconnected")
    with pytest.raises(asyncio.TimeoutError):
        await program.receive(timeout=0.05)
    await program.close()


async def test_a_duplicate_of_an_old_page_gets_an_id_of_its_own(server: Any, eventually: Any) -> None:
    page = await OldPage(server, "sid-1", eventually).open()
    duplicate = await OldPage(server, "sid-2", eventually).open(page.client_id)
    assert duplicate.client_id != page.client_id
    for webui in (page.client_id, duplicate.client_id):
        assert (await server.post("query_fields", {"webui": webui}))[0] == 200
    await duplicate.close()
    await page.close()


async def test_a_page_whose_websocket_opens_after_webui_ready_is_served(server: Any, eventually: Any) -> None:
    _status, body = await server.post("webui_ready", {"client_id": -1})
    asked = asyncio.create_task(server.post("query_fields", {"wait_for_webui": True, "timeout": 0.05}))
    assert (await asked)[1]["code"] == "timeout"
    page = await OldPage(server, "sid-1", eventually).open(body["client_id"])
    assert page.client_id == body["client_id"]
    assert (await server.post("query_fields"))[0] == 200
    await page.close()


async def test_repeated_webui_ready_does_not_exceed_the_limit_of_pages(
    server: Any, page: OldPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MAX_TABS", 3)
    answers = [await server.post("webui_ready", {}) for _ in range(4)]
    assert [status for status, _ in answers] == [200, 200, 429, 429] and answers[-1][1]["code"] == "too_many"
    status, body = await server.post("webui_ready", {"client_id": page.client_id}, headers=page.headers)
    assert (status, body["client_id"]) == (200, page.client_id)
    await server.post("webui_disconnect", {"client_id": answers[0][1]["client_id"]})
    assert (await server.post("webui_ready", {}))[0] == 200


async def test_only_shown_keys_of_a_pages_description_are_kept_and_shortened(server: Any) -> None:
    info = {"browser": "x" * 500_000, "platform": {"not": "a text"}, "frontend_version": "1.2", "more": "y" * 1000}
    await server.post("webui_ready", {"browserInfo": info})
    [webui] = (await server.get("webuis"))[1]["response"]
    assert (len(webui["browser"]), webui["platform"], webui["frontend_version"]) == (manager.MAX_INFO, None, "1.2")
    assert "more" not in server.bridge.webuis.find().info


async def test_a_page_that_never_opens_a_socket_is_not_taken_for_connected(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comfyui_transport, "ARRIVAL", 0.0)
    await server.post("webui_ready", {"client_id": -1})
    asked = server.post("query_fields")
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["error"]) == (502, "Client disconnected")
