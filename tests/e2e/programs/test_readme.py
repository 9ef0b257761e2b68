"""Every command in the README and in docs/ works, in the order of its page, on a real ComfyUI with a real tab."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomllib
from comfyui_uiapi.tests.bench import runner
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess, free_port
from comfyui_uiapi.tests.harness.documents import DOCS, PAGES, README, Page
from comfyui_uiapi.tests.harness.programs import installed_client
from comfyui_uiapi.tests.tools import build

# Commands with their own test below.
DEV = [*dict.fromkeys(line for page in PAGES for line in page.lines if line.startswith("python3 dev.py"))]
PROJECT = tomllib.loads((build.ROOT / "pyproject.toml").read_text())["project"]
START = "python main.py --listen"
# Runs until it is interrupted; tests/client/farm runs the same.
FARM = "uiapi farm"

one_frontend = pytest.mark.parametrize("frontend", [build.FRONTENDS[0]], indirect=True, scope="session")


def run(command: list[Any] | str, folder: Path, env: dict[str, str], seconds: float = 300) -> str:
    """Run a program, which must succeed, and return its output."""
    words = ["sh", "-e", "-c", command] if isinstance(command, str) else command
    done = subprocess.run(  # noqa: S603 - the documentation's own words
        words, cwd=folder, env=env, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def at_hand(tmp_path: Path, checkout: Path) -> Callable[[str], dict[str, str]]:
    """The environment of a person who has installed everything; takes ComfyUI's URL."""
    programs = tmp_path / "programs"
    programs.mkdir()
    [node] = build.VENV.glob("lib/python3*/site-packages/playwright/driver/node")
    # The package as it is here; where it goes is left out, since everything is installed and pip only has to agree.
    package = f"""
for word; do
  shift
  case "$word" in --target=*) continue ;; comfyui-uiapi*) word="{checkout}${{word#comfyui-uiapi}}" ;; esac
  set -- "$@" "$word"
done
exec "{sys.executable}" -m pip "$@" --dry-run --no-build-isolation --quiet"""
    shims = {
        "uiapi": f'exec "{sys.executable}" -m uiapi "$@"',
        "python": f'exec "{sys.executable}" "$@"',
        "pip": package,
        "blender-python": 'shift 2\nexec pip "$@"',
        # It looks the package up in ComfyUI's registry.
        "comfy": f'[ "$*" = "node install {PROJECT["name"]}" ]',
        "node": f'exec "{node}" "$@"',
        # Without it curl succeeds on error responses too.
        "curl": f'case "$*" in *--fail*) ;; *) set -- --fail-with-body "$@" ;; esac\nexec {shutil.which("curl")} "$@"',
    }
    for name, text in shims.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)

    def environment(url: str) -> dict[str, str]:
        env = installed_client.environment(tmp_path, url)
        blender = {"BLENDER_PYTHON": str(programs / "blender-python")}
        # uiapi tab puts the profile of its browser there.
        cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        return {**env, **blender, **cache, "PATH": os.pathsep.join([str(programs), env["PATH"]])}

    return environment


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that the commands name."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(build.ROOT / name, folder)
    shutil.copytree(build.ROOT / "client", folder / "client", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@one_frontend
@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks], ids=lambda page: page.name)
async def test_every_block_of_commands_works_after_the_one_before(
    tab: Tab, checkout: Path, at_hand: Callable[[str], dict[str, str]], tmp_path: Path, page: Page
) -> None:
    env = at_hand(tab.comfy.url)
    # Whoever reads the start page has installed the client and has no checkout.
    folder = checkout
    if page is README:
        folder = tmp_path / "empty"
        folder.mkdir()
    # The URL in a command, where it is written out, is the usual one.
    webui = f"--webui {tab.webui}"
    for kind, text in page.blocks:
        if kind == "python":
            said = await asyncio.to_thread(run, [sys.executable, "-c", text], folder, env)
            assert said.strip(), f"prints nothing:\n{text}"
        elif "<repository>" in text:
            await asyncio.to_thread(run, text.replace("<repository>", str(repository(checkout))), tmp_path, env)
        elif not any(line in DEV or START in line or FARM in line for line in text.splitlines()):
            here = text.replace("http://127.0.0.1:8188", tab.comfy.url).replace("--webui 1", webui)
            await asyncio.to_thread(run, here, folder, env)
    made = {name for _, text in page.blocks for name in re.findall(r"\w+\.png", text)}
    for picture in made | ({"frame_2.png"} if page is DOCS["runs"] else set()):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG"), picture
    if page is DOCS["http"]:
        assert json.loads((checkout / "openapi.json").read_text())["openapi"].startswith("3.")


def repository(checkout: Path) -> Path:
    """The copy as a repository that can be cloned."""
    for words in (["init"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-m", "x"]):
        run(["git", *words], checkout, {**os.environ})
    return checkout


async def test_comfyui_starts_with_a_token_as_the_documentation_says(
    new_comfy: Callable[..., ComfyProcess], at_hand: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    [line] = [line for line in DOCS["remote"].lines if START in line]
    name, token = line.partition(" ")[0].split("=")
    comfy = await asyncio.to_thread(lambda: new_comfy(args=["--listen"], env={name: token}))
    env = at_hand(comfy.url)
    [ask] = [line for line in DOCS["remote"].lines if line.startswith(f"{name}={token} uiapi")]
    assert "requests" in await asyncio.to_thread(run, ask, tmp_path, env)
    done = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", "uiapi status"], env=env, capture_output=True, check=False
    )
    assert done.returncode == 5


# -- dev.py -----------------------------------------------------------------------------------------------------


def demo(line: str, env: dict[str, str]) -> None:
    assert "Picture:" in run([sys.executable, *line.split()[1:]], build.ROOT, env, 300)


def serve(line: str, env: dict[str, str]) -> None:
    """`dev.py serve` runs until it is interrupted; any free port will do."""
    words = [sys.executable, *line.replace("8190", str(free_port())).split()[1:], "--no-browser"]
    with subprocess.Popen(words, cwd=build.ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)


def checked_elsewhere(line: str, env: dict[str, str]) -> None:
    """Continuous integration runs these commands itself."""
    assert line in (build.ROOT / ".ci/run").read_text().splitlines()


def bench(line: str, env: dict[str, str]) -> None:
    """The measurement exists; running it would take too long."""
    assert set(line.split()[3:]) <= set(runner.names())


def collected(line: str, env: dict[str, str]) -> None:
    """The option exists; running it would take too long."""
    words = [*line.split()[1:], "--collect-only", "-q", "tests/e2e/wire/test_document_fuzz.py"]
    assert "test_whatever_is_sent" in run([sys.executable, *words], build.ROOT, env, 300)


def whole(line: str, env: dict[str, str]) -> None:
    run([sys.executable, *line.split()[1:]], build.ROOT, env, 300)


def mutants(line: str, env: dict[str, str]) -> None:
    """Too long for every run, since each mistake runs the tests of a room; its options are there, and what it names."""
    words = line.split()
    printed = run([sys.executable, words[1], words[2], "--help"], build.ROOT, env)
    assert (build.ROOT / words[3]).is_file() and words[4] in printed


WAYS: dict[str, Callable[[str, dict[str, str]], None]] = {
    "python3 dev.py demo": demo,
    "python3 dev.py test": checked_elsewhere,
    "python3 dev.py test --fuzz": collected,
    "python3 dev.py lint": checked_elsewhere,
    "python3 dev.py bench client": bench,
    "python3 dev.py mutants bridge/policy/access.py --most 50": mutants,
    "python3 dev.py run --port 8190": serve,
}


@pytest.mark.parametrize("line", DEV)
async def test_every_command_of_dev_py_works(line: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    await asyncio.to_thread(WAYS.get(line, whole), line, env)
