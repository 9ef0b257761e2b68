"""dev.py's own command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from comfyui_uiapi.tests.tools.build import ROOT


def test_compiled_modules_are_kept_although_the_environment_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "test_kept.py").write_text("import sys\n\n\ndef test_kept():\n    assert not sys.dont_write_bytecode\n")
    command = [sys.executable, "dev.py", "test", "-c", os.devnull, f"--rootdir={tmp_path}", str(tmp_path)]
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
