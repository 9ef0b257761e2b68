"""What of a failure may be told: without tokens, in letters every encoding has, and our own defects by a reference."""

from __future__ import annotations

import logging
import traceback
from typing import Any
from uuid import uuid4

from ...common.errors import UiapiError
from .credentials import redact

log = logging.getLogger("uiapi")


def plain(text: str) -> str:
    """`text` with a question mark for each half of a character, which JSON may hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def told(error: UiapiError) -> UiapiError:
    """A failure as it is shown and sent; a host's own words may be part of it."""
    details = {key: plain(value) if isinstance(value, str) else value for key, value in error.details.items()}
    return UiapiError(error.code, plain(redact(error.message)), details)


def log_defect(what: str, error: BaseException) -> None:
    """Log the traceback of a failure that nobody foresaw, without tokens."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    log.error("%s failed:\n%s", what, plain(redact(text)))


def unforeseen(what: str, error: BaseException) -> UiapiError:
    """For a defect of ours: the traceback is logged under a reference that the caller gets."""
    reference = uuid4().hex[:8]
    log_defect(f"[{reference}] {what}", error)
    details: dict[str, Any] = {"reference": reference}
    return UiapiError(
        "internal",
        f"{plain(what)} failed inside ComfyUI-uiapi; look for [{reference}] in ComfyUI's log and report it.",
        details,
    )
