"""Searches Hugging Face for a file name: the repositories of well-known organisations first, then those found by words.

Repositories are searched with plain requests, as sources/huggingface.py sends them, instead of with HfApi: those have a
time limit, do not block a thread of ComfyUI's executor, and send the token to no other host.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from yarl import URL

from ...common.errors import UiapiError
from ..common.credentials import Secret
from ..common.parsing import is_sha256
from ..common.settings import Settings
from ..finding.candidate import Candidate
from ..finding.publishers import is_well_known
from ..sources import huggingface
from ..storage.model_folders import MODEL_EXTENSIONS, extension_of
from ..workflow.required_models import Need
from .budget import Budget, host_of
from .facts import count, day, line
from .ranking import alike, fit

# The organisations whose repositories are looked at first: they publish, or convert, models for ComfyUI.
ORGANISATIONS = (
    *("Comfy-Org", "Kijai", "city96", "stabilityai", "black-forest-labs", "lllyasviel", "h94", "QuantStack"),
    *("lightx2v", "Lightricks", "calcuis", "comfyanonymous"),
)
# Repositories per answer, and repositories whose files are looked at closely for one name.
PAGE = 100
MOST_REPOS = 5
# Searches by words for one name.
MOST_WORDS = 3
# Seconds that the list of an organisation's files is kept, and files of a repository that are read.
KEEP_SECONDS = 900.0
MOST_FILES = 20_000

_REPO = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")
# Words at the end of a file's name that say how it was stored, which repositories are not named after.
_STORAGE = re.compile(
    r"(fp?\d+\w*|bf16|int\d|nf4|e4m3fn|e5m2|scaled|mixed|pruned|ema|emaonly|nonema|q\d\w*|iq\d\w*|[kmsl]|xs|\d+steps?|"
    r"comfyui|comfy|gguf|repackaged|vae|rank\d*|r\d+)",
    re.IGNORECASE,
)
_FOLDERS = frozenset(
    "checkpoints diffusion_models unet text_encoders clip vae loras lora controlnet clip_vision style_models "
    "upscale_models embeddings audio_encoders model_patches latent_upscale_models".split()
)


@dataclass(frozen=True)
class _Hit:
    """A file of the wanted name in a repository."""

    repo: str
    path: str
    gated: bool | None
    licence: str | None
    date: str | None
    downloads: int | None
    base_model: str | None

    @property
    def owner(self) -> str:
        return self.repo.partition("/")[0]

    @property
    def directory(self) -> str | None:
        """The ComfyUI directory that a folder of its path is named after."""
        parts = [part.lower() for part in self.path.split("/")[:-1]]
        return next((alike(part) for part in reversed(parts) if part in _FOLDERS), None)


_Index = dict[str, list[_Hit]]


class HubSearch:
    """Searches Hugging Face, and keeps the lists of the well-known organisations' files for a while.

    Args:
        settings: the URL of the hub.
        clock: a monotonic clock in seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._endpoint = settings.hf_endpoint
        self._settings = settings
        self._clock = clock
        self._lists: dict[str, tuple[float, _Index]] = {}

    async def secret(self, budget: Budget) -> tuple[bool, Secret | None]:
        """Whether the hub may be asked, and its token."""
        try:
            return True, await huggingface.secret_of(self._settings)
        except UiapiError as error:
            budget.failed(host_of(URL(self._endpoint)), error)
            return False, None

    async def warm(self, budget: Budget, secret: Secret | None) -> None:
        """Read the lists of the well-known organisations' files that are not kept."""
        now = self._clock()
        due = [name for name in ORGANISATIONS if name not in self._lists or now - self._lists[name][0] > KEEP_SECONDS]
        await asyncio.gather(*(self._read(name, budget, secret) for name in due))

    async def find(self, need: Need, name: str, budget: Budget, secret: Secret | None) -> list[Candidate]:
        """The files with exactly this name."""
        hits = [hit for _, index in self._lists.values() for hit in index.get(name, ())]
        for words in _words(name):
            # A file of the name for another directory is another file.
            if any(fit(need, hit.directory) for hit in hits):
                break
            query = {"search": words, "sort": "downloads", "direction": "-1"}
            hits += (await self._repositories(query, budget, secret)).get(name, [])
        best = sorted(hits, key=lambda hit: _rank(need, hit))
        repos = [*dict.fromkeys(hit.repo for hit in best)][:MOST_REPOS]
        found = await asyncio.gather(*(self._of_repo(repo, best, budget, secret) for repo in repos))
        return [candidate for candidates in found for candidate in candidates]

    async def _read(self, organisation: str, budget: Budget, secret: Secret | None) -> None:
        query = {"author": organisation, "sort": "downloads", "direction": "-1"}
        index = await self._repositories(query, budget, secret)
        if index:
            self._lists[organisation] = (self._clock(), index)

    async def _repositories(self, query: dict[str, str], budget: Budget, secret: Secret | None) -> _Index:
        """The model files of the repositories that a query finds, by name; only the first page of an answer is read."""
        url = URL(f"{self._endpoint}/api/models").with_query({**query, "limit": str(PAGE), "full": "true"})
        answer = await budget.ask(url, secret)
        index: _Index = {}
        for record in answer[:PAGE] if isinstance(answer, list) else ():
            if isinstance(record, dict):
                for hit in _hits(record):
                    index.setdefault(posixpath.basename(hit.path), []).append(hit)
        return index

    async def _of_repo(self, repo: str, hits: list[_Hit], budget: Budget, secret: Secret | None) -> list[Candidate]:
        """The candidates in a repository, with their sizes and digests."""
        url = URL(f"{self._endpoint}/api/models/{quote(repo)}?blobs=true", encoded=True)
        record = await budget.ask(url, secret)
        files = {file.get("rfilename"): file for file in _siblings(record)}
        return [self._candidate(hit, files.get(hit.path, {})) for hit in hits if hit.repo == repo]

    def _candidate(self, hit: _Hit, file: dict[str, Any]) -> Candidate:
        lfs = file.get("lfs") if isinstance(file.get("lfs"), dict) else {}
        digest = (lfs or {}).get("sha256") or (lfs or {}).get("oid")
        return Candidate(
            name=posixpath.basename(hit.path),
            url=f"{self._endpoint}/{quote(hit.repo)}/resolve/main/{quote(hit.path)}",
            origin="huggingface",
            why=f"A file of exactly this name is in {hit.repo} on Hugging Face.",
            directory=hit.directory,
            size=count(file.get("size")),
            sha256=str(digest).lower() if is_sha256(digest) else None,
            gated=hit.gated,
            licence=hit.licence,
            date=hit.date,
            downloads=hit.downloads,
            base_model=hit.base_model,
        )


def _hits(record: dict[str, Any]) -> Iterator[_Hit]:
    """The model files in a repository's record; nothing if it is not a valid record."""
    repo = record.get("id") or record.get("modelId")
    if not isinstance(repo, str) or not _REPO.fullmatch(repo) or set(repo.split("/")) & {".", ".."}:
        return
    tags = record.get("tags")
    tags = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    gated = record.get("gated")
    common = _Hit(
        repo,
        "",
        gated=None if gated is None else gated is not False,
        licence=_tag(tags, "license:"),
        date=day(record.get("lastModified")),
        downloads=count(record.get("downloads")),
        base_model=_tag(tags, "base_model:"),
    )
    for file in _siblings(record):
        path = file.get("rfilename")
        if isinstance(path, str) and _is_path(path) and extension_of(path) in MODEL_EXTENSIONS:
            yield replace(common, path=path)


def _siblings(record: Any) -> list[dict[str, Any]]:
    files = record.get("siblings") if isinstance(record, dict) else None
    return [file for file in files[:MOST_FILES] if isinstance(file, dict)] if isinstance(files, list) else []


def _tag(tags: list[str], kind: str) -> str | None:
    return next((line(tag.removeprefix(kind)) for tag in tags if tag.startswith(kind)), None)


def _is_path(path: str) -> bool:
    return path.isprintable() and len(path) < 500 and not {"", ".", ".."} & set(path.split("/")) and "\\" not in path


def _rank(need: Need, hit: _Hit) -> tuple[int, bool, bool, int]:
    """A key that sorts first the repository that is looked at first."""
    return (-fit(need, hit.directory), not is_well_known(hit.owner), hit.gated is True, -(hit.downloads or 0))


def _words(name: str) -> list[str]:
    """The words to search repositories for, which are named after a model rather than after its files."""
    stem = posixpath.splitext(name)[0]
    parts = [part for part in re.split(r"[\s_-]+", stem) if part]
    core = [*parts]
    while len(core) > 1 and _STORAGE.fullmatch(core[-1]):
        core.pop()
    tries = ["-".join(parts), "-".join(core), "-".join(core[:3]), "-".join(core[:2])]
    return [words for words in dict.fromkeys(tries) if len(words) > 2][:MOST_WORDS]
