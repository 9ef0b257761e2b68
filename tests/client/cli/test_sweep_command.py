"""`uiapi sweep`: the files, the index and the sheet, and what a later call completes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client import UiapiError
from comfyui_uiapi.client.sweep import blocking_sweep
from comfyui_uiapi.client.sweep.files.folder import SweepFolder, opened
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.fakes.scripted_sweeps import Sweeps, picture
from comfyui_uiapi.tests.harness.programs.installed_client import environment
from PIL import Image

from .conftest import Uiapi

GRID = ("A.cfg=4,6,8", "A.seed=1..3")
ALL = [f"cfg={cfg},seed={seed}.png" for cfg in (4, 6, 8) for seed in (1, 2, 3)]


@pytest.fixture
def sweeps(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    """The sweeps of the scripted server, whose fields have numbers and a text."""
    monkeypatch.setattr(blocking_sweep, "QUIET", 0.05)
    scripted.answers["get_fields"] = {"A.cfg": 1.0, "A.seed": 1, "A.text": "now"}
    return Sweeps(scripted)


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())
    return found


def begun(sweeps: Sweeps) -> list[dict[str, Any]]:
    """The requests that began sweeps; between them, how a sweep is may be asked as often as its events take time."""
    return [data for command, data in sweeps.asked if command == "sweep"]


def has_rows(folder: Path, count: int) -> bool:
    """Whether the index that another process writes has so many rows; it may be read in the middle of a write."""
    try:
        return len(rows(folder)) == count
    except (FileNotFoundError, ValueError):
        return False


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


async def test_a_grid_gives_files_named_by_their_values_an_index_and_a_sheet(
    sweeps: Sweeps, talk: Uiapi, place: Path
) -> None:
    ended = await talk("sweep", *GRID, "-o", str(place / "out"), "--sheet", str(place / "sheet.png"))
    assert (ended.code, ended.err) == (0, "")
    assert pictures(place / "out") == sorted(ALL) and [row["files"][0] for row in rows(place / "out")] == ALL
    assert (place / "out" / ALL[4]).read_bytes() == picture(4)
    said = ended.out.splitlines()
    assert said[:2] == [f"Saved {place / 'out' / name}" for name in ALL[:2]]
    assert said[9:] == [
        "9 of 9 variations are done.",
        f"Index: {place / 'out' / 'index.csv'}, index.json",
        f"Sheet: {place / 'sheet.png'}",
    ]
    with Image.open(place / "sheet.png") as sheet:
        assert sheet.width > 300


async def test_a_number_for_a_text_field_is_sent_as_text(sweeps: Sweeps, talk: Uiapi, place: Path) -> None:
    assert (await talk("sweep", "A.text=1..2,x", "A.cfg=07e0", "-o", str(place))).code == 0
    assert sweeps.asked[0][1]["grid"] == {"A.text": ["1", "2", "x"], "A.cfg": ["07e0"]}


async def test_variations_are_read_from_standard_input(sweeps: Sweeps, talk: Uiapi, place: Path) -> None:
    ended = await talk("sweep", "-", "-o", str(place), "--json", stdin='[{"A.cfg": 4}, {"A.cfg": 6, "A.text": "x"}]')
    answer = json.loads(ended.out)
    assert ended.code == 0 and (answer["total"], answer["done"], answer["failed"], answer["skipped"]) == (2, 2, 0, 0)
    assert pictures(place) == ["cfg=4.png", "cfg=6,text=x.png"] and answer["saved"] == [
        str(place / "cfg=4.png"),
        str(place / "cfg=6,text=x.png"),
    ]
    for wrong in ("{}", "[1]", "x"):
        assert (await talk("sweep", "-", "-o", str(place), stdin=wrong)).code == 7


async def test_each_variation_can_be_run_several_times(sweeps: Sweeps, talk: Uiapi, place: Path) -> None:
    assert (await talk("sweep", "A.cfg=4,6", "--seeds", "2", "-o", str(place))).code == 0
    assert pictures(place) == ["cfg=4.png", "cfg=4~run2.png", "cfg=6.png", "cfg=6~run2.png"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("A.cfg",), 7, "Expected PATH=VALUE"),
        (("A.cfg=4,,5",), 7, "empty value"),
        (("A.cfg=4", "A.cfg=5"), 7, "given twice"),
        (("A.cfg=1..10001",), 7, "at most 10000"),
        (("A.cfg=1..10000", "A.seed=1..10000"), 7, "at most 10000"),
        (("A.cfg=1..2", "--seeds", "1000000000"), 7, "at most 10000"),
        (("A.cfg=4", "--sheet", "sheet.txt"), 7, "name it sheet.png"),
        (("A.cfg=4", "--sheet", "none/sheet.png"), 1, "does not exist; create it"),
        (("A.cfg=4", "--on-error", "perhaps"), 2, "continue"),
        (("A.cfg=4", "--farm", " ,"), 7, "--farm needs"),
        (("A.cfg=@none.txt",), 7, "give the path"),
        (("A.cfg=@none.png",), 7, "give the path"),
        ((), 2, "PATH=VALUES"),
    ],
)
async def test_a_wrong_call_is_refused_before_anything_runs(
    sweeps: Sweeps, talk: Uiapi, place: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    ended = await talk("sweep", *words, *(("-o", str(place / "out")) if words else ()))
    assert ended.code == code and says in ended.err
    assert sweeps.asked == [] and not (place / "out" / "index.json").exists()


async def test_what_is_refused_as_invalid_is_not_to_be_repeated(sweeps: Sweeps, talk: Uiapi, place: Path) -> None:
    ended = await talk("sweep", "-", "-o", str(place), stdin='[{"A.cfg": NaN}]')
    assert ended.code == 7 and "finite number" in ended.err and "--resume" not in ended.err


async def test_failed_variations_are_in_the_index_and_end_with_eight(sweeps: Sweeps, talk: Uiapi, place: Path) -> None:
    sweeps.failing = {1, 7}
    ended = await talk("sweep", *GRID, "-o", str(place), "--sheet", str(place / "sheet.png"))
    assert ended.code == 8 and "2 of 9 variations failed" in ended.err and "--resume" in ended.err
    assert "Warning: cfg=4,seed=2: KSampler: no model." in ended.err.replace("\n", " ")
    failed = [row for row in rows(place) if row["status"] == "error"]
    assert [row["index"] for row in failed] == [1, 7] and failed[0]["error"]["message"] == "KSampler: no model."
    sweeps.failing = set()
    ended = await talk("sweep", *GRID, "-o", str(place), "--resume")
    assert ended.code == 0 and "9 of 9 variations are done (7 of them before)." in ended.out
    assert [one[0][1] for one in begun(sweeps)[-1]["variations"]] == [4, 8]
    assert sorted(row["index"] for row in rows(place)) == [*range(9)]


async def test_runs_without_files_are_done_with_one_warning(
    scripted: Scripted, sweeps: Sweeps, talk: Uiapi, place: Path
) -> None:
    sweeps.files = False
    ended = await talk("sweep", *GRID, "-o", str(place))
    assert ended.code == 0 and ended.err.count("made no files") == 1 and len(rows(place)) == 9


async def test_stop_ends_with_the_first_error(sweeps: Sweeps, talk: Uiapi, place: Path) -> None:
    sweeps.failing = {2}
    ended = await talk("sweep", *GRID, "-o", str(place), "--on-error", "stop")
    assert ended.code == 8 and "KSampler: no model. The same command with --resume completes it." in ended.err
    assert [row["status"] for row in rows(place)] == ["success", "success", "error"]


async def test_a_sweep_that_is_complete_runs_nothing_again(sweeps: Sweeps, talk: Uiapi, place: Path) -> None:
    for _ in range(2):
        assert (await talk("sweep", *GRID, "-o", str(place), "--resume")).code == 0
    assert len(begun(sweeps)) == 1
    assert (await talk("sweep", *GRID, "-o", str(place))).code == 6


async def test_a_sweep_that_the_person_stops_says_how_to_go_on(
    sweeps: Sweeps, talk: Uiapi, place: Path, eventually: Callable[..., Any]
) -> None:
    sweeps.auto = False
    talking = asyncio.ensure_future(talk("sweep", *GRID, "-o", str(place), "--sheet", str(place / "sheet.png")))
    await eventually(lambda: "sweep" in sweeps.commands())
    await sweeps.end(0, 1)
    await sweeps.finish("cancelled")
    ended = await talking
    assert ended.code == 8 and "2 of 9 variations are done" in ended.err and "--resume" in ended.err
    assert pictures(place) == [*ALL[:2], "sheet.png"]


# -- the process ends -------------------------------------------------------------------------------------------

# Processes take long to start on a busy machine.
PATIENCE = 90.0


async def until(condition: Callable[[], Any]) -> None:
    async def spin() -> None:
        while not condition():  # noqa: ASYNC110 - the files of another process
            await asyncio.sleep(0.01)

    await asyncio.wait_for(spin(), PATIENCE)


Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
def start(scripted: Scripted, place: Path) -> Start:
    """Starts a command line in a process of its own."""

    async def run(*words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "uiapi", *words, env=environment(place, scripted.url),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    return run


async def killed(process: asyncio.subprocess.Process, with_signal: int) -> tuple[int | None, str]:
    """Sends a signal; returns the exit code and the errors."""
    process.send_signal(with_signal)
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    return process.returncode, errors.decode()


async def test_a_killed_process_is_completed_without_doing_one_twice(
    sweeps: Sweeps, talk: Uiapi, start: Start, place: Path
) -> None:
    sweeps.auto = False
    out = place / "out"
    process = await start("sweep", *GRID, "-o", str(out))
    await until(lambda: "sweep" in sweeps.commands())
    for index in (0, 1):
        await sweeps.end(index)
    await until(lambda: has_rows(out, 2))
    await killed(process, signal.SIGKILL)
    # ComfyUI goes on meanwhile.
    await sweeps.end(2, 3, 4, say=False)
    talking = asyncio.ensure_future(talk("sweep", *GRID, "-o", str(out), "--resume"))
    await until(lambda: has_rows(out, 5))
    await sweeps.end(5, 6, 7, 8)
    await sweeps.finish()
    ended = await talking
    assert ended.code == 0 and "9 of 9 variations are done (2 of them before)." in ended.out
    assert sweeps.commands().count("sweep") == 1 and pictures(out) == sorted(ALL)
    assert [row["index"] for row in rows(out)] == [*range(9)]
    assert [(out / name).read_bytes() for name in ALL] == [picture(index) for index in range(9)]


async def test_a_process_killed_before_the_first_answer_is_completed_without_doing_one_twice(
    sweeps: Sweeps, talk: Uiapi, start: Start, place: Path
) -> None:
    sweeps.answering.clear()
    process = await start("sweep", *GRID, "-o", str(place))
    await until(lambda: sweeps.sweeps and sweeps.sweeps["s1"]["status"] == "finished")
    await killed(process, signal.SIGKILL)
    sweeps.answering.set()
    assert (await talk("sweep", *GRID, "-o", str(place), "--resume")).code == 0
    assert sweeps.commands().count("sweep") == 1 and pictures(place) == sorted(ALL)


async def test_a_sweep_that_is_refused_leaves_nothing_to_resume(
    scripted: Scripted, sweeps: Sweeps, talk: Uiapi, place: Path
) -> None:
    begin = scripted.answers["sweep"]
    refusal = {"status": "error", "code": "no_webui", "error": "No tab is open."}
    scripted.answers["sweep"] = lambda request: web.json_response(refusal, status=503)
    assert "No tab is open." in (await talk("sweep", *GRID, "-o", str(place))).err
    scripted.answers["sweep"] = begin
    assert (await talk("sweep", *GRID, "-o", str(place))).code == 0
    assert pictures(place) == sorted(ALL)


async def test_after_a_restart_of_comfyui_only_the_rest_is_run(
    sweeps: Sweeps, talk: Uiapi, start: Start, place: Path
) -> None:
    sweeps.auto = False
    process = await start("sweep", *GRID, "-o", str(place))
    await until(lambda: "sweep" in sweeps.commands())
    await sweeps.end(0, 1)
    await until(lambda: has_rows(place, 2))
    await killed(process, signal.SIGKILL)
    sweeps.sweeps.clear()
    sweeps.auto = True
    assert (await talk("sweep", *GRID, "-o", str(place), "--resume")).code == 0
    assert len(begun(sweeps)[-1]["variations"]) == 7 and pictures(place) == sorted(ALL)


async def test_a_full_disk_ends_a_resumed_sweep_instead_of_starting_another(
    sweeps: Sweeps, talk: Uiapi, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(place, [[["A.cfg", 4]]], resume=False) as folder:
        folder.begun("s1", sweeps.scripted.url, [[["A.cfg", 4]]])
    sweeps.sweeps["s1"] = {"variations": [[["A.cfg", 4]]], "results": {}, "status": "running", "data": {}}
    await sweeps.end(0, say=False)
    await sweeps.finish(say=False)

    def full(*arguments: Any) -> None:
        raise UiapiError("storage_failed", "No space left on device.")

    monkeypatch.setattr(SweepFolder, "_save", full)
    ended = await talk("sweep", "A.cfg=4", "-o", str(place), "--resume")
    assert ended.code == 1 and "No space left" in ended.err and "sweep" not in sweeps.commands()


async def test_ctrl_c_cancels_the_sweep_and_says_what_is_done_and_how_to_go_on(
    sweeps: Sweeps, start: Start, place: Path
) -> None:
    sweeps.auto = False
    process = await start("sweep", *GRID, "-o", str(place), "--sheet", str(place / "sheet.png"))
    await until(lambda: "sweep" in sweeps.commands())
    await sweeps.end(0)
    # It says so after the picture is in the index and counted.
    assert process.stdout is not None
    assert (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).startswith(b"Saved ")
    assert has_rows(place, 1)
    code, errors = await killed(process, signal.SIGINT)
    assert code == 130 and "Stopped; 1 of 9 variations are done. The same command with --resume completes it." in errors
    assert sweeps.sweeps["s1"]["status"] == "cancelled" and (place / "sheet.png").exists() and "Traceback" not in errors
