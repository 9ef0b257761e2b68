"""The disk side of a transfer: writes pieces, hashes and checks them, keeps the journal, and renames the file."""

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

# Bytes of free space required before more of a file of unknown length is written.
ROOM_STEP = 16 << 20


class Sink:
    """Writes one file.

    Args:
        target: the file's final path.
        sha256: the digest it must have, None if unknown.
        overwrite: whether a file of that name is replaced.
        progress: updated while the file is written.
        check: called with the target's folder once it is open.
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
        # The length it must have, by the request or by its own header; and for a file of unknown length, the length up
        # to which free space was checked.
        self.expected: int | None = None
        self._room = 0
        # Whether the journal on the disk is of this version of the file.
        self._is_noted = False

    async def left_over(self) -> tuple[Identity, list[tuple[int, int]]] | None:
        """What an earlier transfer left: its identity and the missing ranges. None if nothing is usable."""
        return await settled(self._partial.load)

    async def prepare(self, identity: Identity, ledger: Ledger, *, fresh: bool, expected: int | None = None) -> None:
        """Open the partial file and reserve its space.

        Args:
            identity: the version of the file that will be written.
            ledger: the ranges that are missing.
            fresh: whether an existing partial file is emptied.
            expected: the length it must have, None if unknown.

        Raises:
            UiapiError: `disk_full`, `storage_failed`, or `not_a_model` if the partial file is of something else.
        """
        await self._stop_hash()
        self.identity, self.ledger = identity, ledger
        self._is_noted = not fresh
        self._progress.total, self._progress.bytes = ledger.total, ledger.present
        self._progress.phase = "downloading"
        self._head = HeadCheck(self._partial.target.name, ledger.total)
        self.expected, self._room = expected, 0
        self._frontier = ledger.frontier
        if self._partial.descriptor < 0:
            await settled(self._partial.open)
        await settled(lambda: self._partial.allocate(ledger.total or 0, fresh=fresh))
        if self._sha256 is not None:
            self._hash = FollowingHash(self._partial.reopened, lambda: self._frontier)
        if not fresh:
            await self._check_head()

    async def write(self, block: Block, piece: bytes) -> None:
        """Write a piece at its block's position. UiapiError as `prepare`, or `size_mismatch` by the file's header."""
        if self.ledger.total is None:
            await self._check_growth(block.position + len(piece))
        # On this thread on purpose, so that reading from the network waits for the disk.
        self._partial.write(piece, block.position)
        block.position += len(piece)
        self._progress.bytes += len(piece)
        self._frontier = self.ledger.frontier
        if self._hash is not None:
            self._hash.grown()
        if self._head is not None and not self._checking:
            await self._check_head()

    async def note(self) -> None:
        """Write the journal, if the file can be resumed. UiapiError as `prepare`, but not for a full disk.

        The space of the file itself is reserved, so a disk that fills up does not end its transfer.
        """
        if self.identity.resumable and self.ledger.total is not None:
            missing = self.ledger.missing()
            await settled(self._partial.sync)
            try:
                await settled(self._partial.note, self.identity, missing)
                self._is_noted = True
            except UiapiError as error:
                if error.code != "disk_full":
                    raise

    async def land(self) -> None:
        """Verify the whole file and rename it to its final name.

        Raises:
            UiapiError: `hash_mismatch`, `not_a_model`, `size_mismatch`, `conflict` if the name was taken
                meanwhile, or as `prepare`.
        """
        self._progress.phase = "verifying"
        self._frontier = total = self.ledger.total or 0
        await self._check_head()
        if self._head is not None:
            raise UiapiError(
                "not_a_model", f"{self._partial.target.name} ends within its own header; the source has a broken copy."
            )
        self._check_length(total)
        # The disk is flushed while the rest is hashed.
        sync = asyncio.ensure_future(settled(self._partial.sync))
        try:
            await self._check_hash(total)
        finally:
            await asyncio.wait({sync})
        sync.result()
        await settled(self._land)

    def _land(self) -> None:
        self._partial.land(overwrite=self._overwrite)
        self._progress.is_in_place = True

    async def put_away(self, *, keep: bool) -> None:
        """Close the file; a partial file that can be resumed is kept if `keep`, and removed otherwise."""
        await self._stop_hash()
        if keep and self._partial.descriptor >= 0 and self.identity.resumable and self.ledger.present:
            with suppress(UiapiError):
                await self.note()
            # If it could not be written, as on a full disk, the one before lists fewer bytes.
            if self._is_noted:
                await settled(self._partial.close)
                return
        if not keep or self._partial.descriptor >= 0:
            await settled(self._partial.remove)
        else:
            await settled(self._partial.close)

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
        """Check the length and the free space before a file of unknown length grows to `end` bytes."""
        if self.expected is not None and end > self.expected:
            self._check_length(end)
        if end > self._room:
            self._room = end + ROOM_STEP
            await settled(self._partial.check_room, ROOM_STEP)

    def _check_length(self, length: int) -> None:
        if self.expected is not None and length != self.expected:
            raise UiapiError(
                "size_mismatch",
                f"{self._partial.target.name} should have {self.expected} bytes but {length} were received; "
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
            # Hashing the rest of a large file would take longer than a cancelled download is waited for.
            self._hash.give_up()
            await asyncio.wait({finishing})
            raise
        except OSError as error:
            raise disk_error(error, self._partial.target) from error
        self._hash = None
        if digest != self._sha256:
            raise UiapiError(
                "hash_mismatch",
                f"{self._partial.target.name} does not match the expected SHA-256; the source has another file.",
                {"sha256": digest, "expected": self._sha256},
            )

    async def _stop_hash(self) -> None:
        if self._hash is not None:
            stop, self._hash = self._hash.stop, None
            await settled(stop)
