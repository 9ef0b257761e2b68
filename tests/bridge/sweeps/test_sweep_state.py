"""The state of a sweep, its answers and how long they are kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from comfyui_uiapi.bridge.sweeps import registry
from comfyui_uiapi.bridge.sweeps.exports import Reader
from comfyui_uiapi.bridge.sweeps.sweep import Sweep, Wish
from comfyui_uiapi.common.errors import UiapiError

from .conftest import Lab, Line, answer, prompt


async def test_results_are_returned_in_order_up_to_the_first_that_has_not_ended() -> None:
    sweep = Sweep("render.py", Wish(3, 2))
    for index in (0, 1, 3, 2):
        sweep.result(index, "success")
    assert [result["index"] for result in sweep.answer()["results"]] == [0, 1, 2, 3]
    assert [(one["variation"], one["repeat"]) for one in sweep.answer()["results"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert sweep.answer()["next"] == 4
    assert [result["index"] for result in sweep.answer(first=1, limit=2)["results"]] == [1, 2]
    assert sweep.answer(first=1, limit=2)["next"] == 3
    assert (sweep.answer(first=4)["results"], sweep.answer(first=4)["next"]) == ([], 4)


async def test_an_answer_has_only_as_many_results_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfyui_uiapi.bridge.sweeps.sweep.MAX_ANSWER", 1000)
    sweep = Sweep("render.py", Wish(10))
    for index in range(10):
        sweep.result(index, "success")
    seen: list[int] = []
    following: Any = 0
    while following is not None:
        part = sweep.answer(following)
        assert 0 < len(part["results"]) < 10
        seen += [result["index"] for result in part["results"]]
        following = part["next"]
    assert seen == [*range(10)]


async def test_texts_of_results_are_bounded_for_the_whole_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfyui_uiapi.bridge.sweeps.sweep.MAX_HELD", 5000)
    sweep = Sweep("render.py", Wish(100))
    for index in range(100):
        files = sweep.room().fit([{"node_id": "1", "kind": "text", "text": "x" * 1000}])
        sweep.result(index, "success", files=files)
    assert sweep.size < 5000 + 100 * 500


async def test_a_sweep_that_has_ended_is_kept_for_a_while_and_only_some_of_them(
    lab: Lab, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MAX_ENDED", 2)
    idents = []
    for _ in range(4):
        sweep = lab.begin([answer([1])], 1)
        idents.append(sweep.sweep_id)
        await line.one()
        await asyncio.wait_for(sweep.over.wait(), 60)
    assert lab.sweeps.find(idents[-1]).status == "finished"
    with pytest.raises(UiapiError) as caught:
        lab.sweeps.find(idents[0])
    assert caught.value.code == "unknown_sweep"
    monkeypatch.setattr(registry, "KEEP", -1.0)
    with pytest.raises(UiapiError):
        lab.sweeps.find(idents[-1])


async def test_only_so_many_sweeps_run_at_a_time(lab: Lab) -> None:
    for _ in range(registry.MAX_RUNNING):
        lab.begin([answer([1])], 1)
    with pytest.raises(UiapiError) as caught:
        lab.begin([answer([1])], 1)
    assert caught.value.code == "too_many"


def test_similar_prompts_share_their_pieces() -> None:
    reader = Reader()
    first = reader.read(answer([1, 2]))
    second = reader.read(answer([1, 3]))
    assert [export.body() for export in first + second] == ["".join(prompt(value)).encode() for value in (1, 2, 1, 3)]
    assert second[0].base[0] is first[0].base[0]
    assert second[0].size == first[1].size - len(prompt(2)[1])


@pytest.mark.parametrize("change", [[9, "{}"], [-1, "{}"], ["0", "{}"], [0, 1]])
def test_a_change_that_fits_nothing_is_refused(change: list[Any]) -> None:
    broken = answer([1])
    broken["prompts"].append({"changes": [change]})
    with pytest.raises(UiapiError) as caught:
        Reader().read(broken)
    assert caught.value.code == "tab_failed"
