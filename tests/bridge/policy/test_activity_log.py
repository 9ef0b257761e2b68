"""Tests of the activity log: it is bounded, and does not become slower with more entries."""

from __future__ import annotations

import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import Any

from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.comfyui.run_tracker import MAX_UNCLAIMED, Runs
from comfyui_uiapi.bridge.policy.activity_log import MAX_ENTRIES, Activity
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.bridge.protocol.subscriptions import Subscriptions


class CountedQueue:
    """A queue of ComfyUI that counts how often it is listed."""

    def __init__(self, size: int) -> None:
        self.waiting: list[Any] = [(number, f"p{number}", {}) for number in range(size)]
        self.history: dict[str, Any] = {}
        self.listed = 0

    def get_current_queue_volatile(self) -> tuple[list[Any], list[Any]]:
        self.listed += 1
        return [], [*self.waiting]


def comfy_with(queue: CountedQueue) -> Comfy:
    return Comfy(SimpleNamespace(prompt_queue=queue), SimpleNamespace())


def test_reads_in_a_row_are_noted_when_the_loop_has_time_and_none_is_lost() -> None:
    noted: list[tuple[Any, ...]] = []
    activity, command = Activity(later=lambda *work: noted.append(work)), COMMANDS["get_fields"]
    for path in ("first.text", "second.text", "third.text"):
        entry = activity.begin("p", command, command.parse({"fields": [path]}))
        activity.end(entry)
    assert (entry.count, entry.about) == (1, "first.text")
    for work, *arguments in noted:
        work(*arguments)
    assert (entry.count, entry.about, entry.state) == (3, "third.text", "done")
    assert activity.everything()["programs"][0]["calls"] == 3


def test_a_read_that_is_over_keeps_nothing_of_its_request() -> None:
    activity, command, kept = Activity(), COMMANDS["get_fields"], []
    for path in ("a.b", "c.d"):
        request = command.parse({"fields": [path] * 1000})
        kept.append(weakref.ref(request))
        activity.end(activity.begin("p", command, request))
        del request
    gc.collect()
    assert [reference() for reference in kept] == [None, None]
    [entry] = activity.everything()["entries"]
    assert entry["about"] == "c.d, c.d, c.d +997" and entry["count"] == 2


def test_dropped_entries_are_not_kept_anywhere_else() -> None:
    activity, write, read = Activity(clock=lambda: 0.0), COMMANDS["set_fields"], COMMANDS["get_fields"]
    change = write.parse({"fields": [["a", 1]]})
    left = activity.begin("reader", read, read.parse({"fields": ["a"]}))
    under_way = [activity.begin("writer", write, change) for _ in range(MAX_ENTRIES + 5)]
    gone = weakref.ref(left)
    activity.end(left)
    del left
    for entry in under_way:
        activity.end(entry)
    news = activity.news()["entries"]
    assert [entry["id"] for entry in news] == [entry["id"] for entry in activity.everything()["entries"]]
    assert len(news) == MAX_ENTRIES
    gc.collect()
    assert gone() is None
    assert activity.begin("reader", read, read.parse({"fields": ["a"]})).count == 1


def test_checking_many_unattended_runs_lists_the_queue_once() -> None:
    activity, command, queue = Activity(), COMMANDS["execute"], CountedQueue(100)
    for number in range(101):
        entry = activity.begin("p", command, command.parse({}))
        activity.follow(entry, {"response": {"prompt_id": f"p{number}"}})
        activity.end(entry)
    activity.drop_ended(comfy_with(queue).queued_ids)
    assert queue.listed == 1 and activity.unattended()
    queue.waiting.clear()
    activity.drop_ended(comfy_with(queue).queued_ids)
    assert queue.listed == 2 and not activity.unattended()
    activity.drop_ended(comfy_with(queue).queued_ids)
    assert queue.listed == 2


async def test_a_change_of_the_queue_is_looked_at_once_for_all_runs_that_are_awaited() -> None:
    queue = CountedQueue(100)
    comfy = comfy_with(queue)
    comfy.prompt_server.loop = asyncio.get_running_loop()
    runs = Runs(comfy, Subscriptions())
    runs.wait([f"p{number}" for number in range(100)], None, 60)
    awaited = [*runs._runs.values()]
    queue.listed = 0
    del queue.waiting[50:]
    runs._on_event("status", {}, 0.0)
    assert queue.listed == 1
    await asyncio.sleep(0)
    assert [run.over for run in awaited] == [False] * 50 + [True] * 50


async def test_with_many_pending_runs_the_next_is_tracked_from_its_start() -> None:
    runs, received = Runs(comfy_with(CountedQueue(MAX_UNCLAIMED + 3)), Subscriptions()), []
    runs.wait([f"p{number}" for number in range(MAX_UNCLAIMED + 1)], None, 60)
    new = [f"p{MAX_UNCLAIMED + 1}", f"p{MAX_UNCLAIMED + 2}"]
    with runs.expecting():
        for prompt_id in new:
            runs._on_event("execution_start", {"prompt_id": prompt_id}, 1.0)
        runs.wait(new, lambda event, data: received.append(data["prompt_id"]), 60)
        for number in range(MAX_UNCLAIMED * 2):
            runs._on_event("execution_start", {"prompt_id": f"somebody else's {number}"}, 1.0)
        assert sum(run.on_end is None for run in runs._runs.values()) == MAX_UNCLAIMED
    assert received == new


def test_the_reason_of_a_failure_is_kept_whole_but_bounded() -> None:
    activity, command = Activity(), COMMANDS["set_fields"]
    sentence = "The open workflow has no field Canvas.nope; the nearest is Canvas.width."
    for error in (sentence, "x" * 100_000, None):
        activity.end(activity.begin("p", command, command.parse({"fields": [["a.b", 1]]})), "unknown_path", error)
    first, second, third = activity.everything()["entries"]
    assert (first["error"], third["error"]) == (sentence, None) and len(second["error"]) < 2000


def test_a_run_that_waits_for_the_person_is_not_in_progress() -> None:
    activity, command = Activity(), COMMANDS["run"]
    entry = activity.begin("p", command, command.parse({}))
    entry.state = "asking"
    assert activity.running() == []
    entry.state = "running"
    assert activity.running() == ["p"]
