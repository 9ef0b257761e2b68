"""Error messages that are safe to show and log: without tokens, encodable, and with a reference for internal errors."""

from __future__ import annotations

import logging
import traceback
from typing import Any
from uuid import uuid4

from ...common.errors import UiapiError
from .credentials import redact

log = logging.getLogger("uiapi")


def plain(text: str) -> str:
    """`text` with lone surrogates, which JSON may contain and UTF-8 cannot, replaced by question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def presentable(error: UiapiError) -> UiapiError:
    """A copy of an error that is safe to show and send; it may quote the message of a host."""
    details = {key: plain(value) if isinstance(value, str) else value for key, value in error.details.items()}
    return UiapiError(error.code, plain(redact(error.message)), details)


def log_defect(what: str, error: BaseException) -> None:
    """Log the traceback of an unexpected error, without tokens."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    log.error("%s failed:\n%s", what, plain(redact(text)))


def unforeseen(what: str, error: BaseException) -> UiapiError:
    """An `internal` error for an unexpected exception, whose traceback is logged under the error's reference."""
    reference = uuid4().hex[:8]
    log_defect(f"[{reference}] {what}", error)
    details: dict[str, Any] = {"reference": reference}
    return UiapiError(
        "internal",
        f"{plain(what)} failed inside ComfyUI-uiapi; look for [{reference}] in ComfyUI's log and report it.",
        details,
    )
