"""Searches CivitAI: for the file with a hash, and for files with a name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from yarl import URL

from ..common.credentials import Secret
from ..common.settings import CIVITAI_ENDPOINT, Settings
from ..finding.candidate import Candidate, Origin
from ..sources import civitai as source
from ..sources.resolver import clean
from ..storage.model_folders import PICKLE_EXTENSIONS, extension_of
from ..workflow.required_models import Need
from .budget import Budget
from .facts import count, day, line
from .ranking import alike, fit

# Models per answer, versions of a model and files of a version that are read.
PAGE = 30
MOST_VERSIONS = 200
MOST_FILES = 50
# Another of CivitAI's own sites, which shows models that the first may hide.
_SECOND_SITE = "https://civitai.red"
# The directories that a type of CivitAI's models may belong to, the usual one first.
_DIRECTORIES = {
    "checkpoint": ("checkpoints", "diffusion_models"),
    "lora": ("loras",),
    "locon": ("loras",),
    "dora": ("loras",),
    "vae": ("vae",),
    "textualinversion": ("embeddings",),
    "controlnet": ("controlnet",),
    "upscaler": ("upscale_models",),
    "hypernetwork": ("hypernetworks",),
    "motionmodule": ("animatediff_models",),
}


class CivitaiSearch:
    """Searches CivitAI.

    Args:
        settings: the URL of CivitAI.
    """

    def __init__(self, settings: Settings) -> None:
        self._site = settings.civitai_endpoint
        self._settings = settings

    async def secret(self) -> Secret | None:
        """The token for CivitAI."""
        return await asyncio.to_thread(source.secret_of, self._settings)

    async def by_hash(self, need: Need, digest: str, budget: Budget, secret: Secret | None) -> list[Candidate]:
        """The file with this hash, whatever its name."""
        sites = [self._site, _SECOND_SITE] if self._site == CIVITAI_ENDPOINT else [self._site]
        for site in sites:
            version = await budget.ask(URL(f"{site}/api/v1/model-versions/by-hash/{quote(digest)}"), secret)
            if isinstance(version, dict):
                model = version.get("model")
                found = _of_version(need, model if isinstance(model, dict) else {}, version, site, digest=digest)
                return [*found][:1]
        return []

    async def by_name(self, need: Need, name: str, budget: Budget, secret: Secret | None) -> list[Candidate]:
        """The files with exactly this name."""
        found: list[Candidate] = []
        for words in _words(name):
            query = {"query": words, "limit": str(PAGE), "nsfw": "true"}
            answer = await budget.ask(URL(f"{self._site}/api/v1/models").with_query(query), secret)
            items = answer.get("items") if isinstance(answer, dict) else None
            found += [
                candidate
                for model in (items[:PAGE] if isinstance(items, list) else ())
                if isinstance(model, dict)
                for version in _dicts(model.get("modelVersions"), MOST_VERSIONS)
                for candidate in _of_version(need, model, version, self._site, name=name)
            ]
            if any(fit(need, candidate.directory) for candidate in found):
                break
        return found


def _of_version(
    need: Need, model: dict[str, Any], version: dict[str, Any], site: str, *, name: str = "", digest: str = ""
) -> Iterator[Candidate]:
    """The files of a version that have this name or this hash."""
    number = version.get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        return
    title = f"{line(model.get('name')) or 'a model'} ({line(version.get('name')) or 'a version'})"
    stats = version.get("stats")
    for file in _dicts(version.get("files"), MOST_FILES):
        own = line(file.get("name"), 300) or ""
        pickle = extension_of(own) in PICKLE_EXTENSIONS and file.get("pickleScanResult") != "Success"
        if pickle or (own != name if name else not _has_hash(file, digest)):
            continue
        origin: Origin = "civitai" if name else "civitai_hash"
        what = "of exactly this name" if name else "with the expected hash"
        yield Candidate(
            name=own,
            url=clean(str(source.download_url(site, number, file))),
            origin=origin,
            why=f"A file {what} belongs to {title} on CivitAI.",
            directory=_directory(need, model.get("type")),
            size=source.length_of(file),
            sha256=source.digest_of(file),
            gated=version.get("availability") == "EarlyAccess",
            licence=_licence(model),
            date=day(version.get("publishedAt")) or day(version.get("createdAt")),
            downloads=count(stats.get("downloadCount")) if isinstance(stats, dict) else None,
            base_model=line(version.get("baseModel")),
        )


def _has_hash(file: dict[str, Any], digest: str) -> bool:
    """Whether a file has a hash, such as its SHA-256 or the beginning of it, which CivitAI calls AutoV2."""
    hashes = file.get("hashes")
    values = hashes.values() if isinstance(hashes, dict) else ()
    return any(isinstance(value, str) and value.lower() == digest.lower() for value in values)


def _directory(need: Need, kind: Any) -> str | None:
    """The directory of a type of model: the need's own if it may be, else the usual one of the type."""
    fitting = _DIRECTORIES.get(kind.lower(), ()) if isinstance(kind, str) else ()
    if need.directory is not None and alike(need.directory) in fitting:
        return need.directory
    return fitting[0] if fitting else None


def _licence(model: dict[str, Any]) -> str | None:
    """What a model's owner permits, in the words of CivitAI's own page."""
    use = model.get("allowCommercialUse")
    if use is None:
        return None
    permitted = [text for text in use if isinstance(text, str)] if isinstance(use, list) else [str(use)]
    kinds = [text for text in permitted if text != "None"]
    return line(f"commercial use: {', '.join(kinds)}") if kinds else "no commercial use"


def _dicts(value: Any, most: int) -> list[dict[str, Any]]:
    return [one for one in value[:most] if isinstance(one, dict)] if isinstance(value, list) else []


def _words(name: str) -> list[str]:
    """What to search for: models are named in words, their files in one word with the version after an underscore."""
    stem = name.rpartition(".")[0]
    # aZovyaPhotoreal_v2 is a Zovya Photoreal v2.
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s_-]+", " ", stem).strip()
    title = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s_-]+", " ", stem.partition("_")[0]).strip()
    return [words for words in dict.fromkeys((spaced, title)) if len(words) > 2]
