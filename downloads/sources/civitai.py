"""CivitAI: which version and which of its files a reference means, by CivitAI's public API (/api/v1)."""

from __future__ import annotations

import contextlib
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

# CivitAI's own houses: what one does not show, another may.
_HOUSES = (CIVITAI_ENDPOINT, "https://civitai.red", "https://civitai.green")
# More than any file has; what is read as JSON may also be infinite, or no number.
MOST_KILOBYTES = 1 << 40
_FORMATS = {"safetensors": "safetensor", "ckpt": "pickletensor", "pt": "pickletensor"}


async def look_up(file: CivitaiFile, name: str, settings: Settings, engine: Engine, token: str | None = None) -> Offer:
    """What CivitAI offers for a reference, without fetching it.

    Args:
        name: the model's name, which decides between files of one version.
        token: one that came with the reference; CivitAI's usual if left out.

    Raises:
        UiapiError: `not_at_source`, `login_required`, `early_access`, `gone_at_source`, `rate_limited`,
            `pickle_refused` for a pickle that CivitAI's own scan did not pass, or `source_failed`.
    """
    token = token or ModelDef.read_civitai_token()
    houses = [str(house).rstrip("/") for house in houses_of(file, settings)]
    secret = Secret(token, frozenset(origin(URL(house)) for house in {*houses, *_HOUSES})) if token else None
    failure: UiapiError | None = None
    for house in houses:
        try:
            version = await _version(file, house, engine, secret)
        except UiapiError as error:
            if error.code != "not_at_source":
                raise
            failure = failure or error
            continue
        return _offer(version, file, name, house, secret)
    assert failure is not None  # noqa: S101 - there is always a house
    raise failure


def houses_of(file: CivitaiFile, settings: Settings) -> list[URL]:
    """Where a file is asked for, in that order."""
    if settings.civitai_endpoint != CIVITAI_ENDPOINT:
        return [URL(settings.civitai_endpoint)]
    named = [house for house in _HOUSES if URL(house).host == file.host]
    # .green shows less than .com, so it is asked only when it was named.
    return [*map(URL, dict.fromkeys([*named, *_HOUSES[:2]]))]


async def _version(file: CivitaiFile, house: str, engine: Engine, secret: Secret | None) -> dict[str, Any]:
    """The version's own record."""
    if file.version is not None:
        record = await _ask(URL(f"{house}/api/v1/model-versions/{file.version}"), engine, secret)
    else:
        model = await _ask(URL(f"{house}/api/v1/models/{file.model}"), engine, secret)
        versions = model.get("modelVersions")
        if not isinstance(versions, list) or not versions or not isinstance(versions[0], dict):
            raise UiapiError("not_at_source", f"CivitAI's model {file.model} has no version that can be downloaded.")
        record = versions[0]
    if not isinstance(record.get("files"), list) or not isinstance(record.get("id"), int):
        raise UiapiError("source_failed", "CivitAI's answer is not in the form it documents; report this.")
    return record


async def _ask(url: URL, engine: Engine, secret: Secret | None) -> dict[str, Any]:
    try:
        status, data = await engine.run(lambda web: web.json(url, secret=secret))
    except Transient as error:
        raise error.error from None
    if status != 200:
        raise refused(status, url, redact(message_of(data)))
    if not isinstance(data, dict):
        raise UiapiError("source_failed", f"{url.host} answered with a page instead of data; try again later.")
    return data


def _offer(version: dict[str, Any], wanted: CivitaiFile, name: str, house: str, secret: Secret | None) -> Offer:
    file = _choose([file for file in version["files"] if isinstance(file, dict)], wanted, name)
    own = _name(file)
    if extension_of(own) in PICKLE_EXTENSIONS and file.get("pickleScanResult") != "Success":
        raise UiapiError("pickle_refused", f"CivitAI's scan did not pass {line_of(own)}; take a .safetensors instead.")
    address = URL(f"{house}/api/download/models/{version['id']}")
    listed = file.get("downloadUrl")
    with contextlib.suppress(ValueError):
        if isinstance(listed, str) and read_url(listed).path.startswith("/api/download/"):
            # The path CivitAI names, at the house that was asked, which may be a mirror.
            address = URL(house).join(read_url(listed).relative())
    hashes = file.get("hashes")
    digest = hashes.get("SHA256") if isinstance(hashes, dict) else None
    early = line_of(version.get("earlyAccessEndsAt") or version.get("earlyAccessDeadline"))
    return Offer(
        "civitai",
        address,
        secret,
        about=_length(file.get("sizeKB")),
        sha256=str(digest).lower() if is_sha256(digest) else None,
        early_access=early or "a date it does not name" if version.get("availability") == "EarlyAccess" else None,
    )


def _choose(files: list[dict[str, Any]], wanted: CivitaiFile, name: str) -> dict[str, Any]:
    """The file that was meant: by its number, by what was said of it, by its name, else the primary one."""
    if wanted.file is not None:
        found = [file for file in files if file.get("id") == wanted.file]
        if not found:
            raise UiapiError("not_at_source", f"That version on CivitAI has no file {wanted.file}.")
        return found[0]
    fitting = [file for file in files if all(_has(file, key, value) for key, value in wanted.wish.items())]
    ending = extension_of(name)
    base = same_name(name).rpartition("/")[2]

    def rank(file: dict[str, Any]) -> tuple[bool, bool, bool, bool]:
        own = _name(file)
        return (own == base, extension_of(own) == ending, bool(file.get("primary")), file.get("type") == "Model")

    if not fitting:
        raise UiapiError("not_at_source", "That version on CivitAI has no file of the kind that was asked for.")
    return max(fitting, key=rank)


def _length(kilobytes: Any) -> int | None:
    sensible = isinstance(kilobytes, (int, float)) and 0 <= kilobytes <= MOST_KILOBYTES
    return round(kilobytes * 1024) if sensible else None


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
