"""Makes the client importable as `uiapi`, the name it is installed by, in this process and in others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

from .... import client

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "client" / "examples"

# The same module, so that an error raised by one is caught by the other.
sys.modules["uiapi"] = client


def environment(folder: Path, url: str) -> dict[str, str]:
    """Return the environment variables with which a process finds `uiapi` and the ComfyUI at `url`.

    Args:
        folder: where what Python needs to find it is put.
    """
    link = _link(folder)
    kept = {name: value for name, value in os.environ.items() if name not in ("UIAPI_TOKEN", "PYTHONHOME")}
    found = [str(Path(sys.executable).parent), kept.get("PATH", "")]
    return {**kept, "PYTHONPATH": str(link.parent), "PATH": os.pathsep.join(found), "COMFYUI_URL": url}


@contextmanager
def separate(folder: Path, module: str) -> Iterator[ModuleType]:
    """Import a module below `uiapi` by that name, as other processes know it that unpickle its functions.

    It is another copy than the one below `comfyui_uiapi.client`, which keeps its modules.

    Args:
        folder: as for `environment`.
    """
    others = _take_out()
    sys.path.insert(0, str(_link(folder).parent))
    try:
        yield import_module(module)
    finally:
        sys.path.remove(str(_link(folder).parent))
        _take_out()
        sys.modules.update(others)


def _take_out() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] == "uiapi"]
    return {name: sys.modules.pop(name) for name in names}


def _link(folder: Path) -> Path:
    link = folder / "path" / "uiapi"
    if not link.exists():
        link.parent.mkdir()
        link.symlink_to(ROOT / "client", target_is_directory=True)
    return link
