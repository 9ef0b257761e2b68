"""The disk's side of a transfer: pieces go to their place, are hashed behind, checked early, noted, and renamed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from ...common.errors import UiapiError
from ..common.progress import Progress
from ..common.threads import settled
from .disk import disk_error
from .file_check import FollowingHash, HeadCheck
from .ledger import Block, Identity, Ledger
from .open_folder import Check
from .partial_file import Partial

# Bytes of a file of unknown length that there must be room for before more of it is taken.
ROOM_STEP = 16 << 20


class Sink:
    """Takes one file's bytes.

    Args:
        target: the file's final path.
        sha256: the digest it must have, None if nobody said.
        overwrite: whether a file of that name is replaced.
        progress: kept up to date.
        check: asked about the target's folder once it is held open.
    """

    def __init__(
        self, target: Path, sha256: str | None, overwrite: bool, progress: Progress, check: Check | None = None
    ) -> None:
        self.identity = Identity(None, None, None)
        self.ledger = Ledger(0)
        self._partial = Partial(target, check)
        self._sha256 = sha256
        self._overwrite = overwrite
        self._progress = progress
        self._hash: FollowingHash | None = None
        self._head: HeadCheck | None = None
        self._checking = False
        self._frontier = 0
        # The length it must have by what is wanted or by its own header, and, where nobody announced one, up to where
        # there was room.
        self.expected: int | None = None
        self._room = 0

    async def left_over(self) -> tuple[Identity, list[tuple[int, int]]] | None:
        """What an earlier transfer left: of which file, and what is missing."""
        return await settled(self._partial.load)

    async def prepare(self, identity: Identity, ledger: Ledger, *, fresh: bool, expected: int | None = None) -> None:
        """Get ready for a file: the space set aside, `fresh` without anything that was there.

        Args:
            identity: which version of which file comes.
            ledger: what is missing of it.
            fresh: whether a partial that is there is emptied.
            expected: the length it must have, None if nobody said.

        Raises:
            UiapiError: `disk_full`, `storage_failed`, or `not_a_model` for a partial of something else.
        """
        await self._stop_hash()
        self.identity, self.ledger = identity, ledger
        self._progress.total, self._progress.bytes = ledger.total, ledger.present
        self._progress.phase = "downloading"
        self._head = HeadCheck(self._partial.target.name, ledger.total)
        self.expected, self._room = expected, 0
        self._frontier = ledger.frontier
        if self._partial.descriptor < 0:
            await settled(self._partial.open)
        await settled(lambda: self._partial.allocate(ledger.total or 0, fresh=fresh))
        if self._sha256 is not None:
            self._hash = FollowingHash(self._partial.path, lambda: self._frontier)
        if not fresh:
            await self._check_head()

    async def write(self, block: Block, piece: bytes) -> None:
        """Put a piece where its block is. UiapiError as `prepare`, or `size_mismatch` by the file's own header."""
        if self.ledger.total is None:
            await self._check_growth(block.position + len(piece))
        # On this thread on purpose: reading from the network waits while the disk does.
        self._partial.write(piece, block.position)
        block.position += len(piece)
        self._progress.bytes += len(piece)
        self._frontier = self.ledger.frontier
        if self._hash is not None:
            self._hash.grown()
        if self._head is not None and not self._checking:
            await self._check_head()

    async def note(self) -> None:
        """Have the journal say what is on the disk, if that can be resumed from. UiapiError as `prepare`."""
        if self.identity.resumable and self.ledger.total is not None:
            missing = self.ledger.missing()
            await settled(self._partial.sync)
            await settled(self._partial.note, self.identity, missing)

    async def land(self) -> None:
        """Verify the whole file and give it its name.

        Raises:
            UiapiError: `hash_mismatch`, `not_a_model`, `size_mismatch`, `conflict` when the name was taken
                meanwhile, or as `prepare`.
        """
        self._progress.phase = "verifying"
        self._frontier = total = self.ledger.total or 0
        await self._check_head()
        if self._head is not None:
            raise UiapiError("not_a_model", f"What came for {self._partial.target.name} ends within its own header.")
        self._check_length(total)
        # The disk writes while the rest is hashed.
        sync = asyncio.ensure_future(settled(self._partial.sync))
        try:
            await self._check_hash(total)
        finally:
            await asyncio.wait({sync})
        sync.result()
        await settled(self._land)

    def _land(self) -> None:
        self._partial.land(overwrite=self._overwrite)
        self._progress.landed = True

    async def put_away(self, *, keep: bool) -> None:
        """Close what is open; with `keep` a partial that can be resumed stays, else nothing does."""
        await self._stop_hash()
        if keep and self._partial.descriptor >= 0 and self.identity.resumable and self.ledger.present:
            with suppress(UiapiError):
                await self.note()
                await settled(self._partial.close)
                return
        if not keep or self._partial.descriptor >= 0:
            await settled(self._partial.remove)

    async def _check_head(self) -> None:
        self._checking = True
        try:
            while self._head is not None and self._frontier >= self._head.needed:
                await settled(self._partial.look_at, self._head.step)
                if not self._head.needed:
                    if self._head.implied is not None:
                        self.expected = self._head.implied
                    self._head = None
        finally:
            self._checking = False

    async def _check_growth(self, end: int) -> None:
        """Before a file of unknown length becomes `end` bytes long: whether it may, and whether there is room."""
        if self.expected is not None and end > self.expected:
            self._check_length(end)
        if end > self._room:
            self._room = end + ROOM_STEP
            await settled(self._partial.check_room, ROOM_STEP)

    def _check_length(self, length: int) -> None:
        if self.expected is not None and length != self.expected:
            raise UiapiError(
                "size_mismatch",
                f"{length} bytes came for {self._partial.target.name} and it should have {self.expected}; "
                "the source has a broken copy.",
                {"size": length, "expected": self.expected},
            )

    async def _check_hash(self, total: int) -> None:
        if self._hash is None:
            return
        finishing = asyncio.ensure_future(settled(self._hash.finish, total))
        try:
            digest = await asyncio.shield(finishing)
        except asyncio.CancelledError:
            # The rest of a large file takes longer than whoever stops it waits for.
            self._hash.give_up()
            await asyncio.wait({finishing})
            raise
        except OSError as error:
            raise disk_error(error, self._partial.target) from error
        self._hash = None
        if digest != self._sha256:
            raise UiapiError(
                "hash_mismatch",
                f"What came for {self._partial.target.name} has not the SHA256 it should have; "
                "the source has another file.",
                {"sha256": digest, "expected": self._sha256},
            )

    async def _stop_hash(self) -> None:
        if self._hash is not None:
            stop, self._hash = self._hash.stop, None
            await settled(stop)
