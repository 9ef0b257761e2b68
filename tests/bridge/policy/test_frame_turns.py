"""Tests of the work that the frames of all websockets cause in one turn of the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from comfyui_uiapi.bridge.policy.request_limits import EVENTS_A_FRAME, FRAMES_A_TURN, FrameTurns


async def per_turn(turns: FrameTurns, handled: list[str], total: int) -> list[int]:
    """How many frames are handled in each turn of the loop until all are; turns without any are left out."""
    counts, before = [], len(handled)
    while len(handled) < total:
        await asyncio.sleep(0)
        counts.append(len(handled) - before)
        before = len(handled)
    return [count for count in counts if count]


async def send(turns: FrameTurns, name: str, frames: int, handled: list[str], events: int = 0) -> None:
    for _ in range(frames):
        await turns.take()
        handled.append(name)
        turns.charge(events)


async def test_a_thousand_websockets_share_the_frames_of_a_turn() -> None:
    turns, handled = FrameTurns(), list[str]()
    tasks = [asyncio.create_task(send(turns, str(at), 2, handled)) for at in range(1000)]
    counts = await per_turn(turns, handled, 2000)
    # All that are left of one turn, and those that the next one has.
    assert max(counts) <= 2 * FRAMES_A_TURN and len(counts) <= 2000 / FRAMES_A_TURN + 2
    # Apart from those that find room in the first turn, none gets a second one before each has had its first.
    assert {*handled[: 1000 + FRAMES_A_TURN]} == {*map(str, range(1000))}
    assert await asyncio.gather(*tasks) == [None] * 1000


async def test_a_websocket_that_ends_while_it_waits_takes_no_turn_from_others() -> None:
    turns, handled = FrameTurns(), list[str]()
    full = asyncio.create_task(send(turns, "full", FRAMES_A_TURN, handled))
    gone = [asyncio.create_task(send(turns, "gone", 1, handled)) for _ in range(FRAMES_A_TURN)]
    stays = asyncio.create_task(send(turns, "stays", 1, handled))
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    await asyncio.gather(full, stays)
    assert handled == ["full"] * FRAMES_A_TURN + ["stays"]


async def test_an_idle_websocket_does_not_wait() -> None:
    turns = FrameTurns()
    for _ in range(3):
        taking = turns.take()
        try:
            taking.send(None)
        except StopIteration:
            await asyncio.sleep(0)
        else:
            raise AssertionError("it waited")


async def test_events_for_many_programs_count_as_the_frames_they_cost() -> None:
    turns, handled = FrameTurns(), list[str]()
    for events, fitting in ((0, FRAMES_A_TURN), (EVENTS_A_FRAME, FRAMES_A_TURN // 2), (100 * EVENTS_A_FRAME, 1)):
        handled.clear()
        task = asyncio.create_task(send(turns, "tab", 200, handled, events))
        counts = await per_turn(turns, handled, 200)
        assert max(counts) <= fitting + 1, events
        await task


async def test_the_changes_of_a_tab_with_many_subscribers_leave_turns_to_others(server: Any) -> None:
    tab, received = await server.tab(), [0]

    def count(event: str, data: dict[str, Any]) -> None:
        received[-1] += 1

    for _ in range(200):
        server.bridge.subscriptions.add(count, ["widget_changed"])
    await tab.ws.send_json([{"type": "event", "event": "widget_changed", "data": {"path": "a.b"}}] * 200)
    while sum(received) < 200 * 200:
        await asyncio.sleep(0)
        received.append(0)
    # Two events, and not the 32 that a turn has for a single program.
    assert max(received) <= 3 * 200
