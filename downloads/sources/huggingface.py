"""Looks up models at Hugging Face: the URL and metadata of a file, and the search for a file in a repository.

huggingface_hub provides the token, the offline setting and the URLs; it is imported at first use, since importing it
is slow. Requests are made without it: its own have no time limit when the hub falls silent, block a thread of the
executor that ComfyUI shares, and send the token to any host that a list of files continues on.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from ...common.errors import UiapiError
from ..common.credentials import Secret, origin
from ..common.parsing import is_sha256, whole_number
from ..common.settings import Settings
from ..storage.model_folders import extension_of, same_name
from ..transfer.http_client import (
    ANSWER_BYTES,
    TRANSIENT_STATUSES,
    Transient,
    Web,
    decode,
    line_of,
    read_most,
    transient,
)
from ..transfer.transfer_thread import Engine
from .offers import Offer
from .references import HfFile

# The most pages of a repository's file list, with a thousand files each, that are searched for a name.
MOST_PAGES = 20
# The most files of the same name that are reported.
MOST_CANDIDATES = 100

_COMMIT = re.compile(r"[0-9a-f]{40}")
_WRONG_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - the hub's own sentence


async def look_up(file: HfFile, name: str, settings: Settings, engine: Engine) -> Offer:
    """Look up a file at Hugging Face, without downloading it.

    Args:
        file: the reference; without a path, the repository is searched for the model's name.
        name: the model's name.

    Raises:
        UiapiError: `gated`, `login_required`, `not_at_source`, `rate_limited`, `offline`, `conflict` if the
            repository has several files of that name, `invalid`, `host_refused`, or `source_failed`.
    """
    hub = _Hub(file, settings, await secret_of(settings))
    try:
        return await engine.run(lambda web: hub.look_up(web, same_name(name)))
    except Transient as error:
        passing = error.error
        details = {**passing.details, "repo": file.repo}
        raise UiapiError(passing.code, f"{file.repo}: {passing.message}", details) from None


async def secret_of(settings: Settings) -> Secret | None:
    """The token for Hugging Face or its mirror, None if there is none. UiapiError `offline`."""
    token = await asyncio.to_thread(_token)
    return Secret(token, frozenset({origin(URL(settings.hf_endpoint))})) if token else None


def _token() -> str | None:
    """The token that huggingface_hub uses. Blocks while it is imported; UiapiError `offline`."""
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise UiapiError("offline", "HF_HUB_OFFLINE is set, so Hugging Face is not contacted; unset it to download.")
    return huggingface_hub.get_token()


@dataclass(frozen=True)
class _Metadata:
    """The hub's metadata of a file: the current commit of its branch, and the digest and length of a large file."""

    commit: str | None
    sha256: str | None
    size: int | None


class _Hub:
    """Looks up one reference.

    Args:
        file: the reference.
        settings: the URL of the hub.
        secret: the token, or None.
    """

    def __init__(self, file: HfFile, settings: Settings, secret: Secret | None) -> None:
        self._file = file
        self._endpoint = settings.hf_endpoint
        self._secret = secret

    async def look_up(self, web: Web, name: str) -> Offer:
        """The file's offer. UiapiError or Transient."""
        file = self._file
        # A repository, or a folder of one, should contain a file with the model's name.
        exact = bool(extension_of(file.path))
        path = file.path if exact else posixpath.join(file.path, posixpath.basename(name))
        found = await self._metadata(web, path)
        if found is None and not exact:
            path = await self._search(web, posixpath.basename(name))
            found = await self._metadata(web, path)
        if found is None:
            raise self._missing(f"{file.repo} has no file {path}; see {self._page}.")
        # The commit, so that a later resume requests the same bytes even if the branch has changed.
        url = self._url(path, found.commit or file.revision)
        return Offer("huggingface", url, self._secret, size=found.size, sha256=found.sha256)

    def _url(self, path: str, revision: str) -> URL:
        from huggingface_hub import hf_hub_url

        file = self._file
        try:
            text = hf_hub_url(file.repo, path, repo_type=file.repo_type, revision=revision, endpoint=self._endpoint)
            return URL(text, encoded=True)
        except ValueError:
            raise UiapiError(
                "invalid", f"{file.repo!r} is not a valid Hugging Face repository name; check it."
            ) from None

    async def _metadata(self, web: Web, path: str) -> _Metadata | None:
        """The hub's metadata of a file; None if the repository has no such file."""
        async with web.head(self._url(path, self._file.revision), secret=self._secret) as response:
            said = response.headers
            # A large file is stored elsewhere: the response redirects there, and has the metadata in extra headers.
            elsewhere = 300 <= response.status < 400
            if not elsewhere and not self._found(response):
                return None
            commit = said.get("X-Repo-Commit", "")
            etag = (said.get("X-Linked-Etag") or said.get("ETag") or "").removeprefix("W/").strip('"')
            size = said.get("X-Linked-Size") or (None if elsewhere else said.get("Content-Length"))
            return _Metadata(
                commit if _COMMIT.fullmatch(commit) else None,
                etag.lower() if is_sha256(etag) else None,
                whole_number(size),
            )

    async def _search(self, web: Web, wanted: str) -> str:
        """The path of the one file in the repository that has the model's name, in any folder."""
        repo = self._file.repo
        found = [path async for path in self._paths(web) if posixpath.basename(path) == wanted]
        if not found:
            raise self._missing(f"{repo} has no file {wanted}; give the path of the file in the repository.")
        if len(found) > 1:
            candidates = {"candidates": [line_of(path) for path in found[:MOST_CANDIDATES]]}
            raise UiapiError("conflict", f"{repo} has several files named {wanted}; give the path of one.", candidates)
        return found[0]

    async def _paths(self, web: Web) -> AsyncIterator[str]:
        """The paths of all files in the repository."""
        file = self._file
        kind, revision = f"{file.repo_type or 'model'}s", quote(file.revision, safe="")
        url = URL(f"{self._endpoint}/api/{kind}/{quote(file.repo)}/tree/{revision}?recursive=1", encoded=True)
        for _ in range(MOST_PAGES):
            async with web.get(url, secret=self._secret) as response:
                if not self._found(response):
                    raise self._missing(f"{file.repo} has no revision {file.revision!r}; check it.")
                page = decode(await read_most(response, ANSWER_BYTES))
                following = _next_page(response)
            if not isinstance(page, list):
                raise UiapiError(
                    "source_failed", f"Hugging Face does not list the files of {file.repo}; give the path."
                )
            for entry in page:
                if isinstance(entry, dict) and entry.get("type") == "file" and isinstance(entry.get("path"), str):
                    yield entry["path"]
            if following is None:
                return
            if origin(following) != origin(URL(self._endpoint)):
                raise UiapiError(
                    "host_refused", f"The file list of {file.repo} continues on another host; give the file's path."
                )
            url = following
        raise self._missing(f"{file.repo} has too many files to search; give the path of the file in the repository.")

    def _found(self, response: aiohttp.ClientResponse) -> bool:
        """Whether the response is a success; False if the file does not exist. UiapiError or Transient otherwise."""
        file, status = self._file, response.status
        if status == 200:
            return True
        if status in TRANSIENT_STATUSES:
            raise transient(response)
        code = response.headers.get("X-Error-Code", "")
        details: dict[str, Any] = {"repo": file.repo, "page": self._page, "http_status": status}
        if code == "GatedRepo":
            what = "with the account of the token" if self._secret else "and set HF_TOKEN"
            raise UiapiError("gated", f"{file.repo} is gated; accept its terms at {self._page} {what}.", details)
        if code == "RevisionNotFound":
            raise self._missing(f"{file.repo} has no revision {file.revision!r}; check it.", details)
        # The hub answers 401 both for missing and for private repositories, and for an invalid token.
        wrong_token = response.headers.get("X-Error-Message") == _WRONG_TOKEN
        if code == "RepoNotFound" or (status == 401 and not wrong_token):
            if self._secret is not None:
                raise self._missing(
                    f"{file.repo} does not exist or the token has no access to it; check both.", details
                )
            raise UiapiError(
                "login_required",
                f"{file.repo} does not exist or is not public; check the URL, "
                "or set HF_TOKEN to the token of an account with access.",
                details,
            )
        if status in (401, 403):
            raise UiapiError(
                "login_required",
                f"Hugging Face refuses access to {file.repo}; set HF_TOKEN to the token of an account with access.",
                details,
            )
        if status == 404:
            return False
        raise UiapiError("source_failed", f"Hugging Face answered {status} for {file.repo}; try again later.", details)

    @property
    def _page(self) -> str:
        return f"{self._endpoint}/{self._file.repo}"

    def _missing(self, message: str, details: dict[str, Any] | None = None) -> UiapiError:
        return UiapiError("not_at_source", message, details or {"repo": self._file.repo, "page": self._page})


def _next_page(response: aiohttp.ClientResponse) -> URL | None:
    """The URL of a list's next page, None at its end (RFC 8288)."""
    try:
        link = response.links.get("next")
        return URL(link["url"]) if link else None
    except (ValueError, IndexError):
        raise UiapiError(
            "source_failed",
            f"{response.url.host} sent an invalid link to the rest of its file list; give the file's path.",
        ) from None
