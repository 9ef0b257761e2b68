"""The requests of downloads, and a watch that recognizes when a download has ended and how."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from .errors import UiapiError

# {name: URL, model definition as a dict, or an object with to_dict()}.
Table = Mapping[str, Any]
# Seconds between two requests for the state of a download.
INTERVAL = 0.25


def request(
    table: Table | None, workflow: Mapping[str, Any] | None, *, search: bool = False, accept: str | None = None
) -> dict[str, Any]:
    """Returns the request data of download_models and plan_downloads."""
    # Left out unless they are wanted, since older servers do not know them.
    data: dict[str, Any] = {"search": True} if search else {}
    if accept is not None:
        data["accept"] = accept
    if table is not None:
        data["download_table"] = {
            name: model.to_dict() if hasattr(model, "to_dict") else model for name, model in table.items()
        }
    if workflow is not None:
        data["workflow"] = dict(workflow)
    return data


class Watch:
    """Follows one download.

    Args:
        begun: the response of download_models.
        timeout: seconds it may take; None for no limit.
    """

    def __init__(self, begun: Mapping[str, Any], timeout: float | None) -> None:
        self.download_id = str(begun["download_id"])
        self.query = {"download_id": self.download_id}
        self._timeout = timeout
        self._until = None if timeout is None else monotonic() + timeout

    def ended(self, state: Mapping[str, Any]) -> bool:
        """Returns whether all models are downloaded. Raises UiapiError `download_failed` or `cancelled` otherwise."""
        if state["status"] == "paused":
            raise UiapiError(
                "cancelled", "The download was paused; continue it with download_resume.", {"download": dict(state)}
            )
        if not state["completed"]:
            return False
        progress = self.progress(state)
        failed = {name: model for name, model in progress.items() if model["status"] == "error"}
        if failed:
            reasons = "; ".join(str(model.get("error")) for model in failed.values())
            more = f" ({len(failed)} models)" if len(failed) > 1 else ""
            raise UiapiError("download_failed", f"{reasons}{more}", {"download": dict(state), "failed": failed})
        if state["status"] == "error":
            raise UiapiError("download_failed", str(state.get("error")), {"download": dict(state)})
        if state["status"] == "cancelled":
            raise UiapiError("cancelled", "The download was cancelled.", {"download": dict(state)})
        cancelled = [name for name, model in progress.items() if model["status"] == "cancelled"]
        if cancelled:
            sentence = f"Cancelled: {', '.join(cancelled)}; the other models are available."
            raise UiapiError("cancelled", sentence, {"download": dict(state)})
        return True

    @staticmethod
    def progress(state: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the progress of each model by name."""
        return dict(state.get("progress") or {})

    def is_late(self) -> bool:
        """Returns whether the time-out has passed."""
        return self._until is not None and monotonic() > self._until

    def late(self) -> UiapiError:
        """Returns the error for a download that took too long."""
        return UiapiError(
            "timeout",
            f"The download took longer than {self._timeout:g} s and was cancelled.",
            {"download_id": self.download_id},
        )
