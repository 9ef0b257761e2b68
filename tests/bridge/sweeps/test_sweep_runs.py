"""A sweep is queued a few prompts at a time, collects every result, and ends in whichever way it is stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError, disconnected

from .conftest import Lab, Line, answer, turns


def statuses(sweep: Any) -> list[str]:
    return [result["status"] for result in sweep.answer()["results"]]


async def test_every_variation_is_run_in_order_with_its_own_value(lab: Lab, line: Line) -> None:
    sweep = lab.begin([answer([1, 2, 3]), answer([4, 5])], 5)
    for _ in range(5):
        await line.one()
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert [body["prompt"]["1"]["inputs"]["v"] for body in line.bodies] == [1, 2, 3, 4, 5]
    swept = sweep.answer()
    assert (swept["status"], swept["done"], swept["exported"], swept["next"]) == ("finished", 5, 5, None)
    assert [result["fields"][0]["value"] for result in swept["results"]] == [1, 2, 3, 4, 5]
    assert [result["files"][0]["filename"] for result in swept["results"]] == [f"p{at}.png" for at in range(1, 6)]


async def test_only_a_few_prompts_are_in_the_queue_at_a_time(lab: Lab, line: Line) -> None:
    lab.begin([answer([*range(20)])], 20)
    await turns()
    assert len(line.waiting) == 4
    for _ in range(20):
        await line.one()
    assert line.most == 4


async def test_an_event_comes_for_each_result_and_one_at_the_end(lab: Lab, line: Line) -> None:
    sweep = lab.begin([answer([1, 2])], 2)
    await line.one()
    await line.one("error")
    await asyncio.wait_for(sweep.over.wait(), 60)
    first, second, last = lab.events
    assert (first["done"], first["failed"], first["result"]["status"]) == (1, 0, "success")
    assert second["result"]["error"]["code"] == "execution_failed"
    assert last == {**sweep.progress(), "status": "finished"}


async def test_a_variation_that_fails_is_a_result_and_the_others_go_on(lab: Lab, line: Line) -> None:
    line.refused = {2}
    failed = {"fields": [], "warnings": [], "error": {"code": "invalid", "error": "Too wide.", "details": {}}}
    first = answer([1, 2])
    first["prompts"].append(failed)
    sweep = lab.begin([first, answer([4, 5])], 5)
    for how in ("success", "error", "success"):
        await line.one(how)
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert statuses(sweep) == ["success", "error", "error", "error", "success"]
    codes = [result["error"] and result["error"]["code"] for result in sweep.answer()["results"]]
    assert codes == [None, "execution_failed", "invalid", "execution_failed", None]
    assert sweep.status == "finished"


@pytest.mark.parametrize("how", ["runs", "is refused"])
async def test_the_first_failure_ends_a_sweep_if_that_is_requested(lab: Lab, line: Line, how: str) -> None:
    if how == "is refused":
        line.refused = {2}
    sweep = lab.begin([answer([*range(1, 9)])], 8, stops=True)
    await line.one()
    if how == "runs":
        await line.one("error")
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert sweep.status == "failed"
    assert statuses(sweep)[1] == "error"
    assert set(statuses(sweep)[2:]) == {"cancelled"}
    assert line.queued_ids() == set()


async def test_a_cancelled_sweep_leaves_the_queue_at_once_and_touches_nothing_else(lab: Lab, line: Line) -> None:
    line.waiting.append("person's")
    sweep = lab.begin([answer([*range(30)])], 30)
    await turns()
    line.start()
    mine = line.start()
    await lab.sweeps.cancel(sweep.sweep_id, 5)
    assert (line.running, line.waiting) == (["person's"], [])
    assert mine not in line.queued_ids()
    swept = sweep.answer()
    assert (swept["status"], swept["cancelled"], swept["next"]) == ("cancelled", 30, None)


async def test_an_interrupted_prompt_stops_the_whole_sweep(lab: Lab, line: Line) -> None:
    sweep = lab.begin([answer([*range(10)])], 10)
    await line.one()
    await line.one("interrupted")
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert (sweep.status, sweep.counts) == ("cancelled", {"success": 1, "error": 0, "cancelled": 9})
    assert line.queued_ids() == set()


async def test_a_cleared_queue_stops_the_sweep_after_the_prompt_that_runs(lab: Lab, line: Line) -> None:
    sweep = lab.begin([answer([*range(10)])], 10)
    await turns()
    running = line.start()
    line.clear()
    await turns()
    assert (line.running, line.waiting) == ([running], [])
    line.finish(running)
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert (sweep.status, sweep.counts["success"]) == ("cancelled", 1)


async def test_one_prompt_that_is_removed_from_the_queue_is_only_that_variation(lab: Lab, line: Line) -> None:
    sweep = lab.begin([answer([*range(6)])], 6)
    await turns()
    line.start()
    line.cancel(line.waiting[0])
    line.finish(line.running[0])
    await turns()
    for _ in range(4):
        await line.one()
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert statuses(sweep) == ["success", "cancelled", *["success"] * 4]
    assert sweep.status == "finished"


async def test_exported_prompts_are_run_without_the_tab(lab: Lab, line: Line) -> None:
    sweep = lab.begin([answer([1, 2, 3]), disconnected()], 8)
    for _ in range(3):
        await line.one()
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert statuses(sweep) == ["success"] * 3 + ["error"] * 5
    swept = sweep.answer()
    assert (swept["status"], swept["exported"], swept["failed"]) == ("failed", 3, 5)
    assert swept["results"][-1]["error"]["code"] == "client_disconnected"
    assert "last 5 of 8" in swept["warnings"][0]


@pytest.mark.parametrize(
    "first", [disconnected(), {"prompts": [{"error": {"code": "unknown_path", "error": "No such field."}}]}]
)
async def test_a_sweep_that_cannot_begin_fails_with_the_reason(lab: Lab, line: Line, first: Any) -> None:
    sweep = lab.begin([first], 3)
    with pytest.raises(UiapiError) as caught:
        await asyncio.wait_for(sweep.started, 60)
    assert caught.value.code in ("client_disconnected", "unknown_path")
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert lab.events == [] and line.bodies == []


async def test_nothing_is_queued_while_programs_are_paused(lab: Lab, line: Line) -> None:
    sweep = lab.begin([answer([1, 2, 3, 4, 5, 6])], 6)
    await turns()
    lab.permitted.clear()
    for _ in range(4):
        await line.one()
    await turns()
    assert line.waiting == [] and sweep.counts["success"] == 4
    lab.permitted.set()
    for _ in range(2):
        await line.one()
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert sweep.status == "finished"


async def test_the_page_exports_only_so_far_ahead_of_the_queue(
    lab: Lab, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfyui_uiapi.bridge.sweeps.runner.MAX_WAITING", 5000)
    sweep = lab.begin([answer([value]) for value in range(40)], 40)
    await turns(100)
    assert 5 < sweep.exported < 20
    for _ in range(40):
        await line.one()
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert [body["prompt"]["1"]["inputs"]["v"] for body in line.bodies] == [*range(40)]


async def test_a_server_that_stops_ends_its_sweeps_with_an_answer(lab: Lab, line: Line) -> None:
    sweep = lab.begin([answer([1, 2, 3])], 3)
    await turns()
    line.start()
    lab.sweeps.close()
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert sweep.status == "failed"
    assert sweep.answer()["results"][-1]["error"]["code"] == "shutting_down"
