"""Looks up files on Google Drive: the URL behind its confirmation pages, which gdown (an optional extra) parses."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from yarl import URL

from ...common.errors import UiapiError
from ..common.urls import read_url
from ..transfer.http_client import ANSWER_BYTES, Transient, Web, line_of, read_most, refusal
from ..transfer.transfer_thread import Engine
from .offers import Offer
from .references import GdriveFile

ENDPOINT = "https://drive.google.com"
# The most pages between a file's link and the file.
MOST_PAGES = 3


async def look_up(file: GdriveFile, engine: Engine, endpoint: str = ENDPOINT) -> Offer:
    """Look up the URL of a file on Google Drive, without downloading it.

    Raises:
        UiapiError: `not_at_source`, `login_required`, `rate_limited` if its quota is exceeded,
            `unsupported_type` if a page requires gdown, which is not installed, or `source_failed`.
    """
    try:
        return await engine.run(lambda web: _look_up(web, URL(f"{endpoint}/uc?export=download&id={file.id}")))
    except Transient as error:
        raise error.error from None


async def _look_up(web: Web, url: URL) -> Offer:
    for _ in range(MOST_PAGES):
        async with web.get(url) as response:
            if response.status != 200:
                answer = await refusal(response)
                raise answer
            if "Content-Disposition" in response.headers:
                return Offer("gdrive", url, size=response.content_length)
            page = await read_most(response, ANSWER_BYTES)
        found = await asyncio.to_thread(_behind, page.decode("utf-8", "replace"))
        try:
            url = read_url(found)
        except ValueError:
            raise UiapiError(
                "source_failed", "Google Drive's page has no valid download link; try again later."
            ) from None
    raise UiapiError(
        "source_failed", "Google Drive sends only pages instead of the file; check that the link is public."
    )


def _behind(page: str) -> str:
    """The URL that a confirmation page leads to. Blocks while the page is parsed."""
    try:
        gdown: Any = importlib.import_module("gdown.download")
    except ImportError:
        raise UiapiError(
            "unsupported_type", "Google Drive asks to confirm this download; run `pip install gdown`, which does so."
        ) from None
    try:
        found: str = gdown.get_url_from_gdrive_confirmation(page)
    except importlib.import_module("gdown.exceptions").FileURLRetrievalError as error:
        text = line_of(str(error))
        code = "rate_limited" if "quota" in text.lower() or "too many" in text.lower() else "login_required"
        raise UiapiError(code, f"Google Drive refuses the download: {text}") from None
    return found
