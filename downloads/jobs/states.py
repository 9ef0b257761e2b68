"""The states of a download and of its models."""

from __future__ import annotations

from enum import Enum


class ItemState(str, Enum):
    """The state of one model of a download."""

    PENDING = "pending"
    WAITING_FOR_URL = "waiting_for_url"
    RESOLVING = "resolving"
    WAITING = "waiting"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"
    PAUSED = "paused"

    def __str__(self) -> str:
        return self.value


class RunState(str, Enum):
    """The state of a download."""

    INITIALIZING = "initializing"
    CHECKING = "checking"
    WAITING_FOR_URL = "waiting_for_url"
    DOWNLOADING = "downloading"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"
    PAUSED = "paused"

    def __str__(self) -> str:
        return self.value


# States of a model that can be resumed.
RESUMABLE = frozenset({ItemState.PAUSED, ItemState.ERROR, ItemState.CANCELLED})
# States of a model that has stopped.
ENDED = RESUMABLE | {ItemState.SUCCESS}
