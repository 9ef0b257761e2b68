"""The exceptions of the client. Each has a code and one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .command_table import error_codes


class UiapiError(Exception):
    """A command failed or was refused.

    Attributes:
        code: error code for programs, such as "unknown_path"; docs/errors.md lists all codes.
        message: one sentence that says what to do; also str() of the exception.
        details: further data for programs, such as node_errors.
        status: the HTTP status; 0 without a response.
    """

    def __init__(self, code: str, message: str, details: dict[str, Any] | None = None, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        # By default pickle passes only the message to __init__, which needs the code too.
        return type(self), (self.code, self.message, self.details, self.status)

    @property
    def candidates(self) -> list[str]:
        """Field paths that could replace an unknown or ambiguous one, the most likely first."""
        return [str(path) for path in self.details.get("candidates") or self.details.get("nearest") or ()]

    def envelope(self) -> dict[str, Any]:
        """Returns the error in the form in which the server sends it."""
        return {"status": "error", "error": self.message, "code": self.code, "details": self.details}


class Unreachable(UiapiError, ConnectionError):
    """No ComfyUI with the extension was reached, or the connection to it broke.

    `code` is "unreachable" if the command was not carried out, "connection_lost" if that is unknown, and
    "no_extension" if a server without the extension responded.
    """


class UiapiWarning(UserWarning):
    """A command was carried out, but not quite as requested: a value was changed, or a node was not run."""


def refusal(envelope: Mapping[str, Any], status: int = 0) -> UiapiError:
    """Returns the error in an envelope; the default status is the HTTP status of its code."""
    code, details = str(envelope.get("code")), envelope.get("details")
    known = details if isinstance(details, dict) else None
    return UiapiError(code, str(envelope.get("error")), known, status or error_codes().get(code, 0))
