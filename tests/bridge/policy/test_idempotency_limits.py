"""Tests of idempotency keys at their limits, and after failed or cancelled work."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from comfyui_uiapi.bridge.policy import idempotency
from comfyui_uiapi.bridge.policy.idempotency import NOT_TRIED, Repeats
from comfyui_uiapi.common.errors import UiapiError


def spawn(work: Any, name: str) -> asyncio.Task[Any]:
    return asyncio.create_task(work)


@pytest.mark.parametrize("code", sorted(NOT_TRIED))
async def test_a_request_that_certainly_changed_nothing_is_tried_again(code: str) -> None:
    repeats, calls = Repeats(spawn), []

    async def work() -> Any:
        calls.append(1)
        raise UiapiError(code, "Not now.")

    for _ in range(2):
        with pytest.raises(UiapiError, match="Not now"):
            await repeats.once("p", "k", "run", {}, work)
    assert len(calls) == 2


@pytest.mark.parametrize(("delivered", "times"), [(False, 2), (True, 1), (None, 1)])
async def test_a_timeout_is_tried_again_only_where_no_tab_was_asked(delivered: bool | None, times: int) -> None:
    repeats, calls = Repeats(spawn), []

    async def work() -> Any:
        calls.append(1)
        raise UiapiError("timeout", "Too late.", {} if delivered is None else {"delivered": delivered})

    for _ in range(2):
        with pytest.raises(UiapiError, match="Too late"):
            await repeats.once("p", "k", "run", {}, work)
    assert len(calls) == times


async def test_an_internal_error_is_reported_each_time_and_the_work_is_done_once() -> None:
    repeats, calls = Repeats(spawn), []

    async def work() -> Any:
        calls.append(1)
        raise ValueError("a defect")

    for _ in range(2):
        with pytest.raises(ValueError, match="a defect"):
            await repeats.once("p", "k", "run", {}, work)
    assert len(calls) == 1


async def test_cancelled_work_is_started_again_by_a_repeat() -> None:
    tasks: list[asyncio.Task[Any]] = []

    def kept(work: Any, name: str) -> asyncio.Task[Any]:
        assert name == "run once"
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    repeats = Repeats(kept)

    async def work() -> Any:
        await asyncio.sleep(60 if len(tasks) == 1 else 0)
        return {"status": "ok"}

    first = asyncio.create_task(repeats.once("p", "k", "run", {}, work))
    await asyncio.sleep(0)
    tasks[0].cancel()
    with pytest.raises(UiapiError, match="stopping"):
        await first
    assert await repeats.once("p", "k", "run", {}, work) == {"status": "ok"}


async def test_programs_with_work_under_way_are_bounded_and_those_without_give_way() -> None:
    repeats, go = Repeats(spawn), asyncio.Event()

    async def work() -> Any:
        await go.wait()
        return {"status": "ok"}

    async def done() -> Any:
        return {"status": "ok"}

    await repeats.once("idle", "k", "run", {}, done)
    busy = [
        asyncio.create_task(repeats.once(f"program {number}", "k", "run", {}, work))
        for number in range(idempotency.MAX_PROGRAMS)
    ]
    await asyncio.sleep(0)
    with pytest.raises(UiapiError, match="32 programs") as caught:
        await repeats.once("one more", "k", "run", {}, done)
    assert caught.value.code == "too_many"
    go.set()
    await asyncio.gather(*busy)
    assert "repeated" not in await repeats.once("idle", "k", "run", {}, done)


async def test_the_program_that_asked_last_is_the_last_to_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MAX_PROGRAMS", 2)
    repeats = Repeats(spawn)

    async def work() -> Any:
        return {"status": "ok"}

    for program, key in (("a", "1"), ("b", "1"), ("a", "2"), ("c", "1")):
        await repeats.once(program, key, "run", {}, work)
    assert [*repeats._programs] == ["a", "c"]
    assert (await repeats.once("a", "1", "run", {}, work))["repeated"] is True


async def test_one_programs_requests_leave_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MAX_BYTES_OF_PROGRAM", 100)
    monkeypatch.setattr(idempotency, "MAX_BYTES", 150)
    repeats, go = Repeats(spawn), asyncio.Event()

    async def work() -> Any:
        await go.wait()
        return {"status": "ok"}

    def ask(program: str, key: str, size: int) -> asyncio.Task[Any]:
        # The command and its brackets are 8 bytes.
        return asyncio.create_task(repeats.once(program, key, "run", "x" * (size - 10), work))

    asked = [ask("a", "1", 60), ask("a", "2", 40), ask("a", "3", 11), ask("b", "1", 50), ask("c", "1", 11)]
    await asyncio.sleep(0)
    go.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [answer.code if isinstance(answer, UiapiError) else answer for answer in answers] == [
        {"status": "ok"}, {"status": "ok"}, "too_many", {"status": "ok"}, "too_many",
    ]  # fmt: skip


@pytest.mark.parametrize("bound", ["MAX_BYTES", "MAX_BYTES_OF_PROGRAM"])
async def test_answers_that_are_kept_take_half_of_the_room_and_no_more(
    monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    # Each answer is 20 bytes, a request 11.
    monkeypatch.setattr(idempotency, bound, 80)
    repeats = Repeats(spawn)

    async def work() -> Any:
        return {"response": "12345"}

    for key in "abc":
        await repeats.once("p", key, "run", "", work)
    for key in "ab":
        assert (await repeats.once("p", key, "run", "", work))["repeated"] is True
    with pytest.raises(UiapiError, match="too large to keep"):
        await repeats.once("p", "c", "run", "", work)


async def test_an_answer_is_kept_up_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for bound, kept in ((20, True), (19, False)):
        monkeypatch.setattr(idempotency, "MAX_KEPT", bound)
        repeats = Repeats(spawn)

        async def work() -> Any:
            return {"response": "12345"}

        await repeats.once("p", "k", "run", "", work)
        if kept:
            assert (await repeats.once("p", "k", "run", "", work))["repeated"] is True
        else:
            with pytest.raises(UiapiError, match="too large to keep"):
                await repeats.once("p", "k", "run", "", work)
