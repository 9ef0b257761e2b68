"""The operator's settings for downloads, read once from environment variables and validated."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

log = logging.getLogger("uiapi")

HF_ENDPOINT = "https://huggingface.co"
CIVITAI_ENDPOINT = "https://civitai.com"

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@dataclass(frozen=True)
class Settings:
    """The operator's settings.

    Attributes:
        segments: connections per file.
        max_downloads: files downloaded at a time.
        max_rate: bytes per second for all downloads together, None for no limit.
        allow_pickle: whether .ckpt, .pt, .pth and .bin may be downloaded; loading one can run code of its author.
        allowed_hosts: `host` or `host:port` names added to the built-in list.
        hf_endpoint: URL of Hugging Face or a mirror of it, without a slash at the end.
        civitai_endpoint: URL of CivitAI or a mirror of it, likewise.
    """

    segments: int = 4
    max_downloads: int = 2
    max_rate: int | None = None
    allow_pickle: bool = False
    allowed_hosts: tuple[str, ...] = ()
    hf_endpoint: str = HF_ENDPOINT
    civitai_endpoint: str = CIVITAI_ENDPOINT

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from the environment; an invalid value is logged and the default used."""
        env = os.environ if environ is None else environ
        return cls(
            segments=_number(env, "UIAPI_SEGMENTS", cls.segments, 1, 32),
            max_downloads=_number(env, "UIAPI_MAX_DOWNLOADS", cls.max_downloads, 1, 32),
            max_rate=_rate(env, "UIAPI_MAX_RATE"),
            allow_pickle=env.get("UIAPI_ALLOW_PICKLE", "").strip() == "1",
            allowed_hosts=tuple(part.strip() for part in env.get("UIAPI_ALLOWED_HOSTS", "").split(",") if part.strip()),
            hf_endpoint=_endpoint(env, "HF_ENDPOINT", HF_ENDPOINT),
            civitai_endpoint=_endpoint(env, "CIVITAI_ENDPOINT", CIVITAI_ENDPOINT),
        )


def _number(env: Mapping[str, str], name: str, usual: int, least: int, most: int) -> int:
    text = env.get(name, "").strip()
    if not text:
        return usual
    if not text.isdecimal() or not least <= int(text) <= most:
        log.warning("%s should be a whole number from %d to %d; using %d.", name, least, most, usual)
        return usual
    return int(text)


def _rate(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name, "").strip().lower()
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)(?:b(?:/s)?)?", text)
    rate = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if rate <= 0:
        log.warning("%s should be bytes per second such as 20M; downloads are not limited.", name)
        return None
    return rate


def _endpoint(env: Mapping[str, str], name: str, usual: str) -> str:
    text = env.get(name, "").strip().rstrip("/")
    if not text:
        return usual
    if not re.match(r"https?://[^/?#@\s]+", text):
        log.warning("%s should be a URL such as %s; using that.", name, usual)
        return usual
    return text
