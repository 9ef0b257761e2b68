"""Tests of idempotency keys (a repeated request is carried out once), late answers and conditions on the graph."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from comfyui_uiapi.bridge.policy import idempotency
from comfyui_uiapi.bridge.policy.idempotency import KEEP, MAX_KEYS, MAX_PROGRAMS, Repeats
from comfyui_uiapi.common.errors import UiapiError

QUEUED = {"prompt_id": "p1", "number": 1, "node_errors": {}}
ONCE = {"idempotency_key": "k"}


async def test_a_repeat_is_answered_with_the_first_result_and_reaches_no_tab(server: Any) -> None:
    tab = await server.tab()
    tab.on("execute", QUEUED)
    first = await server.post("execute", ONCE)
    second = await server.post("execute", ONCE)
    assert second == (200, {**first[1], "repeated": True})
    assert len(tab.requests) == 1


async def test_a_repeat_that_comes_while_the_first_is_under_way_waits_for_it(server: Any) -> None:
    tab = await server.tab()
    both = [asyncio.create_task(server.post("execute", ONCE)) for _ in range(2)]
    request = await tab.next()
    await tab.respond(request["id"], QUEUED)
    assert [status for status, _ in await asyncio.gather(*both)] == [200, 200]
    assert len(tab.requests) == 1


async def test_a_caller_that_lost_its_connection_gets_the_result_by_coming_again(server: Any) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("execute", ONCE))
    request = await tab.next()
    asked.cancel()
    await asyncio.sleep(0.6)
    again = asyncio.create_task(server.post("execute", ONCE))
    await tab.respond(request["id"], QUEUED)
    status, body = await again
    assert (status, body["response"], body["repeated"]) == (200, QUEUED, True)
    assert len(tab.requests) == 1


async def test_a_key_used_for_another_request_is_a_conflict(server: Any) -> None:
    (await server.tab()).on("execute", QUEUED)
    await server.post("execute", ONCE)
    status, body = await server.post("execute", {**ONCE, "batch_count": 2})
    assert (status, body["code"]) == (409, "conflict")


async def test_a_refusal_for_want_of_a_tab_is_tried_again(server: Any) -> None:
    assert (await server.post("execute", ONCE))[0] == 503
    (await server.tab()).on("execute", QUEUED)
    assert (await server.post("execute", ONCE))[0] == 200


async def test_a_failure_that_may_have_had_an_effect_is_not_tried_again(server: Any) -> None:
    tab = await server.tab()
    status, first = await server.post("execute", {**ONCE, "timeout": 0.05})
    assert (status, first["code"]) == (504, "timeout")
    tab.on("execute", QUEUED)
    status, second = await server.post("execute", {**ONCE, "timeout": 0.05})
    assert (status, second["code"]) == (504, "timeout")
    assert len(tab.requests) == 1


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def spawn(work: Any, name: str) -> asyncio.Task[Any]:
    return asyncio.create_task(work)


async def test_keys_are_forgotten_ten_minutes_after_their_answer_and_never_while_their_request_is_under_way() -> None:
    clock, calls = Clock(), []
    repeats, begun, go = Repeats(spawn, clock), asyncio.Event(), asyncio.Event()

    async def work() -> dict[str, Any]:
        calls.append(clock.now)
        begun.set()
        await go.wait()
        return {"status": "ok"}

    def ask() -> asyncio.Task[dict[str, Any]]:
        return asyncio.create_task(repeats.once("p", "k", "run", {}, work))

    first = ask()
    await begun.wait()
    clock.now = 2 * KEEP
    late = ask()
    go.set()
    assert "repeated" not in await first and (await late)["repeated"] is True
    for now in (3 * KEEP - 1, 3 * KEEP):
        clock.now = now
        await ask()
    assert calls == [0.0, 3 * KEEP]


async def test_endless_keys_of_a_program_lock_no_other_out_and_the_latest_are_kept() -> None:
    repeats, calls = Repeats(spawn), []

    async def work() -> dict[str, Any]:
        calls.append(1)
        return {"status": "ok"}

    for number in range(MAX_KEYS + 10):
        await repeats.once("slider", str(number), "set_fields", {"n": number}, work)
    assert (await repeats.once("slider", "10", "set_fields", {"n": 10}, work))["repeated"] is True
    await repeats.once("another", "1", "set_fields", {}, work)
    assert len(calls) == MAX_KEYS + 11


async def test_keys_under_way_are_bounded_by_program_and_leave_room_for_others() -> None:
    repeats, go = Repeats(spawn), asyncio.Event()

    async def work() -> dict[str, Any]:
        await go.wait()
        return {"status": "ok"}

    under_way = [asyncio.create_task(repeats.once("busy", str(n), "run", {}, work)) for n in range(MAX_KEYS)]
    await asyncio.sleep(0)
    with pytest.raises(UiapiError) as caught:
        await repeats.once("busy", "one more", "run", {}, work)
    assert caught.value.code == "too_many"
    other = asyncio.create_task(repeats.once("other", "1", "run", {}, work))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*under_way)
    assert "repeated" not in await other


async def test_programs_that_have_ended_make_room_for_new_names() -> None:
    repeats = Repeats(spawn)

    async def work() -> dict[str, Any]:
        return {"status": "ok"}

    for number in range(2 * MAX_PROGRAMS):
        await repeats.once(f"program {number}", "k", "run", {}, work)
    assert (await repeats.once(f"program {2 * MAX_PROGRAMS - 1}", "k", "run", {}, work))["repeated"] is True


async def test_an_answer_too_large_to_keep_is_not_kept_and_the_request_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idempotency, "MAX_KEPT", 100)
    repeats = Repeats(spawn)

    async def work() -> dict[str, Any]:
        return {"response": "x" * 200}

    assert len((await repeats.once("p", "k", "run", {}, work))["response"]) == 200
    with pytest.raises(UiapiError) as caught:
        await repeats.once("p", "k", "run", {}, work)
    assert caught.value.code == "conflict"


async def test_a_repeat_gets_the_same_error_and_its_request_is_not_kept(eventually: Any) -> None:
    class Picture(str):
        """A value that supports weak references."""

    repeats = Repeats(spawn)
    watched = []

    async def work() -> dict[str, Any]:
        picture = Picture("x" * 1000)
        watched.append(weakref.ref(picture))
        raise UiapiError("unknown_path", f"No {picture[:1]}.", {"nearest": ["y"]})

    async def caller() -> dict[str, Any]:
        with pytest.raises(UiapiError) as caught:
            await repeats.once("p", "k", "run", {}, work)
        return caught.value.envelope()

    for _ in range(3):
        # In a separate task: before Python 3.11 a coroutine that caught an error keeps its frames while it runs.
        envelope = await asyncio.create_task(caller())
        assert envelope["details"] == {"nearest": ["y"]}
        assert (envelope["code"], envelope["error"]) == ("unknown_path", "No x.")
    gc.collect()
    assert [reference() for reference in watched] == [None]


async def test_requests_under_way_and_kept_answers_take_no_more_memory_than_they_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idempotency, "MAX_BYTES", 1000)
    repeats, go = Repeats(spawn), asyncio.Event()

    async def work() -> dict[str, Any]:
        await go.wait()
        return {"response": "y" * 400}

    async def ask(key: str) -> dict[str, Any]:
        return await repeats.once("p", key, "run", {"x": "x" * 500}, work)

    gone = asyncio.create_task(ask("gone"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    # Its caller has disconnected, but it goes on and keeps its request.
    with pytest.raises(UiapiError) as caught:
        await ask("next")
    assert caught.value.code == "too_many"
    go.set()
    assert (await ask("gone"))["repeated"] is True
    assert "repeated" not in await ask("other")
    with pytest.raises(UiapiError) as caught:
        await ask("other")
    assert caught.value.code == "conflict"
    assert (await ask("gone"))["repeated"] is True


async def test_a_key_costs_the_same_with_thousands_of_others_as_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts accesses to the remembered keys: they are not searched one by one for each request."""
    looks: list[str] = []

    class Watched(idempotency.Entry):
        def __getattribute__(self, name: str) -> Any:
            looks.append(name)
            return super().__getattribute__(name)

    monkeypatch.setattr(idempotency, "Entry", Watched)
    repeats, go = Repeats(spawn), asyncio.Event()

    async def work() -> dict[str, Any]:
        await go.wait()
        return {"status": "ok"}

    def ask(program: int, key: str) -> asyncio.Task[dict[str, Any]]:
        return asyncio.create_task(repeats.once(str(program), key, "undo", {}, work))

    go.set()
    await asyncio.gather(*(ask(program, f"ended {n}") for program in range(5) for n in range(500)))
    go.clear()
    under_way = [ask(program, f"under way {n}") for program in range(5) for n in range(499)]
    await asyncio.sleep(0)
    looks.clear()
    one_more = ask(0, "one more")
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(one_more, *under_way)
    assert len(looks) < 100 * len(under_way)


async def test_a_key_is_its_programs_own(server: Any) -> None:
    tab = await server.tab()
    for number, program in enumerate(("A", "B")):
        tab.on("execute", {**QUEUED, "prompt_id": program})
        for repeated in (None, True):
            status, body = await server.post("execute", ONCE, headers={"User-Agent": program})
            assert (status, body["response"]["prompt_id"], body.get("repeated")) == (200, program, repeated)
        assert len(tab.requests) == number + 1


async def test_a_demand_on_the_graph_goes_to_the_tab_and_its_revision_comes_back(server: Any) -> None:
    tab = await server.tab(capabilities=["revisions", "tabs", "watch"])
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a"], "if_revision": "r1", "workflow_tab": "t1"}))
    request = await tab.next()
    assert (request["if_revision"], request["workflow_tab"]) == ("r1", "t1")
    await tab.respond(request["id"], {"a": 1}, revision="r2", workflow_tab="t1")
    _status, body = await asked
    assert (body["response"], body["revision"], body["workflow_tab"]) == ({"a": 1}, "r2", "t1")


async def test_a_changed_revision_is_a_409_with_the_changes(server: Any) -> None:
    tab = await server.tab(capabilities=["revisions"])
    asked = asyncio.create_task(server.post("set_fields", {"fields": [["a", 1]], "if_revision": "r1"}))
    request = await tab.next()
    details = {"revision": "r2", "changed": ["a"]}
    await tab.respond(request["id"], status="error", error="It changed.", code="revision_changed", details=details)
    status, body = await asked
    assert (status, body["code"], body["details"]) == (409, "revision_changed", details)


async def test_a_page_that_cannot_check_a_revision_is_not_asked_to_write(server: Any) -> None:
    tab = await server.tab()
    status, body = await server.post("set_fields", {"fields": [["a", 1]], "if_revision": "r1"})
    assert (status, body["code"]) == (422, "invalid") and tab.requests == []


async def test_a_demand_on_the_graph_does_not_wait_for_a_tab_that_may_not_check_it(server: Any) -> None:
    body = {"fields": [["a", 1]], "if_revision": "r1", "wait_for_webui": True}
    status, envelope = await server.post("set_fields", body)
    assert (status, envelope["code"]) == (422, "invalid")
    assert server.bridge.webuis.lobby.pending_count == 0


async def test_a_run_that_loads_first_goes_on_in_the_workflow_tab_it_loaded_into(server: Any) -> None:
    tab = await server.tab(capabilities=["revisions", "tabs", "execute.fields"])
    body = {"workflow": {"nodes": []}, "wait": False, "if_revision": "r1"}
    asked = asyncio.create_task(server.post("run", body))
    load = await tab.next()
    await tab.respond(load["id"], {"loaded": True, "message": ""}, revision="r2", workflow_tab="t2")
    execute = await tab.next()
    assert load["if_revision"] == "r1"
    assert execute["workflow_tab"] == "t2" and "if_revision" not in execute
    await tab.respond(execute["id"], QUEUED)
    assert (await asked)[0] == 200
