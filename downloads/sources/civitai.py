"""Looks up models at CivitAI: the version and the file that a reference means, by the public API (/api/v1)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from yarl import URL

from ...common.errors import UiapiError
from ...model_defs import ModelDef
from ..common.credentials import Secret, origin, redact
from ..common.parsing import is_sha256
from ..common.settings import CIVITAI_ENDPOINT, Settings
from ..common.urls import read_url
from ..storage.model_folders import PICKLE_EXTENSIONS, extension_of, same_name
from ..transfer.http_client import Transient, line_of, message_of, refused
from ..transfer.transfer_thread import Engine
from .offers import Offer
from .references import CivitaiFile

# CivitAI's own sites: a model that one of them hides may be shown by another.
_SITES = (CIVITAI_ENDPOINT, "https://civitai.red", "https://civitai.green")
# More than any file has; numbers decoded from JSON may also be infinite or NaN.
MOST_KILOBYTES = 1 << 40
_FORMATS = {"safetensors": "safetensor", "ckpt": "pickletensor", "pt": "pickletensor"}


async def look_up(file: CivitaiFile, name: str, settings: Settings, engine: Engine, token: str | None = None) -> Offer:
    """Look up a reference at CivitAI, without downloading the file.

    Args:
        name: the model's name, which selects among the files of a version.
        token: a token that came with the reference; the configured CivitAI token if left out.

    Raises:
        UiapiError: `not_at_source`, `login_required`, `early_access`, `gone_at_source`, `rate_limited`,
            `pickle_refused` for a pickle that did not pass CivitAI's own scan, or `source_failed`.
    """
    sites = [str(site).rstrip("/") for site in sites_of(file, settings)]
    secret = secret_for(sites, token or ModelDef.read_civitai_token())
    failure: UiapiError | None = None
    for site in sites:
        try:
            version = await _version(file, site, engine, secret)
        except UiapiError as error:
            if error.code != "not_at_source":
                raise
            failure = failure or error
            continue
        return _offer(version, file, name, site, secret)
    assert failure is not None  # noqa: S101 - sites is never empty
    raise failure


def secret_of(settings: Settings) -> Secret | None:
    """The configured token for CivitAI or its mirror, None if there is none. Reads files."""
    return secret_for([settings.civitai_endpoint], ModelDef.read_civitai_token())


def secret_for(sites: Iterable[str], token: str | None) -> Secret | None:
    """The token as a secret of these sites and CivitAI's own."""
    return Secret(token, frozenset(origin(URL(site)) for site in {*sites, *_SITES})) if token else None


def sites_of(file: CivitaiFile, settings: Settings) -> list[URL]:
    """The sites to request a file from, in order."""
    if settings.civitai_endpoint != CIVITAI_ENDPOINT:
        return [URL(settings.civitai_endpoint)]
    named = [site for site in _SITES if URL(site).host == file.host]
    # .green shows less than .com, so it is used only if the reference names it.
    return [*map(URL, dict.fromkeys([*named, *_SITES[:2]]))]


async def _version(file: CivitaiFile, site: str, engine: Engine, secret: Secret | None) -> dict[str, Any]:
    """The record of the version."""
    if file.version is not None:
        record = await _ask(URL(f"{site}/api/v1/model-versions/{file.version}"), engine, secret)
    else:
        model = await _ask(URL(f"{site}/api/v1/models/{file.model}"), engine, secret)
        versions = model.get("modelVersions")
        if not isinstance(versions, list) or not versions or not isinstance(versions[0], dict):
            raise UiapiError("not_at_source", f"CivitAI's model {file.model} has no version that can be downloaded.")
        record = versions[0]
    if not isinstance(record.get("files"), list) or not isinstance(record.get("id"), int):
        raise UiapiError("source_failed", "CivitAI's response is not in the documented format; report this.")
    return record


async def _ask(url: URL, engine: Engine, secret: Secret | None) -> dict[str, Any]:
    try:
        status, data = await engine.run(lambda web: web.json(url, secret=secret))
    except Transient as error:
        raise error.error from None
    if status != 200:
        raise refused(status, url, redact(message_of(data)))
    if not isinstance(data, dict):
        raise UiapiError("source_failed", f"{url.host} sent a page instead of data; try again later.")
    return data


def _offer(version: dict[str, Any], wanted: CivitaiFile, name: str, site: str, secret: Secret | None) -> Offer:
    file = _choose([file for file in version["files"] if isinstance(file, dict)], wanted, name)
    own = _name(file)
    if extension_of(own) in PICKLE_EXTENSIONS and file.get("pickleScanResult") != "Success":
        raise UiapiError("pickle_refused", f"{line_of(own)} did not pass CivitAI's scan; use a .safetensors instead.")
    url = download_url(site, version["id"], file)
    early = line_of(version.get("earlyAccessEndsAt") or version.get("earlyAccessDeadline"))
    return Offer(
        "civitai",
        url,
        secret,
        about=length_of(file),
        sha256=digest_of(file),
        early_access=early or "an unknown date" if version.get("availability") == "EarlyAccess" else None,
    )


def download_url(site: str, version: int, file: dict[str, Any]) -> URL:
    """The URL of a file of a version, at the site that was queried, which may be a mirror."""
    listed = file.get("downloadUrl")
    with contextlib.suppress(ValueError):
        if isinstance(listed, str) and read_url(listed).path.startswith("/api/download/"):
            return URL(site).join(read_url(listed).relative())
    return URL(f"{site}/api/download/models/{version}")


def digest_of(file: dict[str, Any]) -> str | None:
    """The SHA-256 that CivitAI reports for a file, in lower case."""
    hashes = file.get("hashes")
    digest = hashes.get("SHA256") if isinstance(hashes, dict) else None
    return str(digest).lower() if is_sha256(digest) else None


def length_of(file: dict[str, Any]) -> int | None:
    """The approximate bytes of a file."""
    kilobytes = file.get("sizeKB")
    if not isinstance(kilobytes, (int, float)) or not 0 <= kilobytes <= MOST_KILOBYTES:
        return None
    return round(kilobytes * 1024)


def _choose(files: list[dict[str, Any]], wanted: CivitaiFile, name: str) -> dict[str, Any]:
    """Select a file of the version: by id, by the attributes in the reference, by name, else the primary one."""
    if wanted.file is not None:
        found = [file for file in files if file.get("id") == wanted.file]
        if not found:
            raise UiapiError("not_at_source", f"That version on CivitAI has no file {wanted.file}.")
        return found[0]
    fitting = [file for file in files if all(_has(file, key, value) for key, value in wanted.attributes.items())]
    ending = extension_of(name)
    base = same_name(name).rpartition("/")[2]

    def rank(file: dict[str, Any]) -> tuple[bool, bool, bool, bool]:
        own = _name(file)
        return (own == base, extension_of(own) == ending, bool(file.get("primary")), file.get("type") == "Model")

    if not fitting:
        raise UiapiError("not_at_source", "That version on CivitAI has no file with the requested attributes.")
    return max(fitting, key=rank)


def _name(file: dict[str, Any]) -> str:
    name = file.get("name")
    return name if isinstance(name, str) else ""


def _has(file: dict[str, Any], key: str, value: str) -> bool:
    metadata = file.get("metadata") if isinstance(file.get("metadata"), dict) else {}
    said = file.get("type") if key == "type" else (metadata or {}).get(key)
    if said is None:
        return key != "type"
    text = line_of(said).lower()
    return text == _FORMATS.get(value.lower(), value.lower())
