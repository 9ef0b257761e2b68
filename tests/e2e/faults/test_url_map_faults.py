"""The faults of the URL map on a real ComfyUI: broken, unreadable, newer, and written by many at once."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.comfy.alone import Alone
from comfyui_uiapi.tests.harness.programs.program import Program

HOUSE = "https://huggingface.co/a/b/resolve/main"


@pytest_asyncio.fixture(loop_scope="session")
async def program(alone: Alone) -> AsyncIterator[Program]:
    """A program."""
    async with Program(alone.comfy) as asking:
        yield asking


class Stored:
    """The file of the map on the disk."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> bytes:
        return self.file.read_bytes()

    def cut_short(self) -> bytes:
        """Truncate the file, as a power failure may, and return the rest."""
        half = self.read()[:-20]
        self.file.write_bytes(half)
        return half

    def mark(self) -> tuple[int, ...]:
        """Return what changes when the file is written."""
        seen = self.file.lstat()
        return seen.st_ino, seen.st_mtime_ns, seen.st_size

    def aside(self) -> Path:
        """Return the file that was set aside."""
        [found] = self.file.parent.glob(f"{self.file.name}.*")
        return found

    def neighbours(self) -> set[str]:
        """Return the names of its own files in its directory, in which others may be written at any time."""
        return {path.name for path in self.file.parent.iterdir() if self.file.name in path.name}


@pytest.fixture
def stored(alone: Alone) -> Iterator[Stored]:
    """The file of the map; there is none before and after."""
    file = alone.comfy.base / "user" / "__uiapi" / "model_urls.json"
    file.parent.mkdir(parents=True, exist_ok=True)

    def clear() -> None:
        for left in file.parent.glob(f"{file.name}*"):
            left.rmdir() if left.is_dir() else left.unlink()

    # Other tests of this ComfyUI have had addresses remembered.
    clear()
    yield Stored(file)
    clear()


def address(name: str) -> dict[str, str]:
    """Return the parameters with which a program saves a URL."""
    return {"model_name": name, "url": f"{HOUSE}/{name}", "model_type": "loras"}


async def addresses(program: Program) -> set[str]:
    """The names that the map has."""
    return {*(await program.get("model_urls"))[1]["response"]["urls"]}


async def test_a_map_that_was_cut_short_is_set_aside_under_its_date_and_reported(
    program: Program, stored: Stored
) -> None:
    await program.ok("add_model_url", address("first.safetensors"))
    half = stored.cut_short()
    before = datetime.now().replace(microsecond=0)
    assert await addresses(program) == set()
    aside = stored.aside()
    assert Stored(aside).read() == half
    match = re.fullmatch(r"model_urls\.json\.broken-(\d{8}-\d{6})-\d+", aside.name)
    assert match is not None and before <= datetime.strptime(match[1], "%Y%m%d-%H%M%S") <= datetime.now()
    reported = [line for line in program.comfy.log_text().splitlines() if aside.name in line]
    assert len(reported) == 1 and "model_urls.json cannot be used (it is not valid JSON" in reported[0]
    # Later saves start a new map; the broken file stays.
    await program.ok("add_model_url", address("second.safetensors"))
    assert await addresses(program) == {"second.safetensors"}
    assert Stored(aside).read() == half


def newer(stored: Path) -> None:
    stored.write_text(json.dumps({"version": 2, "urls": {"x.safetensors": f"{HOUSE}/x.safetensors"}, "more": [1]}))


def unreadable(stored: Path) -> None:
    # Root may read every file; a folder nobody can read as one.
    stored.mkdir()


def looping(stored: Path) -> None:
    stored.symlink_to(stored)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (newer, "model_urls.json was written by a newer ComfyUI-uiapi (version 2)"),
        (unreadable, "model_urls.json cannot be read (Is a directory)"),
        (looping, "model_urls.json cannot be read (Too many levels of symbolic links)"),
    ],
)
async def test_a_newer_or_unreadable_map_is_an_error_never_an_empty_map_and_stays_untouched(
    program: Program, stored: Stored, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(stored.file)
    before, kept = stored.neighbours(), stored.mark()
    answers: list[tuple[int, dict[str, Any]]] = [
        await program.get("model_urls"),
        await program.post("add_model_url", address("second.safetensors")),
        await program.post("remove_model_url", {"model_name": "x.safetensors"}),
        await program.post("download_models", {"workflow": {"nodes": [], "links": []}}),
        await program.post("plan_downloads", {"workflow": {"nodes": [], "links": []}}),
    ]
    for status, envelope in answers:
        assert (status, envelope.get("code")) == (507, "storage_failed"), envelope
        assert envelope["error"].startswith(says)
    assert (stored.mark(), stored.neighbours()) == (kept, before)


async def test_fifty_saves_at_once_all_arrive(program: Program, stored: Stored) -> None:
    names = {f"{number}.safetensors" for number in range(50)}
    # Over separate HTTP connections and one websocket at the same time.
    socket = await program.socket()
    asked = [
        socket.request("add_model_url", address(name)) if number % 2 else program.ok("add_model_url", address(name))
        for number, name in enumerate(names)
    ]
    await asyncio.gather(*asked)
    assert {*json.loads(stored.read())["urls"]} == names
    assert await addresses(program) == names
    assert [name for name in stored.neighbours() if name.endswith(".tmp")] == []
