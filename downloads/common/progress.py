"""The progress of a transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# What a fetch is doing.
Phase = Literal["queued", "resolving", "waiting", "connecting", "downloading", "verifying"]


@dataclass
class Progress:
    """The progress of a transfer; written on its thread, read on any.

    Attributes:
        phase: what the fetch is doing.
        bytes: bytes present so far.
        total: bytes of the whole file, None while unknown.
        is_in_place: whether the file has its final name; from then on it is no longer cancelled.
    """

    phase: Phase = "connecting"
    bytes: int = 0
    total: int | None = None
    is_in_place: bool = False
