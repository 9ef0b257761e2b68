"""The loop over a sweep with both clients: every result once, in either order, and how it ends early."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
from aiohttp import web
from comfyui_uiapi.client import AsyncClient, Client, UiapiError, UiapiWarning
from comfyui_uiapi.client.sweep.item import SweepItem
from comfyui_uiapi.tests.client.conftest import Blocking, of_client
from comfyui_uiapi.tests.client.sweep.conftest import Loop
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.fakes.scripted_sweeps import Sweeps, picture

GRID: dict[str, Any] = {"KSampler.cfg": [4, 6], "KSampler.seed": range(3)}


async def test_a_grid_gives_every_combination_with_its_picture(sweeps: Sweeps, loop: Loop) -> None:
    items, error = await loop(GRID)
    assert error is None and [item.index for item in items] == [*range(6)]
    assert items[4].fields == {"KSampler.cfg": 6, "KSampler.seed": 1}
    assert [item.image.data for item in items] == [picture(index) for index in range(6)]
    [command, data], *_ = sweeps.asked
    assert command == "sweep" and len(data.pop("sweep_id")) == 32
    assert data == {
        "grid": {"KSampler.cfg": [4, 6], "KSampler.seed": [0, 1, 2]},
        "seeds": 1,
        "on_error": "continue",
        "wait": False,
    }
    assert "sweep_cancel" not in sweeps.commands()


async def test_a_list_of_variations_is_sent_as_it_is(sweeps: Sweeps, loop: Loop) -> None:
    items, _ = await loop([{"A.b": 1}, [["A.b", 2], ["A.c", "x"]]])
    assert [item.fields for item in items] == [{"A.b": 1}, {"A.b": 2, "A.c": "x"}]
    assert sweeps.asked[0][1]["variations"] == [[["A.b", 1]], [["A.b", 2], ["A.c", "x"]]]


async def test_one_text_and_one_picture_are_one_value(sweeps: Sweeps, loop: Loop) -> None:
    await loop({"A.text": "a cat", "A.image": numpy.zeros((2, 2, 3), numpy.uint8), "A.n": numpy.arange(2)})
    grid = sweeps.asked[0][1]["grid"]
    assert (grid["A.text"], len(grid["A.image"]), grid["A.n"]) == (["a cat"], 1, [0, 1])


async def test_results_come_as_they_end(sweeps: Sweeps, loop: Loop, eventually: Callable[..., Any]) -> None:
    sweeps.auto = False
    came: list[int] = []
    looping = asyncio.ensure_future(loop(GRID, each=lambda item: came.append(item.index)))
    await eventually(lambda: "sweep" in sweeps.commands())
    for index in (2, 0):
        await sweeps.end(index)
        await eventually(lambda index=index: came[-1:] == [index])
    await sweeps.end(1, 3, 4, 5)
    await sweeps.finish()
    items, _ = await looping
    assert [item.index for item in items] == [2, 0, 1, 3, 4, 5]


async def test_ordered_results_wait_for_those_before(
    sweeps: Sweeps, loop: Loop, eventually: Callable[..., Any]
) -> None:
    sweeps.auto = False
    looping = asyncio.ensure_future(loop(GRID, ordered=True))
    await eventually(lambda: "sweep" in sweeps.commands())
    await sweeps.end(5, 2, 0, 1, 4, 3)
    await sweeps.finish()
    items, _ = await looping
    assert [item.index for item in items] == [*range(6)]


async def test_results_whose_events_were_lost_come_once(
    scripted: Scripted, sweeps: Sweeps, loop: Loop, eventually: Callable[..., Any], impatient: None
) -> None:
    sweeps.auto, sweeps.limit = False, 2
    looping = asyncio.ensure_future(loop(GRID))
    await eventually(lambda: "sweep" in sweeps.commands())
    await sweeps.end(0)
    scripted.drop()
    await sweeps.end(1, 2, 3, 5, say=False)
    await eventually(lambda: sum(frame["command"] == "subscribe" for frame in scripted.frames) == 2)
    await sweeps.end(4)
    await sweeps.finish(say=False)
    items, error = await looping
    assert error is None and sorted(item.index for item in items) == [*range(6)]


async def test_without_a_websocket_the_server_is_asked(scripted: Scripted, sweeps: Sweeps, loop: Loop) -> None:
    scripted.greeting = {"type": "nonsense"}
    items, error = await loop(GRID)
    assert error is None and len(items) == 6


async def test_a_failed_variation_has_an_error_and_the_others_continue(sweeps: Sweeps, loop: Loop) -> None:
    sweeps.failing = {1}
    items, error = await loop(GRID)
    assert error is None and len(items) == 6
    assert [item.error.code for item in items if item.error] == ["execution_failed"]
    assert str(items[1].error) == "KSampler: no model." and items[1].files == []


async def test_stop_raises_the_first_error_after_its_result(sweeps: Sweeps, loop: Loop) -> None:
    sweeps.failing = {1, 3}
    items, error = await loop(GRID, on_error="stop")
    assert [item.index for item in items] == [0, 1] and error is items[1].error
    assert sweeps.asked[0][1]["on_error"] == "stop"


async def test_a_picture_that_is_gone_is_an_error_of_its_variation_only(
    scripted: Scripted, sweeps: Sweeps, loop: Loop
) -> None:
    scripted.answers["view"] = lambda request: web.Response(
        status=404 if request.query["filename"] == "1.png" else 200, body=b"x"
    )
    items, error = await loop(GRID)
    assert error is None and [item.error.code if item.error else None for item in items[:3]] == [
        None,
        "not_found",
        None,
    ]


async def test_without_fetch_nothing_is_fetched(scripted: Scripted, sweeps: Sweeps, loop: Loop) -> None:
    items, _ = await loop(GRID, fetch=False)
    assert items[0].files[0].data == b"" and not [request for request in scripted.seen if request.path == "/view"]


async def test_a_sweep_that_the_person_stops_raises_cancelled(
    sweeps: Sweeps, loop: Loop, eventually: Callable[..., Any]
) -> None:
    sweeps.auto = False
    looping = asyncio.ensure_future(loop(GRID))
    await eventually(lambda: "sweep" in sweeps.commands())
    await sweeps.end(0, 1)
    await sweeps.finish("cancelled")
    items, error = await looping
    assert len(items) == 2 and error is not None and error.code == "cancelled" and "2 of 6" in error.message


async def test_a_sweep_that_takes_too_long_is_cancelled(sweeps: Sweeps, loop: Loop) -> None:
    sweeps.auto = False
    items, error = await loop(GRID, timeout=0.2)
    assert items == [] and error is not None and error.code == "timeout" and error.details["sweep_id"] == "s1"
    assert sweeps.sweeps["s1"]["status"] == "cancelled"


async def test_a_sweep_that_does_not_even_start_in_time_is_cancelled_too(
    scripted: Scripted, sweeps: Sweeps, loop: Loop
) -> None:
    begin: Any = scripted.answers["sweep"]
    sweeps.auto = False

    async def late(request: web.Request) -> web.Response:
        await begin(request)
        return web.json_response({"status": "error", "code": "timeout", "error": "It goes on."}, status=504)

    scripted.answers["sweep"] = late
    _, error = await loop(GRID, timeout=5.0)
    assert error is not None and error.code == "timeout" and sweeps.sweeps["s1"]["status"] == "cancelled"
    assert scripted.bodies[0]["timeout"] == 5.0


async def test_a_warning_of_many_variations_is_one_python_warning(sweeps: Sweeps, loop: Loop) -> None:
    sweeps.warnings = ["the seed will be randomised"]
    with pytest.warns(UiapiWarning) as warned:
        items, _ = await loop(GRID)
    assert [str(one.message) for one in of_client(warned)] == ["the seed will be randomised"]
    assert items[5].warnings == sweeps.warnings


async def test_the_warnings_of_a_field_name_it(sweeps: Sweeps, loop: Loop) -> None:
    sweeps.field_warnings = {"KSampler.cfg": ["The widget holds 1 instead of 0."]}
    with pytest.warns(UiapiWarning) as warned:
        items, _ = await loop(GRID)
    said = ["KSampler.cfg: The widget holds 1 instead of 0."]
    assert [str(one.message) for one in of_client(warned)] == said == items[2].warnings


async def test_follow_gives_all_results_of_a_sweep_under_way(
    sweeps: Sweeps, loop: Loop, eventually: Callable[..., Any]
) -> None:
    await loop(GRID)
    sweeps.limit = 4
    items, error = await loop("s1", method="follow")
    assert error is None and len(items) == 6 and sweeps.commands().count("sweep") == 1
    _, error = await loop("s7", method="follow")
    assert error is not None and error.code == "unknown_sweep"


@pytest.mark.parametrize("values", [[], {}, {"A.b": []}, {"A.b": range(10_001)}, [{"A.b": 1}] * 10_001])
async def test_none_or_too_many_variations_are_refused_before_anything_is_sent(
    scripted: Scripted, sweeps: Sweeps, loop: Loop, values: Any
) -> None:
    with pytest.raises(UiapiError):
        raise (await loop(values))[1] or AssertionError
    assert scripted.seen == []


# -- leaving early ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [False, True])
async def test_leaving_the_loop_cancels_the_rest_unless_it_is_kept(
    scripted: Scripted, sweeps: Sweeps, blocking: Blocking, eventually: Callable[..., Any], keep: bool
) -> None:
    sweeps.auto = False

    def leave() -> None:
        with Client(scripted.url) as client:
            for _ in client.sweep(GRID, keep=keep):
                break
            assert ("sweep_cancel" in sweeps.commands()) != keep

    leaving = asyncio.ensure_future(blocking(leave))
    await eventually(lambda: "sweep" in sweeps.commands())
    await sweeps.end(0)
    await leaving

    async with AsyncClient(scripted.url) as client:

        async def leave_too() -> None:
            async with client.sweep(GRID, keep=keep) as sweep:
                async for _ in sweep:
                    break

        task = asyncio.ensure_future(leave_too())
        await eventually(lambda: sweeps.commands().count("sweep") == 2)
        await sweeps.end(0, sweep_id="s2")
        await task
        assert sweeps.commands().count("sweep_cancel") == 2 * (not keep)


async def test_an_exception_in_the_loop_cancels_the_rest(
    scripted: Scripted, sweeps: Sweeps, blocking: Blocking, eventually: Callable[..., Any]
) -> None:
    sweeps.auto = False

    def fail() -> None:
        with Client(scripted.url) as client:
            for _ in client.sweep(GRID):
                raise ZeroDivisionError

    failing = asyncio.ensure_future(blocking(fail))
    await eventually(lambda: "sweep" in sweeps.commands())
    await sweeps.end(0)
    with pytest.raises(ZeroDivisionError):
        await failing
    assert sweeps.commands().count("sweep_cancel") == 1


async def test_closing_an_async_client_cancels_a_sweep_whose_loop_was_left(
    scripted: Scripted, sweeps: Sweeps, eventually: Callable[..., Any]
) -> None:
    sweeps.auto = False
    async with AsyncClient(scripted.url) as client:
        sweep = client.sweep(GRID)
        results = sweep.__aiter__()
        first = asyncio.ensure_future(anext(results))
        await eventually(lambda: "sweep" in sweeps.commands())
        await sweeps.end(0)
        assert (await first).index == 0 and (sweep.total, sweep.done, sweep.status) == (6, 1, "running")
    assert sweeps.sweeps["s1"]["status"] == "cancelled"
    await results.aclose()  # type: ignore[attr-defined]


# -- animations -------------------------------------------------------------------------------------------------


async def test_frames_are_saved_in_their_order_under_numbers(sweeps: Sweeps, invoke: Any, tmp_path: Path) -> None:
    seen: list[int] = []
    paths = await invoke(
        "animate",
        3,
        lambda frame: {"A.b": frame * 10},
        tmp_path / "frames",
        on_frame=lambda item: seen.append(item.index),
    )
    assert [path.name for path in paths] == ["0000.png", "0001.png", "0002.png"] and seen == [0, 1, 2]
    assert [path.read_bytes() for path in paths] == [picture(index) for index in range(3)]
    assert sweeps.asked[0][1]["variations"] == [[["A.b", 0]], [["A.b", 10]], [["A.b", 20]]]


async def test_a_frame_that_fails_ends_the_animation_with_its_error(
    sweeps: Sweeps, invoke: Any, tmp_path: Path
) -> None:
    sweeps.failing = {1}
    with pytest.raises(UiapiError, match="no model"):
        await invoke("animate", [1, 2, 3], lambda frame: {"A.b": frame}, tmp_path)
    assert os.listdir(tmp_path) == ["0000.png"]


# -- farms ------------------------------------------------------------------------------------------------------


@pytest.fixture
def farm(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A farm that returns results in the opposite order; a result without a picture has an error."""
    seen: dict[str, Any] = {}

    def run(export: Any, variations: Any, farm: Any, *, read: Any, stop: Any, **options: Any) -> Iterator[SweepItem]:
        seen.update(
            farm=farm, options=options, prompts=export(variations), read=read("/view?filename=3.png"), stop=stop
        )
        for index in reversed(range(len(variations))):
            if stop.is_set():
                return
            yield SweepItem(
                index, dict(variations[index]), error=None if index != 1 else UiapiError("tab_failed", "no")
            )

    monkeypatch.setitem(sys.modules, "comfyui_uiapi.client.farm.sweep", SimpleNamespace(run=run))
    return seen


async def test_a_sweep_on_a_farm_takes_its_prompts_from_the_open_workflow(
    scripted: Scripted, sweeps: Sweeps, loop: Loop, farm: dict[str, Any]
) -> None:
    parts = iter([{"prompts": [{"index": 0}], "next": 1}, {"prompts": [{"index": 1}], "next": None}])
    scripted.answers["export_prompts"] = lambda request: next(parts)
    items, error = await loop({"A.b": [1, 2]}, seeds=2, farm=["http://gpu1:8188"], ordered=True)
    assert error is None and [item.index for item in items] == [0, 1, 2, 3]
    assert [item.fields["A.b"] for item in items] == [1, 1, 2, 2]
    assert farm["farm"] == ["http://gpu1:8188"] and [one["index"] for one in farm["prompts"]] == [0, 1]
    assert farm["read"] == picture(3) and farm["options"]["fetch"] is True and farm["stop"].is_set()


async def test_a_farm_is_stopped_by_the_first_error_or_when_the_loop_is_left(
    scripted: Scripted, sweeps: Sweeps, loop: Loop, farm: dict[str, Any]
) -> None:
    scripted.answers["export_prompts"] = lambda request: {"prompts": [], "next": None}
    items, error = await loop({"A.b": [1, 2, 3]}, farm="tcp://host:8786", on_error="stop")
    assert [item.index for item in items] == [2, 1] and error is not None and error.code == "tab_failed"
    assert farm["stop"].is_set() and farm["options"]["on_error"] == "stop"
