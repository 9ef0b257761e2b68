"""`pip install .` installs the client and its command line, and nothing of the server."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import tomllib
from comfyui_uiapi.tests.harness.programs.installed_client import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, since the build writes files next to the sources."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "client", source / "client", ignore=shutil.ignore_patterns("__pycache__"))
    words = ["wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", "made", "."]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip", *words], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [made] = (source / "made").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_contains_every_file_of_the_client_and_none_of_the_server(site: Path) -> None:
    found = {str(path.relative_to(site)) for path in (site / "uiapi").rglob("*") if path.is_file()}
    # client/js is the npm package.
    left_out = {"__pycache__", "js"}
    sources = (path for path in (ROOT / "client").rglob("*") if path.is_file() and not left_out & {*path.parts})
    assert found == {str(Path("uiapi") / path.relative_to(ROOT / "client")) for path in sources}
    assert {path.name.partition("-")[0] for path in site.iterdir()} == {"uiapi", "comfyui_uiapi"}


def test_it_imports_without_comfyui_torch_or_the_server_parts(site: Path) -> None:
    program = (
        "import sys; from uiapi import Client, AsyncClient; from uiapi.common.command_table import routes\n"
        "assert len(routes()) > 40\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "pydantic", "huggingface_hub", "comfy", "server", "bridge", "numpy", "PIL", "typer"}


def test_the_blocking_client_imports_no_asyncio_which_takes_longer_than_a_command(site: Path) -> None:
    program = "import sys, uiapi; print(*{'asyncio', 'aiohttp', 'filelock'} & {*sys.modules})"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_the_command_uiapi_is_installed(site: Path) -> None:
    [points] = site.glob("*.dist-info/entry_points.txt")
    assert "uiapi = uiapi.__main__:main" in points.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "uiapi", "--help"],
        env={"PYTHONPATH": str(site), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "Exit codes" in done.stdout


def test_requirements_and_dependencies_are_in_step() -> None:
    assert (ROOT / "requirements.txt").read_text().split() == PROJECT["project"]["dependencies"]


def test_dependencies_have_lower_bounds_only() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for requirement in [*PROJECT["project"]["dependencies"], *(one for extra in extras.values() for one in extra)]:
        assert ">=" in requirement and not set("<=!~,") & set(requirement.replace(">=", "", 1)), requirement


def test_the_repositorys_url_is_written_in_one_place() -> None:
    [url] = PROJECT["project"]["urls"].values()
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").rglob("*.*")]
    assert documents and not [path.name for path in documents if url != "<repository>" and url in path.read_text()]


def test_the_changelog_names_the_version() -> None:
    assert PROJECT["project"]["version"] in (ROOT / "CHANGELOG.md").read_text()


def test_the_registrys_archive_contains_the_code_and_no_tests() -> None:
    lines = (ROOT / ".comfyignore").read_text().splitlines()
    left_out = [line for line in lines if line and not line.startswith("#")]
    assert not [name for name in left_out if not (ROOT / name).exists()]
    assert {"tests/", "dev.py", ".ci/", ".github/"} <= set(left_out)
    runs = (
        "__init__.py",
        "server.py",
        "common",
        "bridge",
        "downloads",
        "web",
        "client",
        "pyproject.toml",
        "requirements.txt",
    )
    assert not [name for name in left_out if name.startswith(runs)]


def test_comfyuis_registry_finds_what_it_needs() -> None:
    assert {"PublisherId", "DisplayName", "Icon"} <= set(PROJECT["tool"]["comfy"])
    # Set in __init__.py; with both, ComfyUI would load the files twice.
    assert "web" not in PROJECT["tool"]["comfy"]
    assert {"name", "version", "description", "license"} <= set(PROJECT["project"])
