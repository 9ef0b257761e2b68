"""The output of the command line in terminals of several widths, and in a pipe."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from aiohttp import web
from comfyui_uiapi.client.cli.terminal import duration
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.programs.installed_client import environment
from comfyui_uiapi.tests.harness.programs.terminal import in_terminal

ADVICE = "ComfyUI lists it as flux/detail.safetensors; use relink_models to correct the widgets of this workflow."
PLAN = {
    "models": [
        {
            "name": "detail.safetensors",
            "directory": "loras",
            "action": "spelled_differently",
            "size": 10,
            "reason": {"code": "spelled_differently", "message": ADVICE},
        }
    ],
    "totals": {"download": 0, "bytes": 0},
    "verdict": "ready",
}
NODE = {"path": "Prompt", "type": "CLIPTextEncode", "widgets": [{"name": "text", "value": "a mountain lake " * 20}]}


@pytest.fixture
def planned(scripted: Scripted) -> Scripted:
    scripted.answers["plan_downloads"] = PLAN
    scripted.answers["query_fields"] = lambda request: web.json_response(
        {"status": "ok", "response": {"nodes": [NODE]}}
    )
    return scripted


@pytest.mark.parametrize("columns", [80, 200])
async def test_advice_is_never_cut_and_no_line_is_wider_than_the_terminal(
    planned: Scripted, tmp_path: Path, columns: int
) -> None:
    out = await in_terminal(planned.url, tmp_path, columns, "plan")
    lines = out.splitlines()
    assert max(map(len, lines)) <= columns
    # The words of a wrapped cell are in the last column of several lines.
    start = min(line.index(word) for line in lines for word in ("ComfyUI lists",) if word in line)
    # A word may be wrapped too.
    assert "".join("".join(line[start:] for line in lines[1:-1]).split()) == ADVICE.replace(" ", "")
    assert "detail.safetensors" in out


@pytest.mark.parametrize("columns", [80, 200])
async def test_a_long_value_fills_the_line_and_paths_are_whole(planned: Scripted, tmp_path: Path, columns: int) -> None:
    lines = (await in_terminal(planned.url, tmp_path, columns, "query")).splitlines()
    assert len(lines) == 2 and lines[1].startswith("Prompt.text  a mountain lake")
    assert "…" in lines[1] and lines[1].rstrip().endswith("CLIPTextEncode") and len(lines[1].rstrip()) == columns


async def test_in_a_pipe_each_row_is_one_whole_line(planned: Scripted, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "uiapi", "query"),
        stdout=asyncio.subprocess.PIPE,
        env=environment(tmp_path, planned.url),
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    [_, line] = out.decode().splitlines()
    assert line.rstrip() == f"Prompt.text  {('a mountain lake ' * 20).strip()}  CLIPTextEncode"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (1, "1 second"), (61, "1 minute 1 second"), (7200, "2 hours"), (90000, "1 day 1 hour")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words
