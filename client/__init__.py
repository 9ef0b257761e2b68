"""The Python client of ComfyUI-uiapi, which drives the workflow that is open in ComfyUI's browser tab.

`Client` blocks until each response has arrived; `AsyncClient` has the same methods for asyncio:

    from uiapi import Client

    with Client() as client:
        client["Prompt.text"] = "a lighthouse at dawn"
        client.run().image.save("lighthouse.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client import Client
from .common.errors import UiapiError, UiapiWarning, Unreachable
from .common.events import Event
from .common.results import OutputFile, OutputText, Prompt, Run
from .sweep.item import SweepItem

if TYPE_CHECKING:
    from .async_client import AsyncClient
    from .sweep.files.sheet import contact_sheet

    __version__: str

__all__ = [
    "AsyncClient",
    "Client",
    "Event",
    "OutputFile",
    "OutputText",
    "Prompt",
    "Run",
    "SweepItem",
    "UiapiError",
    "UiapiWarning",
    "Unreachable",
    "contact_sheet",
]


def __getattr__(name: str) -> Any:
    # aiohttp takes longer to import than most scripts take to run, and some applications that embed Python lack it.
    if name == "AsyncClient":
        from .async_client import AsyncClient

        return AsyncClient
    if name == "contact_sheet":
        from .sweep.files.sheet import contact_sheet

        return contact_sheet
    if name == "__version__":
        from .common.command_table import version

        return version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
