"""The progress of a transfer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """The progress of a transfer; written on its thread, read on any.

    Attributes:
        phase: connecting, downloading or verifying.
        bytes: bytes present so far.
        total: bytes of the whole file, None while unknown.
        landed: whether the file has its final name; from then on it is no longer cancelled.
    """

    phase: str = "connecting"
    bytes: int = 0
    total: int | None = None
    landed: bool = False
