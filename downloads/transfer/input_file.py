"""Downloads one file that a program names by URL as the value of a field."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path, PurePosixPath
from typing import IO, Any

import aiohttp
from yarl import URL

from ...bridge.comfyui.input_files import HEAD, Fetched
from ...common.errors import UiapiError
from ..common.urls import read_url, shown
from ..storage.disk import check_space, disk_error
from .http_client import Transient, Web, pieces, refusal

# Bytes of one file: a video of some minutes.
MAX_INPUT = 2**30
# Seconds for the whole file.
FETCH_TIMEOUT = 300.0
# Bytes that are gathered for each write.
_BLOCK = 2**20


async def fetch_input(web: Web, url: str, target: Path) -> Fetched:
    """Download a file to a path that does not exist; nothing is left there after an error.

    Raises:
        UiapiError: `invalid` or `host_refused` if the URL may not be requested, `too_large`, `disk_full`,
            `storage_failed`, or the host's refusal.
    """
    try:
        parsed = read_url(url.strip())
    except ValueError:
        raise UiapiError("invalid", "That is not a URL; send one that begins with https://.") from None
    fetched: Fetched | None = None
    try:
        fetched = await asyncio.wait_for(_fetch(web, parsed, target), FETCH_TIMEOUT)
    except Transient as error:
        raise error.error from None
    except asyncio.TimeoutError:
        sentence = f"{shown(parsed)} was not complete after {FETCH_TIMEOUT:g} seconds; send the file itself."
        raise UiapiError("timeout", sentence) from None
    else:
        return fetched
    finally:
        if fetched is None:
            target.unlink(missing_ok=True)  # noqa: ASYNC240 - at once, since the caller may have been cancelled


async def _fetch(web: Web, url: URL, target: Path) -> Fetched:
    async with web.get(url) as response:
        if response.status != 200:
            raise await refusal(response)
        return await _received(response, url, target)


def _too_large(url: URL) -> UiapiError:
    return UiapiError("too_large", f"{shown(url)} has more than {MAX_INPUT // 2**30} GB; use a smaller file.")


def _write(file: IO[bytes], digest: Any, block: bytes) -> None:
    file.write(block)
    digest.update(block)


async def _received(response: aiohttp.ClientResponse, url: URL, target: Path) -> Fetched:
    expected = response.content_length or 0
    if expected > MAX_INPUT:
        raise _too_large(url)
    digest, size, head, block = hashlib.sha256(), 0, b"", bytearray()
    try:
        await asyncio.to_thread(check_space, target, expected)
        file = await asyncio.to_thread(target.open, "xb")
        try:
            async for piece in pieces(response):
                size += len(piece)
                if size > MAX_INPUT:
                    raise _too_large(url)
                head = head or bytes(piece[:HEAD])
                block += piece
                if len(block) >= _BLOCK:
                    await asyncio.to_thread(_write, file, digest, bytes(block))
                    block.clear()
            await asyncio.to_thread(_write, file, digest, bytes(block))
        finally:
            file.close()
        return Fetched(target, size, digest.hexdigest(), head, PurePosixPath(url.path).name)
    except OSError as error:
        raise disk_error(error, target) from error
