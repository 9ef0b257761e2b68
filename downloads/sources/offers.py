"""Offers: the URL of a file at its source, and its metadata before it is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from ...common.errors import UiapiError
from ..common.credentials import Secret
from ..common.urls import shown


@dataclass(frozen=True)
class Offer:
    """A file that can be downloaded.

    Attributes:
        source: huggingface, civitai, gdrive or https.
        url: the URL of the file.
        secret: a token, sent only to the hosts it belongs to.
        size: its length in bytes by the source, None if unknown.
        about: an approximate length, used if `size` is None.
        sha256: lower-case hexadecimal digest, None if the source gives none.
        early_access: until when it is available to buyers only, as the source writes it; None if it is public.
    """

    source: str
    url: URL
    secret: Secret | None = None
    size: int | None = None
    about: int | None = None
    sha256: str | None = None
    early_access: str | None = None

    @property
    def shown(self) -> str:
        """Its URL for use in messages."""
        return shown(self.url)


@dataclass(frozen=True)
class LocalOffer:
    """A file that is already on the server's disk."""

    path: Path
    size: int


def explained(error: UiapiError, offer: Offer) -> UiapiError:
    """The error for a refused offer: for a file in early access, `login_required` becomes `early_access`."""
    if offer.early_access is None or error.code != "login_required":
        return error
    message = f"{offer.shown} is in early access until {offer.early_access}; buy it on CivitAI or wait."
    return UiapiError("early_access", message, error.details)
