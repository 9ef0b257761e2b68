"""Bookkeeping of a partial file: which of its bytes are present, and of which version of the remote file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """Identifies a version of a remote file.

    Attributes:
        size: its length in bytes.
        validator: its ETag or Last-Modified date.
        sha256: the digest it must have.
        address: the URL it was requested from, without the query.
    """

    size: int | None
    validator: str | None
    sha256: str | None
    address: str | None = None

    @property
    def resumable(self) -> bool:
        """Whether a later request can be verified to return the same bytes."""
        return self.size is not None and (self.validator is not None or self.sha256 is not None)

    def may_be(self, address: str, size: int | None, sha256: str | None) -> bool:
        """Whether it may be the wanted file; `size` and `sha256` are None if unknown."""
        if size not in (None, self.size):
            return False
        if self.sha256 is not None and sha256 is not None:
            return self.sha256 == sha256
        return self.address == address


class Block:
    """A range of the file that one connection fetches: `position` moves from `start` to `end`."""

    __slots__ = ("end", "position", "start")

    def __init__(self, start: int, end: int | None) -> None:
        self.start = start
        self.position = start
        self.end = end


class Ledger:
    """Tracks which bytes of a file are present, being fetched, or not yet claimed.

    Args:
        total: the file's length, None if unknown; the file is then one block without an end.
        gaps: the missing ranges; the whole file if left out.
    """

    def __init__(self, total: int | None, gaps: list[tuple[int, int]] | None = None) -> None:
        self.total = total
        self._gaps: list[tuple[int, int]] = [(0, total or 0)] if gaps is None else sorted(gaps)
        self._gaps = [gap for gap in self._gaps if gap[0] < gap[1]]
        self._active: list[Block] = []

    def claim(self, most: int) -> Block | None:
        """Claim up to `most` bytes of the first missing range; None if everything is claimed."""
        if not self._gaps:
            return None
        start, end = self._gaps[0]
        cut = min(end, start + most)
        if cut == end:
            del self._gaps[0]
        else:
            self._gaps[0] = (cut, end)
        block = Block(start, cut)
        self._active.append(block)
        return block

    def claim_all(self) -> Block:
        """Claim the whole file as one block, without an end if the total is unknown."""
        self._gaps = []
        block = Block(0, self.total)
        self._active = [block]
        return block

    def release(self, block: Block) -> None:
        """Release a block; the bytes it did not fetch are missing again."""
        if block not in self._active:
            return
        self._active.remove(block)
        if block.end is None:
            self._gaps = []
        elif block.position < block.end:
            self._gaps = sorted([*self._gaps, (block.position, block.end)])

    def missing(self) -> list[tuple[int, int]]:
        """All missing ranges, in order."""
        active = [(b.position, b.end) for b in self._active if b.end is not None and b.position < b.end]
        return sorted([*self._gaps, *active])

    @property
    def unclaimed(self) -> int:
        """Bytes that no connection has claimed."""
        return sum(end - start for start, end in self._gaps)

    @property
    def frontier(self) -> int:
        """Bytes from the start that are present without a gap."""
        ends = [b.position for b in self._active if b.end is None or b.position < b.end]
        if self._gaps:
            ends.append(self._gaps[0][0])
        return min(ends) if ends else self.total or 0

    @property
    def present(self) -> int:
        """Bytes that are present."""
        if self.total is None:
            return self._active[0].position if self._active else 0
        return self.total - sum(end - start for start, end in self.missing())
