"""What a source offers: one file's address, and what is known of it before any byte of it is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from ...common.errors import UiapiError
from ..common.credentials import Secret
from ..common.urls import shown


@dataclass(frozen=True)
class Offer:
    """A file that can be asked for.

    Attributes:
        source: huggingface, civitai, gdrive or https.
        url: where its bytes are; `secret` is sent to the hosts it belongs to only.
        size: its length in bytes as the source declares it, None if it does not.
        about: a length that may be off by rounding, where `size` is None.
        sha256: lower-case hexadecimal digest, None if the source has none.
        early_access: until when (as the source writes it) only buyers get it; None if everybody does.
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
        """Its address as it may be shown."""
        return shown(self.url)


@dataclass(frozen=True)
class LocalOffer:
    """A file that is on the server's disk already."""

    path: Path
    size: int


def explained(error: UiapiError, offer: Offer) -> UiapiError:
    """A refusal of an offer's file, with what is known of the offer: early access looks like a missing login."""
    if offer.early_access is None or error.code != "login_required":
        return error
    message = f"{offer.shown} is in early access until {offer.early_access}; buy it on CivitAI or wait."
    return UiapiError("early_access", message, error.details)
