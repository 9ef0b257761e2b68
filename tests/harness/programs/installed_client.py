"""Makes the client importable as `uiapi`, the name it is installed by, in this process and in others."""

from __future__ import annotations

import os
import sys
from pathlib import Path

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
    link = folder / "path" / "uiapi"
    if not link.exists():
        link.parent.mkdir()
        link.symlink_to(ROOT / "client", target_is_directory=True)
    kept = {name: value for name, value in os.environ.items() if name not in ("UIAPI_TOKEN", "PYTHONHOME")}
    found = [str(Path(sys.executable).parent), kept.get("PATH", "")]
    return {**kept, "PYTHONPATH": str(link.parent), "PATH": os.pathsep.join(found), "COMFYUI_URL": url}
