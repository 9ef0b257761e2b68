"""The tool `sweep` for agents: results with one sheet of pictures, within bounds."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.client import AsyncClient, UiapiError, UiapiWarning
from comfyui_uiapi.client.mcp.calls import Calls
from comfyui_uiapi.client.mcp.parts import MAX_BYTES, MAX_SIDE
from comfyui_uiapi.client.mcp.work import Work
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.fakes.scripted_sweeps import Sweeps
from PIL import Image

Sweep = Callable[..., Awaitable[list[Any]]]
GRID = {"A.cfg": [4, 6], "A.seed": [1, 2, 3]}


@pytest.fixture
def sweeps(scripted: Scripted) -> Sweeps:
    """The sweeps of the scripted server."""
    return Sweeps(scripted)


@pytest.fixture
def sweep(scripted: Scripted, sweeps: Sweeps) -> Sweep:
    """Calls the tool and returns the parts of its result."""

    async def call(**arguments: Any) -> list[Any]:
        async with AsyncClient(scripted.url, reconnect=0) as client:
            calls = Calls(client)
            try:
                return await Work(calls, local=True).carry_out("sweep", arguments)
            finally:
                await calls.close()

    return call


async def test_an_agent_gets_every_result_and_one_sheet(sweep: Sweep, sweeps: Sweeps) -> None:
    sweeps.failing = {1}
    text, (content, mime) = await sweep(grid=GRID)
    answer = json.loads(text)
    assert (answer["total"], answer["done"], answer["failed"]) == (6, 5, 1)
    assert answer["results"][0] == {"index": 0, "fields": {"A.cfg": 4, "A.seed": 1}, "files": ["/view?filename=0.png"]}
    assert answer["results"][1]["error"] == {"code": "execution_failed", "error": "KSampler: no model."}
    assert mime == "image/png" and max(Image.open(io.BytesIO(content)).size) <= MAX_SIDE


async def test_an_agent_reads_that_a_field_holds_another_value(sweep: Sweep, sweeps: Sweeps) -> None:
    sweeps.field_warnings = {"A.cfg": ["The widget holds 1 instead of 0."]}
    with pytest.warns(UiapiWarning):
        text, *_ = await sweep(grid=GRID)
    assert json.loads(text)["results"][0]["warnings"] == ["A.cfg: The widget holds 1 instead of 0."]


async def test_the_sheet_of_a_hundred_is_within_the_bounds_of_a_picture(sweep: Sweep) -> None:
    _, (content, _) = await sweep(grid={"A.seed": [*range(100)]})
    assert len(content) <= MAX_BYTES and max(Image.open(io.BytesIO(content)).size) <= MAX_SIDE


@pytest.mark.parametrize("arguments", [{}, {"sweep_id": "of another program"}])
async def test_without_values_nothing_is_run_and_no_other_sweep_is_touched(
    sweep: Sweep, scripted: Scripted, arguments: dict[str, Any]
) -> None:
    with pytest.raises(UiapiError, match="grid"):
        await sweep(**arguments)
    assert not [request for request in scripted.seen if "sweep" in request.path]


async def test_more_than_a_hundred_are_refused_and_cancelled(sweep: Sweep, sweeps: Sweeps) -> None:
    sweeps.auto = False
    with pytest.raises(UiapiError, match="at most 100 variations, not 101"):
        await sweep(grid={"A.seed": [*range(101)]})
    assert sweeps.sweeps["s1"]["status"] == "cancelled"


async def test_results_before_an_error_are_returned_with_it(sweep: Sweep, sweeps: Sweeps) -> None:
    sweeps.failing = {2}
    text, _ = await sweep(grid=GRID, on_error="stop")
    answer = json.loads(text)
    assert len(answer["results"]) == 3 and answer["ended_early"]["code"] == "execution_failed"


async def test_without_pillow_an_agent_gets_the_first_pictures(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _, *pictures = await sweep(grid=GRID)
    assert len(pictures) == 4 and all(mime == "image/png" for _, mime in pictures)
