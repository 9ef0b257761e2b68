"""The error codes of this package with their HTTP statuses, and the exception that carries them.

A caller gets one sentence that says what to do, a `code` to branch on and, where it helps, `details`.
"""

from __future__ import annotations

from typing import Any

# One table from code to HTTP status. 408 is missing on purpose: HTTP clients retry a request automatically
# on 408, and a repeated `execute` runs the workflow twice.
STATUS: dict[str, int] = {
    "malformed": 400,
    "bad_path": 400,
    "cross_origin": 403,
    "foreign_host": 403,
    "token_required": 403,
    "wrong_token": 403,
    "forbidden": 403,
    # A connection that asks to join as a tab but is not a page of this server.
    "wrong_page": 403,
    # A web app that the person has not decided about, or has refused.
    "waiting_for_person": 403,
    "web_app_refused": 403,
    # Not allowed by the person at the browser, as a rule or (423) for now.
    "refused_by_person": 403,
    "paused": 423,
    # Downloads that the operator does not allow.
    "host_refused": 403,
    "pickle_refused": 403,
    # Requirements of a host for a model: log in, accept its terms, or wait.
    "login_required": 403,
    "gated": 403,
    "early_access": 403,
    "unknown_command": 404,
    "unknown_webui": 404,
    "unknown_path": 404,
    "unknown_download": 404,
    "unknown_sweep": 404,
    "unknown_model": 404,
    "unknown_node": 404,
    "unknown_group": 404,
    "unknown_snapshot": 404,
    "unknown_tab": 404,
    "unknown_request": 404,
    "unknown_template": 404,
    "unknown_node_type": 404,
    "unknown_folder": 404,
    "not_at_source": 404,
    "wrong_method": 405,
    "ambiguous_path": 409,
    "conflict": 409,
    # A model file that exists but cannot be used, or is not the expected one.
    "damaged": 409,
    "revision_changed": 409,
    "tab_changed": 409,
    "cancelled": 409,
    "declined": 409,
    "gone_at_source": 410,
    "execution_interrupted": 409,
    "result_lost": 410,
    "too_large": 413,
    "unsupported_type": 415,
    "invalid": 422,
    # A picture or another file that holds no workflow.
    "no_workflow": 422,
    "execution_failed": 422,
    "too_many": 429,
    "rate_limited": 429,
    # A defect of this package; nothing a caller sends should lead to it.
    "internal": 500,
    "storage_failed": 507,
    "disk_full": 507,
    "tab_failed": 502,
    "client_disconnected": 502,
    "source_failed": 502,
    # The downloaded file is not the expected one and is not kept.
    "not_a_model": 502,
    "size_mismatch": 502,
    "hash_mismatch": 502,
    "no_webui": 503,
    "offline": 503,
    "shutting_down": 503,
    "timeout": 504,
}

# The error codes of values that the server downloads from a URL.
URL_CODES = frozenset(
    "host_refused forbidden source_failed not_at_source gone_at_source login_required gated early_access rate_limited "
    "offline too_large disk_full storage_failed timeout shutting_down".split()
)

# The codes a tab may answer; any other code from a tab is reported as tab_failed.
TAB_CODES = frozenset(
    {
        "unknown_path",
        "unknown_node",
        "unknown_node_type",
        "unknown_group",
        "unknown_snapshot",
        "unknown_tab",
        "ambiguous_path",
        "invalid",
        "conflict",
        "revision_changed",
        "tab_changed",
        "declined",
        "execution_failed",
        "tab_failed",
    }
)

DISCONNECTED_MESSAGE = "Client disconnected"


class UiapiError(Exception):
    """An error that is reported to the caller.

    Args:
        code: a key of STATUS.
        message: one sentence that says what went wrong and what to do.
        details: JSON-compatible facts for programs (candidates, limits, the tab's own message).
    """

    def __init__(self, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        if code not in STATUS:
            raise ValueError(f"{code!r} is not in the table of error codes")
        self.code = code
        self.message = message
        self.details = details or {}

    @property
    def status(self) -> int:
        """The HTTP status of this error."""
        return STATUS[self.code]

    def anew(self) -> UiapiError:
        """Return the same error without a traceback, so that it keeps no frames and their objects alive."""
        return UiapiError(self.code, self.message, self.details)

    def envelope(self) -> dict[str, Any]:
        """The error as it is sent: status, error, code and, when there are any, details."""
        body: dict[str, Any] = {"status": "error", "error": self.message, "code": self.code}
        if self.details:
            body["details"] = self.details
        return body


def stopping() -> UiapiError:
    """Return the error for requests that arrive, or are still pending, when ComfyUI stops."""
    return UiapiError("shutting_down", "ComfyUI is stopping; try again once it is back.")


def disconnected(**details: Any) -> UiapiError:
    """Return the error for requests whose tab disconnected; existing clients compare its exact sentence."""
    return UiapiError("client_disconnected", DISCONNECTED_MESSAGE, details)


def wrong_page() -> UiapiError:
    """Return the error for a connection that asks to join as a tab but is not a page of this server."""
    return UiapiError(
        "wrong_page",
        "Only ComfyUI's own page may join as a tab; reload it, or join with the role 'client' from a program.",
    )


def waiting_for_person() -> UiapiError:
    """Return the error for web apps that the person has not decided about, which does not show the reason."""
    return UiapiError(
        "waiting_for_person",
        "The person at ComfyUI's page has not allowed this web app yet; ask them to answer the question there, or to "
        "allow it in the panel 'Programs', and send the request again.",
    )


def web_app_refused() -> UiapiError:
    """Return the error for web apps that the person has refused."""
    return UiapiError(
        "web_app_refused",
        "The person at ComfyUI's page does not allow this web app; they can change that in the panel 'Programs'.",
    )
