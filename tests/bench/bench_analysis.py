"""Time to analyze which models a workflow needs, for every official template with ComfyUI's node classes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from playwright.async_api import Playwright

from ..tools import build
from .runner import Row

PROBE = Path(__file__).parent / "support" / "analysis_probe.py"
# Seconds for ComfyUI's modules to be imported and all templates to be read.
DEADLINE = 300.0


async def measure(_: Playwright) -> list[Row]:
    """Rows for the analysis, for finding URLs, and for reading the node classes and the lists of models once."""
    found = await asyncio.to_thread(_probe)
    read, find = ([seconds * 1000 for seconds in found[key]] for key in ("read", "find"))
    return [
        Row("analysis of a template, median", median(read), "ms", 1.0, compared=f"{len(read)} workflows"),
        Row("analysis of a template, worst", max(read), "ms", 20.0, compared=f"{found['needs']} needs"),
        Row("URLs of the models of a template, median", median(find), "ms", 1.0),
        Row("URLs of the models of a template, worst", max(find), "ms"),
        Row("reading all node classes, once", found["learn"] * 1000, "ms"),
        Row("reading the lists of models, once", found["lists"] * 1000, "ms", 300.0),
    ]


def _probe() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=build.STACK, prefix="bench-") as base:
        where: list[str | Path] = [build.ROOT, build.COMFYUI, build.TEMPLATES / "templates", base, build.MANAGER]
        command: list[str | Path] = [build.PYTHON, PROBE, *where]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"the probe failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
