"""Tests of the registry of tabs: limits, the main tab, and requests while tabs connect and disconnect."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from comfyui_uiapi.bridge.tabs import registry
from comfyui_uiapi.bridge.tabs.registry import MAX_ID, MAX_TABS, Webuis
from comfyui_uiapi.bridge.tabs.tab import MAX_INFO, MAX_PENDING, PendingRequest, WebuiManager, page_info
from comfyui_uiapi.common.errors import UiapiError

from ...harness.fakes.socketless_page import Page


def code_of(work: Any) -> str:
    with pytest.raises(UiapiError) as caught:
        work()
    return caught.value.code


def connected(webuis: Webuis, client_id: int | None = None) -> tuple[WebuiManager, Page]:
    page = Page()
    manager = webuis.admit(client_id, None)
    webuis.connect(manager, page)
    return manager, page


async def settle() -> None:
    """Let every task go as far as it can without an answer."""
    for _ in range(10):
        await asyncio.sleep(0)


def asking(manager: WebuiManager, number: int) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(manager.request("get_fields", {}, 60)) for _ in range(number)]


@pytest.mark.parametrize("buffered", [False, True])
async def test_a_tab_has_4096_requests_to_answer_and_no_more(buffered: bool) -> None:
    webuis = Webuis()
    manager, page = (webuis.lobby, Page()) if buffered else connected(webuis)
    tasks = asking(manager, MAX_PENDING)
    await asyncio.sleep(0)
    assert MAX_PENDING == manager.pending_count == 4096
    with pytest.raises(UiapiError, match="4096 requests") as caught:
        await manager.request("get_fields", {}, 60)
    assert caught.value.status == 429
    # A request that has ended makes room for another.
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    assert page.cancelled == [request.request_id for request in page.requests[:1]]
    last = asking(manager, 1)
    await asyncio.sleep(0)
    assert manager.pending_count == MAX_PENDING
    for task in (*tasks, *last):
        task.cancel()
    await asyncio.gather(*tasks, *last, return_exceptions=True)
    assert manager.pending_count == 0


async def test_as_many_tabs_as_there_may_be_and_pages_that_cannot_be_served_count() -> None:
    webuis = Webuis()
    with webuis.unserved({"frontend_version": "1.0"}, "It is too old."):
        assert code_of(lambda: webuis.find()) == "no_webui"
        for _ in range(MAX_TABS - 1):
            connected(webuis)
        assert code_of(lambda: webuis.admit(None, None)) == "too_many"
    connected(webuis)
    assert code_of(webuis.check_room) == "too_many"
    assert MAX_TABS == 64


async def test_a_page_may_name_any_id_within_bounds_and_gets_the_next_one_otherwise() -> None:
    webuis = Webuis()
    ids = [webuis.admit(wanted, None).client_id for wanted in (None, MAX_ID, 1, 5)]
    assert ids == [1, MAX_ID, MAX_ID + 1, 5] and MAX_ID == 1_000_000_000
    webuis = Webuis()
    assert [webuis.admit(wanted, None).client_id for wanted in (0, -1, MAX_ID + 1, 7, None)] == [1, 2, 3, 7, 8]


async def test_the_tab_that_comes_back_is_itself_and_the_one_that_guesses_is_another() -> None:
    webuis = Webuis()
    manager, _ = connected(webuis)
    assert webuis.admit(manager.client_id, manager.session) is manager
    for session in (None, "", "guessed", "ä"):
        assert webuis.admit(manager.client_id, session) is not manager


async def test_the_first_tab_is_the_main_one_and_the_next_when_it_goes() -> None:
    events: list[tuple[str, Any]] = []
    webuis = Webuis(lambda event, data: events.append((event, data)))
    (first, _), (second, _), (third, _) = (connected(webuis) for _ in range(3))
    assert webuis.find() is first
    assert [data["is_main"] for _, data in events] == [True, False, False]
    webuis.make_main(third.client_id)
    assert webuis.find() is third and webuis.find(second.client_id) is second
    second.disconnect()
    assert webuis.find() is third
    third.disconnect()
    assert webuis.find() is first
    assert events[-1] == ("webui_disconnected", {"id": third.client_id, "main_webui_id": first.client_id})
    assert code_of(lambda: webuis.make_main(third.client_id)) == "unknown_webui"
    assert code_of(lambda: webuis.find(third.client_id, wait=True)) == "unknown_webui"
    first.disconnect()
    assert webuis.main_id is None and code_of(webuis.find) == "no_webui"
    assert webuis.find(third.client_id, wait=True) is webuis.find(wait=True) is webuis.lobby
    # The next tab that connects is the main one.
    fourth, _ = connected(webuis)
    assert webuis.find() is fourth


async def test_a_tab_that_went_is_forgotten_unless_it_or_another_of_its_id_has_come(eventually: Any) -> None:
    webuis = Webuis()
    manager, _ = connected(webuis)
    manager.disconnect()
    await eventually(lambda: not webuis.managers)
    # Its clean-up runs when another tab already has its id.
    manager.disconnect()
    other, _ = connected(webuis, manager.client_id)
    webuis._drop(manager)
    assert webuis.managers == {manager.client_id: other}


async def test_a_request_for_one_tab_is_not_sent_to_another() -> None:
    webuis = Webuis()
    meant = webuis.lobby.open("get_fields", {}, 60)
    meant.webui = 2
    tasks = [asyncio.create_task(webuis.lobby.ask(meant)), *asking(webuis.lobby, 1)]
    await asyncio.sleep(0)
    _, first = connected(webuis, 1)
    assert len(first.requests) == 1 and webuis.lobby.pending_count == 1
    second, page = connected(webuis, 2)
    assert page.requests == [meant] and webuis.lobby.pending_count == 0
    assert second.respond(meant.request_id, "answer") and await tasks[0] == "answer"
    webuis.close()
    with pytest.raises(UiapiError):
        await tasks[1]


async def test_a_replaced_connection_is_closed_and_its_requests_are_answered() -> None:
    webuis = Webuis()
    manager, earlier = connected(webuis)
    [asked] = asking(manager, 1)
    await asyncio.sleep(0)
    manager.connect(earlier)
    assert not earlier.closed and not asked.done()
    manager.connect(Page())
    assert earlier.closed == [(4001, "replaced")] and not manager.disconnect(earlier) and manager.connected
    with pytest.raises(UiapiError, match="Client disconnected"):
        await asked


async def test_a_connection_is_closed_once_with_a_reason() -> None:
    webuis = Webuis()
    (manager, page), (_, other) = connected(webuis), connected(webuis)
    assert manager.disconnect() and not manager.disconnect()
    assert page.closed == [(1000, "disconnected")]
    assert code_of(lambda: manager.open("get_fields", {}, 1)) == "client_disconnected"
    webuis.close()
    assert other.closed[0] == (1001, "ComfyUI is stopping")


async def test_known_texts_of_a_pages_description_are_kept_within_limits() -> None:
    info = {"browser": "b" * 1000, "platform": 7, "frontend_version": "1.58.1", "else": "x"}
    assert page_info(info) == {"browser": "b" * MAX_INFO, "frontend_version": "1.58.1"}


class TestAskAll:
    """Send one request to all tabs."""

    async def test_the_first_yes_ends_the_other_questions(self) -> None:
        webuis = Webuis()
        (first, one), (second, two), (third, three) = (connected(webuis) for _ in range(3))
        asked = asyncio.create_task(webuis.ask_all("send_workflow", {"x": 1}, 60, lambda manager, pending: None))
        await settle()
        assert [page.requests[0].data for page in (one, two, three)] == [{"x": 1}] * 3
        first.respond(one.requests[0].request_id, {"accepted": False})
        await settle()
        assert not asked.done()
        second.respond(two.requests[0].request_id, {"accepted": True})
        assert await asked == {first.client_id: {"accepted": False}, second.client_id: {"accepted": True}}
        assert three.cancelled == [three.requests[0].request_id] and third.pending_count == 0

    async def test_a_tab_that_cannot_be_asked_or_fails_is_among_the_answers(self) -> None:
        webuis = Webuis()
        (first, one), (second, two) = connected(webuis), connected(webuis)

        def prepare(manager: WebuiManager, pending: PendingRequest) -> None:
            if manager is first:
                raise UiapiError("invalid", "It cannot.")

        asked = asyncio.create_task(webuis.ask_all("send_workflow", {}, 60, prepare))
        await settle()
        second.respond(two.requests[0].request_id, None, {"error": "It throws.", "code": "tab_failed"})
        answers = await asked
        assert {key: error.code for key, error in answers.items()} == {
            first.client_id: "invalid",
            second.client_id: "tab_failed",
        }
        assert one.requests == []

    async def test_without_a_tab_no_request_is_sent(self) -> None:
        with pytest.raises(UiapiError) as caught:
            await Webuis().ask_all("send_workflow", {}, 5, lambda manager, pending: None)
        assert caught.value.code == "no_webui"


async def test_a_page_that_cannot_be_served_is_named_as_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    webuis = Webuis()
    with webuis.unserved({"browser": "Chromium", "frontend_version": "1.0"}, "It is too old."):
        with webuis.unserved({}, "It is odd."), pytest.raises(UiapiError, match=r"of an unknown version .* It is odd"):
            webuis.find()
        with pytest.raises(UiapiError, match=r"frontend 1\.0 is open but cannot be used: It is too old") as caught:
            webuis.find()
        page = {"browser": "Chromium", "platform": None, "frontend_version": "1.0", "reason": "It is too old."}
        assert caught.value.details == {"unserved": [page]}
    with pytest.raises(UiapiError, match="No browser tab") as caught:
        webuis.find()
    assert caught.value.message == registry.NO_WEBUI_MESSAGE and caught.value.details == {}
