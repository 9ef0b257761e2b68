"""What goes wrong, as exceptions that say what to do: the server's refusals, and no server to be reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .command_table import error_codes


class UiapiError(Exception):
    """A command was refused or failed.

    Attributes:
        code: what to branch on, such as "unknown_path"; docs/errors.md lists them all.
        message: one sentence that says what to do; also str() of the exception.
        details: facts for programs, such as node_errors.
        status: the HTTP status; 0 where nothing was answered.
    """

    def __init__(self, code: str, message: str, details: dict[str, Any] | None = None, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from their message alone, which another process could not do with this one.
        return type(self), (self.code, self.message, self.details, self.status)

    @property
    def candidates(self) -> list[str]:
        """Field paths that would work in place of the one that was unknown or ambiguous, the likeliest first."""
        return [str(path) for path in self.details.get("candidates") or self.details.get("nearest") or ()]

    def envelope(self) -> dict[str, Any]:
        """The error as the server sends it."""
        return {"status": "error", "error": self.message, "code": self.code, "details": self.details}


class Unreachable(UiapiError, ConnectionError):
    """No ComfyUI with the extension was reached, or the connection to it broke.

    `code` is "unreachable" when nothing was carried out, "connection_lost" when that is unknown, and "no_extension"
    when something else answered.
    """


class UiapiWarning(UserWarning):
    """A field was written, but something will change its value again."""


def refusal(envelope: Mapping[str, Any], status: int = 0) -> UiapiError:
    """Returns the error in an envelope; without a status, it has the HTTP status of its code."""
    code, details = str(envelope.get("code")), envelope.get("details")
    known = details if isinstance(details, dict) else None
    return UiapiError(code, str(envelope.get("error")), known, status or error_codes().get(code, 0))
