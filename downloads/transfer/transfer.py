"""Transfers one file from a host to the disk: in parallel blocks, resumable, verified, and renamed at the end.

The steps of a transfer:
1. Look for a partial file that an earlier transfer left, and check that it is of the same file.
2. Request the first block. The response gives the file's length, its version and whether the host supports ranges.
3. Reserve the space; several connections claim blocks in the file's order (without ranges, the file is read in one
   go). The file is hashed meanwhile, and the journal lists what is safely on the disk.
4. Check the format as soon as the first bytes have arrived; check the length and the SHA-256 at the end.
5. Sync, rename.

It runs on the transfer thread's event loop.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from ...common.errors import UiapiError
from ..common.credentials import Secret
from ..common.progress import Progress
from ..common.throttle import Backoff, Bandwidth
from ..common.urls import shown
from ..storage.file_writer import Sink
from ..storage.ledger import Block, Identity, Ledger
from ..storage.open_folder import Check
from .http_client import PAGE_TYPES, Transient, Web, pieces, refusal
from .turns import Rest

# Bytes of the first block, and the bounds of later blocks, which take a connection about BLOCK_SECONDS. Towards the end
# they get shorter, so that all connections end together and the hash, which stops at the first gap, keeps up.
FIRST_BLOCK = 4 << 20
SMALLEST_BLOCK = 2 << 20
LARGEST_BLOCK = 64 << 20
BLOCK_SECONDS = 4.0
# Seconds between two writes of the journal, and bytes after which it is written earlier.
JOURNAL_INTERVAL = 2.0
JOURNAL_BYTES = 256 << 20
JOURNAL_LOOKS = 10
# Times a transfer starts over because the file changed at its source.
MOST_RESTARTS = 3

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
# Failures after which nothing of a partial is worth keeping.
_SPOILED = frozenset({"not_a_model", "size_mismatch", "hash_mismatch"})
# Errors that may mean that a signed URL has expired.
_EXPIRED = frozenset({"login_required", "gated", "not_at_source", "gone_at_source"})


@dataclass(frozen=True)
class Order:
    """One file to fetch.

    Attributes:
        url: its URL.
        target: the final path, already checked.
        secret: sent only to the hosts it belongs to.
        size: bytes it must have, None if unknown.
        sha256: lower-case hexadecimal digest it must have, None if unknown.
        overwrite: whether a file of that name is replaced.
        check: called with the target's folder once it is open.
    """

    url: URL
    target: Path
    secret: Secret | None = None
    size: int | None = None
    sha256: str | None = None
    overwrite: bool = False
    check: Check | None = None


class Changed(Exception):
    """The file changed at its source; the transfer starts over."""


class Transfer:
    """Fetches one file.

    Args:
        web: the HTTP client, on the same event loop.
        bandwidth: the cap shared with other transfers.
        order: the file to fetch.
        progress: updated during the transfer.
        segments: the most connections to use.
        rest: pauses connections.
        backoff: creates the pauses between retries.
    """

    def __init__(
        self,
        web: Web,
        bandwidth: Bandwidth,
        order: Order,
        progress: Progress,
        segments: int,
        rest: Rest,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._web = web
        self._bandwidth = bandwidth
        self._order = order
        self._segments = segments
        self._rest = rest
        self._new_backoff = backoff
        self._sink = Sink(order.target, order.sha256, order.overwrite, progress, order.check)
        # Whether the host supports ranges, as far as is known.
        self._parts = True
        self._shown = shown(order.url)
        # The URL after redirects.
        self._address = order.url
        # Bytes per second of one connection, and the number of active connections.
        self._rate = 0.0
        self._alive = 0

    async def run(self) -> None:
        """Fetch, verify and rename.

        Raises:
            UiapiError: the transfer failed; a partial file is left on the disk only if it can be resumed.
        """
        for _ in range(MOST_RESTARTS + 1):
            try:
                await self._attempt()
                return
            except Changed:
                await self._sink.put_away(keep=False)
        raise UiapiError(
            "source_failed", f"{shown(self._order.url)} keeps changing during the download; try again later."
        )

    async def _attempt(self) -> None:
        keep = True
        try:
            left = await self._sink.left_over()
            if left is not None and self._parts and left[0].may_be(self._shown, self._order.size, self._order.sha256):
                await self._sink.prepare(left[0], Ledger(left[0].size, self._still_missing(*left)), fresh=False)
                await self._crowd([self._worker() for _ in range(self._connections())])
            else:
                await self._begin()
            await self._sink.land()
        except UiapiError as error:
            keep = error.code not in _SPOILED
            raise
        finally:
            await self._sink.put_away(keep=keep and self._parts)

    def _still_missing(self, left: Identity, gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The ranges to request; for a complete partial file without a digest, its last byte, to check the version."""
        if gaps or self._order.sha256 is not None or not left.size:
            return gaps
        return [(left.size - 1, left.size)]

    async def _begin(self) -> None:
        """Fetch from the start; the first response decides whether in blocks."""
        backoff = self._new_backoff()
        while True:
            try:
                await self._discover()
                return
            except Transient as error:
                # Without ranges every retry starts at the first byte, so received bytes do not count as progress.
                pause = backoff.next_pause(error.after)
                if pause is None:
                    raise error.error from None
                await self._rest.pause(pause, 1)

    async def _discover(self) -> None:
        headers = {"Range": f"bytes=0-{FIRST_BLOCK - 1}"} if self._parts else {}
        async with self._ask(self._order.url, headers) as response:
            if response.status == 416:
                raise UiapiError("not_a_model", f"{shown(self._order.url)} is an empty file.")
            if response.status not in (200, 206):
                raise await refusal(response)
            _check_kind(response)
            span = _content_range(response)
            if span is not None and (span[0] != 0 or not 0 <= span[1] < span[2]):
                raise UiapiError(
                    "source_failed", f"{response.url.host} sent a wrong part of the file; try again later."
                )
            total = self._check_size(span[2] if span else response.content_length)
            self._parts = span is not None
            identity = Identity(total, _validator(response), self._order.sha256, self._shown)
            await self._sink.prepare(identity, Ledger(total), fresh=True, expected=self._order.size)
            if span is None:
                await self._read_whole(response)
                return
            self._address = response.url
            block = self._sink.ledger.claim(min(FIRST_BLOCK, span[1] + 1))
            others = min(self._segments - 1, self._connections())
            await self._crowd([self._worker(response, block), *(self._worker() for _ in range(others))])

    async def _read_whole(self, response: aiohttp.ClientResponse) -> None:
        ledger = self._sink.ledger
        block = ledger.claim_all()
        try:
            await self._pour(response, block)
            if block.end is None:
                self._check_end(response, block.position)
                self._sink.ledger = Ledger(self._check_size(block.position), [])
            elif block.position < block.end:
                raise _cut(response)
        finally:
            ledger.release(block)

    def _check_end(self, response: aiohttp.ClientResponse, length: int) -> None:
        """Check that a body of unannounced length is complete. Transient if it was cut off."""
        if "chunked" in response.headers.get("Transfer-Encoding", "").lower():
            return
        # It ended by closing the connection, which looks the same as a broken connection.
        whole = self._sink.expected
        if whole is not None and length < whole:
            raise _cut(response)
        if whole is None and self._order.sha256 is None:
            raise UiapiError(
                "source_failed",
                f"{response.url.host} does not send the length of the file, so it may be incomplete; give its sha256.",
            )

    async def _crowd(self, workers: list[Coroutine[Any, Any, None]]) -> None:
        """Run the workers and the journal until every block is fetched; the first error ends them all."""
        self._alive = len(workers)
        running = {asyncio.ensure_future(worker) for worker in workers}
        journal = asyncio.ensure_future(self._keep_journal())
        everything = [*running, journal]
        try:
            while running:
                done, _ = await asyncio.wait({*running, journal}, return_when=asyncio.FIRST_COMPLETED)
                running -= done
                for task in done:
                    task.result()
        finally:
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def _keep_journal(self) -> None:
        while True:
            before = self._sink.ledger.present
            for _ in range(JOURNAL_LOOKS):
                await asyncio.sleep(JOURNAL_INTERVAL / JOURNAL_LOOKS)
                if self._sink.ledger.present - before >= JOURNAL_BYTES:
                    break
            await self._sink.note()

    async def _worker(self, response: aiohttp.ClientResponse | None = None, block: Block | None = None) -> None:
        """Fetch blocks, the first from `response`, until none is left or the host allows fewer connections."""
        ledger, backoff = self._sink.ledger, self._new_backoff()
        renewed = False
        try:
            while block is not None or (block := ledger.claim(self._block_size())) is not None:
                try:
                    if response is not None:
                        await self._pour(response, block, backoff)
                        _check_filled(response, block)
                    else:
                        await self._fetch(block, backoff)
                    renewed = False
                except Transient as error:
                    ledger.release(block)
                    pause = backoff.next_pause(error.after)
                    if self._alive > 1 and (error.refused or pause is None):
                        return
                    if pause is None:
                        raise error.error from None
                    await self._rest.pause(pause, self._alive)
                except UiapiError as error:
                    # A signed URL may have expired; the original URL redirects to a new one.
                    if error.code not in _EXPIRED or renewed or self._address == self._order.url:
                        raise
                    self._address, renewed = self._order.url, True
                finally:
                    ledger.release(block)
                    response = block = None
        finally:
            self._alive -= 1
            self._rest.remain(self._alive)

    async def _fetch(self, block: Block, backoff: Backoff) -> None:
        start, began, identity = block.position, time.monotonic(), self._sink.identity
        headers = {"Range": f"bytes={start}-{(block.end or 0) - 1}"}
        if identity.validator is not None and not identity.validator.startswith("W/"):
            headers["If-Range"] = identity.validator
        async with self._ask(self._address, headers) as response:
            if response.status == 416:
                raise Changed
            if response.status not in (200, 206):
                raise await refusal(response)
            span, same = _content_range(response), _validator(response) == identity.validator
            if span is None:
                # The whole file: it changed, or the host does not support ranges after all.
                self._parts = not same
                raise Changed
            if span[0] != start or span[2] != identity.size or not (same or identity.validator is None):
                raise Changed
            _check_kind(response)
            self._address = response.url
            await self._pour(response, block, backoff)
            _check_filled(response, block)
        self._rate = (block.position - start) / max(time.monotonic() - began, 1e-3)

    async def _pour(self, response: aiohttp.ClientResponse, block: Block, backoff: Backoff | None = None) -> None:
        """Write a body to the file until the block is full or the body ends."""
        coming = pieces(response)
        while True:
            async with self._rest.patiently(self._at_work):
                piece = await anext(coming, b"")
            if not piece:
                return
            if block.end is not None and block.position + len(piece) > block.end:
                piece = piece[: block.end - block.position]
            await self._sink.write(block, piece)
            if backoff is not None:
                backoff.arrived(len(piece))
            await self._bandwidth.take(len(piece))
            if block.position == block.end:
                return

    @asynccontextmanager
    async def _ask(self, url: URL, headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to a request. UiapiError or Transient as `Web.get`."""
        async with AsyncExitStack() as stack:
            async with self._rest.patiently(self._at_work):
                asking = self._web.get(url, secret=self._order.secret, headers=headers)
                response = await stack.enter_async_context(asking)
            yield response

    def _at_work(self) -> int:
        return max(1, self._alive)

    def _connections(self) -> int:
        return max(1, min(self._segments, -(-self._sink.ledger.unclaimed // SMALLEST_BLOCK)))

    def _block_size(self) -> int:
        by_rate = min(LARGEST_BLOCK, max(FIRST_BLOCK, int(self._rate * BLOCK_SECONDS)))
        half_share = self._sink.ledger.unclaimed // (2 * max(1, self._alive))
        return max(SMALLEST_BLOCK, min(by_rate, half_share))

    def _check_size(self, total: int | None) -> int | None:
        """Return `total`. UiapiError `size_mismatch` if it is not the size that the order gives."""
        wanted = self._order.size
        if total is not None and wanted is not None and total != wanted:
            raise UiapiError(
                "size_mismatch",
                f"{shown(self._order.url)} has {total} bytes but should have {wanted}; the source has another file.",
                {"size": total, "expected": wanted},
            )
        return total


def _check_kind(response: aiohttp.ClientResponse) -> None:
    host = response.url.host
    if response.content_type in PAGE_TYPES:
        raise UiapiError(
            "not_a_model",
            f"{host} sent a page ({response.content_type}) instead of a file; "
            "check the URL, or whether a login is needed.",
        )
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise UiapiError(
            "source_failed",
            f"{host} sends the file compressed, which cannot be resumed or verified.",
        )


def _check_filled(response: aiohttp.ClientResponse, block: Block) -> None:
    if block.position != block.end:
        raise _cut(response)


def _cut(response: aiohttp.ClientResponse) -> Transient:
    return Transient(UiapiError("source_failed", f"{response.url.host} cut the file off; try again later."))


def _content_range(response: aiohttp.ClientResponse) -> tuple[int, int, int] | None:
    """First byte, last byte and total of a 206; None for a 200."""
    if response.status != 206:
        return None
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        raise UiapiError("source_failed", f"{response.url.host} sent a part without its range; try again later.")
    return int(match[1]), int(match[2]), int(match[3])


def _validator(response: aiohttp.ClientResponse) -> str | None:
    return response.headers.get("ETag") or response.headers.get("Last-Modified")
