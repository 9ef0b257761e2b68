"""How far a transfer is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """How far a transfer is; written on its thread, read on any.

    Attributes:
        phase: connecting, downloading or verifying.
        bytes: how many are there.
        total: how many there will be, None while nobody knows.
        landed: whether the file has its name; nothing is cancelled from then on.
    """

    phase: str = "connecting"
    bytes: int = 0
    total: int | None = None
    landed: bool = False
