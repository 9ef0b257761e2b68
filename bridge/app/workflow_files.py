"""Replaces a file in a request's `workflow` by the workflow in its metadata."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

from ...common.errors import UiapiError
from ..protocol.command_spec import Request

# The types of a file on the wire; programs that send pictures use the second one for these.
TYPES = frozenset({"file_base64", "image_base64"})


async def read_file(request: Request, *, api: bool) -> None:
    """Replace a file in a request by its workflow; other requests stay as they are.

    Args:
        request: changed in place.
        api: whether API format is needed, as for a run without a tab.

    Raises:
        UiapiError: as `workflow_in`, and `invalid` for data that is not base64.
    """
    given = vars(request).get("workflow")
    if isinstance(given, dict) and given.get("type") in TYPES and "data" in given:
        request.workflow = await asyncio.to_thread(_read, given["data"], api)  # type: ignore[attr-defined]


def _read(data: Any, api: bool) -> dict[str, Any]:
    # Imported at first use, since ComfyUI waits for every extension to import.
    from ..metadata.reader import workflow_in

    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise UiapiError("invalid", "The file in workflow is not base64; encode its bytes.") from None
    return workflow_in(content, api=api)
