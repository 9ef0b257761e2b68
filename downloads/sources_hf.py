"""Hugging Face, through huggingface_hub: addresses, the token, a file's metadata, and what its errors mean.

The library is imported at first use; it takes longer than all the rest. Its calls block, so they run in threads.
"""

from __future__ import annotations

import asyncio
import posixpath
from typing import Any

from yarl import URL

from ..bridge.errors import UiapiError
from .guard import HostGuard
from .offers import Offer, is_sha256
from .places import extension_of, same_name
from .references import HfFile
from .secrets import Secret, origin, redact
from .settings import Settings

# Seconds Hugging Face may take to say what it knows of a file.
METADATA_TIMEOUT = 20.0


async def look_up(file: HfFile, name: str, settings: Settings, guard: HostGuard) -> Offer:
    """What Hugging Face offers for a file, without fetching it.

    Args:
        file: the reference; one without a path is searched for the model's name.
        name: the model's name.

    Raises:
        UiapiError: `gated`, `login_required`, `not_at_source`, `rate_limited`, `offline`, `conflict` when a
            repository has several files of that name, or `source_failed`.
    """
    guard.check(URL(settings.hf_endpoint))
    return await asyncio.to_thread(_look_up, file, same_name(name), settings)


def _look_up(file: HfFile, name: str, settings: Settings) -> Offer:
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled

    if constants.HF_HUB_OFFLINE:
        raise UiapiError("offline", "HF_HUB_OFFLINE is set, so nothing is asked of Hugging Face; unset it to download.")
    token = huggingface_hub.get_token()
    # The library's HTTP client changed over its versions; its own error is derived from that client's.
    failures: tuple[type[BaseException], ...] = (OSError, ValueError, *HfHubHTTPError.__bases__)
    try:
        # A repository, or a folder of one, is meant to have the model by its name.
        exact = bool(extension_of(file.path))
        path = file.path if exact else posixpath.join(file.path, posixpath.basename(name))
        try:
            url, found = _metadata(file, path, settings, token)
        except EntryNotFoundError:
            if exact:
                raise
            path = _search(file, name, settings, token)
            url, found = _metadata(file, path, settings, token)
    except UiapiError:
        raise
    except OfflineModeIsEnabled as error:
        raise UiapiError("offline", "Hugging Face is in offline mode; unset HF_HUB_OFFLINE to download.") from error
    except failures as error:
        raise _meaning(error, file, settings, token) from error
    if found.commit_hash:
        # The commit, so that a later resume asks for the same bytes even if the branch has moved on.
        url = _address(file, path, found.commit_hash, settings)
    digest = found.etag.lower() if is_sha256(found.etag) else None
    secret = Secret(token, frozenset({origin(URL(settings.hf_endpoint))})) if token else None
    return Offer("huggingface", URL(url, encoded=True), secret, size=found.size, sha256=digest)


def _address(file: HfFile, path: str, revision: str, settings: Settings) -> str:
    from huggingface_hub import hf_hub_url

    endpoint = settings.hf_endpoint
    return hf_hub_url(file.repo, path, repo_type=file.repo_type, revision=revision, endpoint=endpoint)


def _metadata(file: HfFile, path: str, settings: Settings, token: str | None) -> tuple[str, Any]:
    from huggingface_hub import get_hf_file_metadata

    url = _address(file, path, file.revision, settings)
    # False rather than None: None would have the library look for a token of its own.
    return url, get_hf_file_metadata(url, token=token or False, timeout=METADATA_TIMEOUT)


def _search(file: HfFile, name: str, settings: Settings, token: str | None) -> str:
    """The one file of a repository that has the model's name, in whichever folder."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=settings.hf_endpoint, token=token or False)
    files = api.list_repo_files(file.repo, revision=file.revision, repo_type=file.repo_type)
    wanted = posixpath.basename(name)
    found = [path for path in files if posixpath.basename(path) == wanted]
    if not found:
        raise UiapiError("not_at_source", f"{file.repo} has no file {wanted}; give the path of the file in it.")
    if len(found) > 1:
        raise UiapiError(
            "conflict", f"{file.repo} has several files {wanted}; give the path of one.", {"candidates": found}
        )
    return found[0]


def _meaning(error: BaseException, file: HfFile, settings: Settings, token: str | None) -> UiapiError:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"{settings.hf_endpoint}/{file.repo}"
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    details: dict[str, Any] = {"repo": file.repo, "page": page}
    if status is not None:
        details["http_status"] = status
    if isinstance(error, GatedRepoError):
        what = "with the account of the token" if token else "and set HF_TOKEN"
        return UiapiError("gated", f"{file.repo} is gated; accept its terms at {page} {what}.", details)
    if isinstance(error, RepositoryNotFoundError):
        if token is None:
            return UiapiError(
                "login_required",
                f"{file.repo} does not exist or is not public; check the address, "
                "or set HF_TOKEN to an account that may see it.",
                details,
            )
        return UiapiError("not_at_source", f"There is no {file.repo} that the token may see; check both.", details)
    if isinstance(error, RevisionNotFoundError):
        return UiapiError("not_at_source", f"{file.repo} has no revision {file.revision!r}; check it.", details)
    if isinstance(error, EntryNotFoundError):
        missing = file.path or "of that name"
        return UiapiError("not_at_source", f"{file.repo} has no file {missing}; see {page}.", details)
    if status in (401, 403):
        return UiapiError("login_required", f"Hugging Face refuses {file.repo}; set HF_TOKEN to an account.", details)
    if status == 429:
        return UiapiError("rate_limited", "Hugging Face limits how often it may be asked; try again later.", details)
    why = [*redact(str(error)).strip().splitlines(), type(error).__name__][0][:200]
    return UiapiError("source_failed", f"Hugging Face did not answer for {file.repo} ({why}).", details)
