"""Building: a step is complete or absent, made once, and fails in one sentence that says what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from comfyui_uiapi.tests.tools import build, steps


def fill(folder: Path) -> None:
    (folder / "content").write_text("whole")


def test_an_interrupted_step_leaves_nothing_that_counts_as_made(tmp_path: Path) -> None:
    target = tmp_path / "piece"

    def interrupted(folder: Path) -> None:
        (folder / "content").write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        steps.make(target, "1", interrupted)
    assert not target.exists()
    assert steps.make(target, "1", fill)
    assert (target / "content").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["piece"]


def test_a_step_is_made_again_only_when_what_it_is_made_from_changes(tmp_path: Path) -> None:
    target = tmp_path / "piece"
    assert steps.make(target, "1", fill)
    (target / "mark").touch()
    assert not steps.make(target, "1", fill)
    assert (target / "mark").exists()
    assert steps.make(target, "2", fill)
    assert not (target / "mark").exists()


def test_a_folder_that_was_deleted_half_way_is_made_again(tmp_path: Path) -> None:
    target = tmp_path / "piece"
    steps.make(target, "1", fill)
    (target / steps.STAMP).unlink()
    assert steps.make(target, "1", fill)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("ERROR: [Errno 28] No space left on device", "disk is full"),
        ("NewConnectionError: [Errno -3] Temporary failure in name resolution", "check the network"),
        ("npm error code ENOTFOUND", "check the network"),
        ("collected\nERROR: something else entirely", "something else entirely"),
    ],
)
def test_a_failed_command_says_what_to_do(tmp_path: Path, output: str, sentence: str) -> None:
    program = "import sys; print(sys.argv[1]); sys.exit(1)"
    with pytest.raises(steps.Stop, match=sentence) as stop:
        steps.run("fetching", [sys.executable, "-c", program, output], tmp_path / "log")
    assert "\n" not in str(stop.value)


def test_a_nearly_full_disk_is_reported_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10**9}))
    with pytest.raises(steps.Stop, match="make 4 GB of room"):
        build._need_space()


def test_a_second_build_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    said: list[str] = []
    waits = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        waits.set()

    def second() -> None:
        with steps.lock(tmp_path / "lock"):
            order.append("second")

    monkeypatch.setattr(steps, "say", say)
    thread = threading.Thread(target=second)
    with steps.lock(tmp_path / "lock"):
        thread.start()
        assert waits.wait(60)
        thread.join(0.2)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]
    assert len(said) == 1 and "waiting for it" in said[0]


def test_the_lock_of_a_killed_build_is_free(tmp_path: Path) -> None:
    program = (
        "import fcntl, os, signal, sys; file = open(sys.argv[1], 'a+'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "lock"], check=False)  # noqa: S603
    with steps.lock(tmp_path / "lock"):
        pass


def test_comfyui_s_requirements_are_installed_but_for_what_is_unpacked_or_shimmed() -> None:
    names = {requirement.split(">")[0].split("~")[0] for requirement in build.comfyui_requirements()}
    assert {"aiohttp", "transformers", "av", "requests", "pydantic"} <= names
    assert not names & build.LEFT_OUT
