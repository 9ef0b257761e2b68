"""The Python client of ComfyUI-uiapi: drives the workflow that is open in ComfyUI's browser tab.

    from uiapi import Client

    with Client() as client:
        client["Prompt.text"] = "a lighthouse at dawn"
        client.run().image.save("lighthouse.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import UiapiError, UiapiWarning, Unreachable
from .events import Event
from .results import OutputFile, OutputText, Prompt, Run
from .sync import Client

if TYPE_CHECKING:
    from .aio import AsyncClient

__all__ = [
    "AsyncClient",
    "Client",
    "Event",
    "OutputFile",
    "OutputText",
    "Prompt",
    "Run",
    "UiapiError",
    "UiapiWarning",
    "Unreachable",
]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    # aiohttp takes longer to import than most scripts take to run, and some hosts of Python do not have it.
    if name == "AsyncClient":
        from .aio import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
