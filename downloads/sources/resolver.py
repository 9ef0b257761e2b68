"""Resolves the source of a model to an offer, for all kinds of sources."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import aiohttp
from yarl import URL

from ...common.errors import UiapiError
from ...model_defs import ModelDef
from ..common.credentials import Secret, origin, without_credentials, without_login, without_token
from ..common.parsing import whole_number
from ..common.settings import Settings
from ..common.urls import read_url
from ..storage.file_check import check_file
from ..storage.model_folders import Places, check_extension
from ..transfer.host_guard import HostGuard
from ..transfer.http_client import PAGE_TYPES, Transient, Web, refusal
from ..transfer.transfer_thread import Engine
from . import civitai, gdrive, huggingface
from .offers import LocalOffer, Offer
from .references import CivitaiFile, GdriveFile, HfFile, LocalFile, PlainFile, Reference, read_reference


class Sources:
    """Looks up sources.

    Args:
        settings: the operator's settings.
        guard: decides which hosts may be reached.
        engine: sends the requests.
        places: finds models that are already on the disk.
    """

    def __init__(self, settings: Settings, guard: HostGuard, engine: Engine, places: Places) -> None:
        self._settings = settings
        self._guard = guard
        self._engine = engine
        self._places = places

    async def look_up(self, kind: str, text: str, name: str) -> Offer | LocalOffer:
        """Look up one source of a model.

        Args:
            kind: url, huggingface, civitai, gdrive or local.
            text: the reference.
            name: the model's name, for sources that have several files.

        Raises:
            UiapiError: the source is unavailable; its code and message say why.
        """
        reference, token = _read(kind, text, self._settings)
        if isinstance(reference, HfFile):
            return await huggingface.look_up(reference, name, self._settings, self._engine)
        if isinstance(reference, CivitaiFile):
            return await civitai.look_up(reference, name, self._settings, self._engine, token)
        if isinstance(reference, GdriveFile):
            return await gdrive.look_up(reference, self._engine)
        if isinstance(reference, PlainFile):
            self._guard.check(reference.url)
            secret = Secret(token, frozenset({origin(reference.url)})) if token else None
            return Offer("https", reference.url, secret)
        return await asyncio.to_thread(self._local, reference)

    async def probe(self, offer: Offer) -> Offer:
        """Request one byte of an offer, and return the offer with its length. UiapiError if it cannot be downloaded."""
        try:
            return await self._engine.run(lambda web: _probe(web, offer))
        except Transient as error:
            raise error.error from None

    def _local(self, reference: LocalFile) -> LocalOffer:
        found = self._places.find_anywhere(reference.path)
        path = Path(found[1] if found else os.path.expanduser(reference.path))
        check_extension(path.name, allow_pickle=self._settings.allow_pickle)
        try:
            if not path.is_absolute() or not path.is_file():
                shown = ascii(reference.path[:120])
                raise UiapiError("not_at_source", f"The server has no file {shown}; give its absolute path.")
            check_file(path)
            return LocalOffer(path, path.stat().st_size)
        except OSError as error:
            raise UiapiError(
                "storage_failed", f"{path.name} cannot be read ({error.strerror}); check its permissions."
            ) from error


def check_sources(model: ModelDef, settings: Settings, guard: HostGuard) -> None:
    """Raise UiapiError if none of a definition's sources can ever be used."""
    refusals: list[UiapiError] = []
    for kind, text in model.sources:
        try:
            reference, _ = _read(kind, text, settings)
            if isinstance(reference, PlainFile):
                guard.check(reference.url)
            return
        except UiapiError as error:
            refusals.append(error)
    raise refusals[0] if refusals else UiapiError("invalid", "The model has no source; give a URL.")


def hosts_of(kind: str, text: str, settings: Settings) -> list[str]:
    """The hosts that one source of a model may be requested from, as DNS names; empty for a file on the disk."""
    try:
        reference, _ = _read(kind, text, settings)
    except UiapiError:
        # The error is reported when the source is looked up.
        return []
    if isinstance(reference, HfFile):
        urls = [URL(settings.hf_endpoint)]
    elif isinstance(reference, CivitaiFile):
        urls = civitai.sites_of(reference, settings)
    elif isinstance(reference, GdriveFile):
        urls = [URL(gdrive.ENDPOINT)]
    elif isinstance(reference, PlainFile):
        urls = [reference.url]
    else:
        urls = []
    return [f"{url.raw_host}:{url.explicit_port}" if url.explicit_port else str(url.raw_host) for url in urls]


def clean(text: str) -> str:
    """A reference that is safe to save and show: without a login, a token or a signature."""
    if "?" not in text and "//" not in text:
        # A # in an AIR URN starts a comment, so it is kept.
        return text
    try:
        return without_login(str(without_credentials(read_url(text))))
    except ValueError:
        # It is not a usable URL, so its query is not needed.
        return without_login(text.partition("?")[0])


def _read(kind: str, text: str, settings: Settings) -> tuple[Reference, str | None]:
    """Parse a reference; returns it with the token that was in its query. UiapiError `invalid`."""
    try:
        text, token = _split_token(text)
    except ValueError:
        # read_reference reports what is wrong with it.
        token = None
    return read_reference(kind, text, settings), token


def _split_token(text: str) -> tuple[str, str | None]:
    """A reference without the token in its query, and that token. ValueError for an invalid URL."""
    if "?" not in text:
        return text, None
    url, token = without_token(read_url(text))
    return (str(url), token) if token else (text, None)


async def _probe(web: Web, offer: Offer) -> Offer:
    async with web.get(offer.url, secret=offer.secret, headers={"Range": "bytes=0-0"}) as response:
        if response.status not in (200, 206):
            raise await refusal(response)
        if response.content_type in PAGE_TYPES:
            raise UiapiError(
                "not_a_model",
                f"{response.url.host} sends a page ({response.content_type}) instead of a file; "
                "check the URL, or whether a login is needed.",
            )
        size = _length(response)
    return replace(offer, size=offer.size if size is None else size)


def _length(response: aiohttp.ClientResponse) -> int | None:
    if response.status == 200:
        return response.content_length
    return whole_number(response.headers.get("Content-Range", "").rpartition("/")[2])
