"""Turns: a few fetches run at a time, and one that only waits for its host does not block others."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.common.throttle import SLOW_SECONDS, SLOWEST, Backoff, Pace
from comfyui_uiapi.downloads.transfer import http_client, turns
from comfyui_uiapi.downloads.transfer.turns import Rest, Turn, Turns
from comfyui_uiapi.tests.downloads.conftest import Pauses, Service
from comfyui_uiapi.tests.harness.models.model_host import Answer, Host, model_bytes

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]

SIZE = 200_000


class Takers:
    """Fetches that hold their turn until they are ended; `order` is who got one, in that order."""

    def __init__(self, handed_out: Turns) -> None:
        self._turns = handed_out
        self.order: list[str] = []
        self.held: dict[str, Turn] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """Have fetches ask for a turn; the host of one is its first letter."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._hold(name))
            await settle()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await settle()

    async def cancel(self, *names: str) -> None:
        for name in names:
            self._tasks[name].cancel()
        await asyncio.gather(*(self._tasks[name] for name in names), return_exceptions=True)
        await settle()

    async def _hold(self, name: str) -> None:
        async with self._turns.turn(name[0]) as turn:
            self.order.append(name)
            self.held[name] = turn
            await self._ends[name].wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def takers() -> AsyncIterator[Takers]:
    takers = Takers(Turns(2))
    yield takers
    await takers.cancel(*takers._tasks)


async def test_there_are_no_more_turns_than_the_limit(takers: Takers) -> None:
    await takers.come("a1", "a2", "a3")
    assert takers.order == ["a1", "a2"]
    await takers.end("a1")
    assert takers.order == ["a1", "a2", "a3"]


async def test_a_free_turn_goes_to_the_host_that_has_the_fewest(takers: Takers) -> None:
    await takers.come("a1", "a2", "a3", "a4", "b1")
    await takers.end("a1")
    assert takers.order[2:] == ["b1"]
    await takers.end("b1")
    assert takers.order[3:] == ["a3"]


async def test_hosts_that_have_as_many_turns_are_served_one_after_the_other(takers: Takers) -> None:
    await takers.come("a1", "b1", "c1", "c2", "a2", "b2")
    for name in ("a1", "b1", "c1", "a2", "b2"):
        await takers.end(name)
    assert takers.order == ["a1", "b1", "c1", "a2", "b2", "c2"]


async def test_a_turn_that_is_given_back_goes_to_another_and_is_waited_for_again(takers: Takers) -> None:
    await takers.come("a1", "b1", "c1")
    takers.held["a1"].give_back()
    takers.held["a1"].give_back()
    await settle()
    assert takers.order == ["a1", "b1", "c1"]
    taking = [asyncio.create_task(takers.held["a1"].take()) for _ in range(2)]
    await settle()
    assert not any(task.done() for task in taking)
    await takers.come("d1")
    await takers.end("b1")
    await settle()
    # It came before d1, and both takes were for one turn.
    assert all(task.done() for task in taking) and "d1" not in takers.order
    await takers.end("c1")
    assert takers.order[-1] == "d1"


async def test_a_download_cancelled_while_waiting_leaves_no_turn_taken(takers: Takers) -> None:
    await takers.come("a1", "a2", "b1", "b2")
    await takers.cancel("b1", "a1")
    assert takers.order == ["a1", "a2", "b2"]
    await takers.cancel("a2", "b2")
    await takers.come("c1", "c2", "c3")
    assert takers.order[3:] == ["c1", "c2"]


async def test_a_turn_that_is_granted_as_its_taker_is_cancelled_is_not_lost() -> None:
    handed_out = Turns(1)
    await handed_out.acquire("a")
    waiting = asyncio.create_task(handed_out.acquire("b"))
    await settle()
    handed_out.release("a")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait_for(handed_out.acquire("c"), 60)


async def test_one_silent_connection_of_two_keeps_the_turn_and_counts_as_pausing_no_longer_than_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.0)
    handed_out = Turns(1)
    async with handed_out.turn("a") as turn:
        rest = Rest(turn, asyncio.get_running_loop())
        async with rest.patiently(lambda: 2):
            await settle()
            assert handed_out._free == 0
        rest.remain(1)
        # After the last connection the file is still to be checked.
        rest.remain(0)
        await settle()
        assert handed_out._free == 0


def test_a_connection_on_which_too_little_comes_is_noticed_after_a_minute() -> None:
    slow, fast = Pace(), Pace()
    for second in range(1, int(SLOW_SECONDS) * 3):
        assert slow.too_slow(1.0, SLOWEST - 1) == (second % SLOW_SECONDS == 0)
        assert not fast.too_slow(1.0, SLOWEST)


def test_a_burst_long_ago_makes_no_connection_fast() -> None:
    pace = Pace()
    assert not pace.too_slow(SLOW_SECONDS, 10**9)
    assert pace.too_slow(SLOW_SECONDS, 10)


# -- a service that really waits its pauses ---------------------------------------------------------------------------


class Patient(Pauses):
    """Pauses longer than any test, unless one sets the first."""

    first = 1e6

    def backoff(self) -> Backoff:
        return Backoff(self.first)


@pytest.fixture
def pauses() -> Patient:
    return Patient()


def asked(host: Host, path: str) -> Callable[[], Any]:
    return lambda: host.asked(path)


def busy() -> Answer:
    return Answer(refusals=[(429, {"Retry-After": "300"}), (429, {"Retry-After": "300"})])


def stalling() -> Answer:
    return Answer(model_bytes(SIZE), ranges=False, framing="chunked", stalls=True)


@pytest.mark.parametrize(
    ("bad", "shortened"),
    [
        (busy, ""),
        (lambda: Answer(silent=True), "HEADERS_TIMEOUT"),
        (stalling, "SILENCE_TIMEOUT"),
        (lambda: Answer(model_bytes(SIZE), cuts=[0]), ""),
    ],
    ids=["busy", "silent", "silent within its body", "cut"],
)
async def test_hosts_that_are_waited_for_keep_no_other_from_its_turn(
    service: Service, host: Host, eventually: Eventually, bad: Callable[[], Answer], shortened: str
) -> None:
    handed_out = service.downloads._fetches._turns
    for name in ("a", "b"):
        host.answers[f"/{name}"] = bad()
    with pytest.MonkeyPatch.context() as hasty:
        # For these hosts only: the others may take their time.
        if shortened:
            hasty.setattr(http_client, shortened, 0.1)
        hasty.setattr(turns, "PATIENCE", 1e6)
        waiting = [
            await service.downloads.fetch_one(f"{name}.safetensors", {"url": host.url(f"/{name}")}) for name in "ab"
        ]
        await eventually(lambda: host.asked("/a") and host.asked("/b") and handed_out._free == 2)
    host.offer("/good", model_bytes(SIZE))
    entry = await asyncio.wait_for(service.fetch("good.safetensors", host.url("/good")), 60)
    assert entry["status"] == "success"
    assert [run.items[0].busy for run in waiting] == [True, True]


@pytest.mark.parametrize("bad", [lambda: Answer(silent=True), stalling], ids=["silent", "silent within its body"])
async def test_a_host_keeps_no_turn_while_it_is_silent(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, bad: Callable[[], Answer]
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.1)
    for name in ("a", "b"):
        host.answers[f"/{name}"] = bad()
    waiting = [await service.downloads.fetch_one(f"{name}.safetensors", {"url": host.url(f"/{name}")}) for name in "ab"]
    host.offer("/good", model_bytes(SIZE))
    entry = await asyncio.wait_for(service.fetch("good.safetensors", host.url("/good")), 60)
    assert entry["status"] == "success"
    assert [run.items[0].busy for run in waiting] == [True, True]
    assert [len(host.asked(f"/{name}")) for name in "ab"] == [1, 1]


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_host_that_was_silent_goes_on_once_it_has_a_turn_again(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, eventually: Eventually, ranges: bool
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    handed_out = service.downloads._fetches._turns
    go, going = asyncio.Event(), asyncio.Event()
    host.offer("/a", model_bytes(SIZE * 40), held=go, ranges=ranges)
    late = await service.downloads.fetch_one("a.safetensors", {"url": host.url("/a")})
    await eventually(lambda: host.asked("/a") and handed_out._free == 2)
    others = []
    for name in ("b", "c"):
        host.offer(f"/{name}", model_bytes(SIZE), held=going)
        monkeypatch.setattr(turns, "PATIENCE", 1e6)
        others.append(await service.downloads.fetch_one(f"{name}.safetensors", {"url": host.url(f"/{name}")}))
    await eventually(lambda: handed_out._free == 0)
    go.set()
    await eventually(lambda: len(handed_out._waiting) == 1)
    assert late.items[0].busy
    going.set()
    for run in (late, *others):
        await service.ended(run)
        assert run.items[0].state == "success", run.items[0].to_dict()
    assert handed_out._free == 2


async def test_a_host_that_goes_on_after_its_pause_waits_for_its_turn(
    service: Service, host: Host, pauses: Patient, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 1e6)
    pauses.first = 0.01
    go = asyncio.Event()
    host.offer("/a", model_bytes(SIZE), refusals=[503])
    waiting = service.downloads._fetches._turns._waiting

    def is_queued(count: int) -> bool:
        return len(waiting) == count

    runs = []
    for name, queued in (("b", 0), ("c", 0), ("a", 1), ("d", 2)):
        if name != "a":
            host.offer(f"/{name}", model_bytes(SIZE), held=go)
        runs.append(await service.downloads.fetch_one(f"{name}.safetensors", {"url": host.url(f"/{name}")}))
        await eventually(asked(host, f"/{name}") if queued == 0 else functools.partial(is_queued, queued))
    await service.downloads.stop(runs[1].id, None, "cancelled")
    await eventually(lambda: host.asked("/d") and waiting)
    assert len(host.asked("/a")) == 1
    go.set()
    for run, state in zip(runs, ("success", "cancelled", "success", "success"), strict=True):
        await service.ended(run)
        assert run.items[0].state == state, run.items[0].to_dict()


async def test_a_turn_given_back_while_a_host_was_silent_is_taken_again_once_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.0)
    handed_out = Turns(1)
    async with handed_out.turn("a") as turn:
        async with turn.patiently():
            await settle()
            assert handed_out._free == 1
        assert handed_out._free == 0
    assert handed_out._free == 1


async def test_a_download_cancelled_while_it_pauses_leaves_no_turn_taken(
    service: Service, host: Host, eventually: Eventually
) -> None:
    for name in ("a", "b", "c", "d"):
        host.answers[f"/{name}"] = busy()
        run = await service.downloads.fetch_one(f"{name}.safetensors", {"url": host.url(f"/{name}")})
        await eventually(asked(host, f"/{name}"))
        await service.downloads.stop(run.id, None, "cancelled")
    host.offer("/good", model_bytes(SIZE))
    entry = await asyncio.wait_for(service.fetch("good.safetensors", host.url("/good")), 60)
    assert entry["status"] == "success" and service.downloads._fetches._turns._free == 2


class TestMetadata:
    @pytest.fixture
    def settings(self, host: Host, other_host: Host) -> Settings:
        return Settings(allowed_hosts=(host.authority, other_host.authority), civitai_endpoint=other_host.url(""))

    @pytest.mark.parametrize("bad", [busy, lambda: Answer(silent=True)], ids=["busy", "silent"])
    async def test_a_host_that_does_not_say_what_it_has_keeps_no_other_from_its_turn(
        self,
        service: Service,
        host: Host,
        other_host: Host,
        monkeypatch: pytest.MonkeyPatch,
        bad: Callable[[], Answer],
    ) -> None:
        monkeypatch.setattr(turns, "PATIENCE", 0.1)
        other_host.answers["/api/v1/model-versions/5"] = bad()
        for name in ("a", "b"):
            await service.downloads.fetch_one(f"{name}.safetensors", {"civitai": "1@5"})
        host.offer("/good", model_bytes(SIZE))
        entry = await asyncio.wait_for(service.fetch("good.safetensors", host.url("/good")), 60)
        assert entry["status"] == "success"
