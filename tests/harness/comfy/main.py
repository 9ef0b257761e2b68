"""Runs ComfyUI's main.py as it is, after making torchvision loadable.

Usage: python main.py COMFYUI_FOLDER ARGUMENT...

torchvision's compiled operators are built for one torch build (CUDA). With another build they do not load, and
importing torchvision fails because it describes operators that are not declared. ComfyUI uses none of them at its
start, so declaring them is enough.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import torch

# torchvision/csrc/ops: the operators that torchvision/_meta_registrations.py and ops/ refer to on import.
OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def declare_missing_operators() -> torch.library.Library | None:
    """Declare torchvision's operators unless its compiled part loads; the caller keeps the returned library alive."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    try:
        for compiled in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(compiled)
            return None
    except OSError:
        # Built for another torch.
        pass
    library = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        library.define(operator + SIGNATURE)
    return library


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    declared = declare_missing_operators()
    sys.argv = [str(folder / "main.py"), *sys.argv[2:]]
    sys.path[0] = str(folder)
    runpy.run_path(sys.argv[0], run_name="__main__")
