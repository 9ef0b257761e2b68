"""Parses references to a model's source: URLs, AIR URNs, repository names, ids and paths.

AIR, CivitAI's resource names: `[urn:][air:]{ecosystem}:{type}:{source}:{id}[@{version}][+{file}][.{format}]`, where
ecosystem and type may be missing and a `#` starts a comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from yarl import URL

from ...common.errors import UiapiError
from ..common.credentials import without_login
from ..common.parsing import whole_number
from ..common.settings import Settings
from ..common.urls import read_url

HF_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
CIVITAI_HOSTS = frozenset({"civitai.com", "civitai.red", "civitai.green"})
GDRIVE_HOSTS = frozenset({"drive.google.com", "docs.google.com", "drive.usercontent.google.com"})

_AIR = re.compile(
    r"(?:urn:)?(?:air:)?(?:(?P<ecosystem>[\w.-]+):)?(?:(?P<type>[\w.-]+):)?(?P<source>civitai|huggingface):"
    r"(?P<id>[\w./-]+?)(?:@(?P<version>[\w./-]+?))?(?:\+(?P<file>\d+))?(?:\.(?P<format>[A-Za-z]+))?",
    re.IGNORECASE,
)
_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+?))?(?:/(?P<path>[^@]+))?")
_GDRIVE_ID = re.compile(r"[\w-]{20,}")
_HF_ACTIONS = frozenset({"resolve", "blob", "raw", "tree"})
_HF_TYPES = {"datasets": "dataset", "spaces": "space"}


@dataclass(frozen=True)
class HfFile:
    """A file on Hugging Face; with an empty path, the file with the model's own name."""

    repo: str
    path: str = ""
    revision: str = "main"
    repo_type: str | None = None


@dataclass(frozen=True)
class CivitaiFile:
    """A file on CivitAI, of a version of a model; of the newest version if `version` is None.

    `attributes` holds further attributes of the file: type, format, size, fp.
    """

    version: int | None
    model: int | None = None
    file: int | None = None
    host: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GdriveFile:
    """A file on Google Drive."""

    id: str


@dataclass(frozen=True)
class PlainFile:
    """A file at a URL."""

    url: URL


@dataclass(frozen=True)
class LocalFile:
    """A file on the server's own disk."""

    path: str


Reference = HfFile | CivitaiFile | GdriveFile | PlainFile | LocalFile


def read_reference(kind: str, text: str, settings: Settings) -> Reference:
    """Parse `text` as a reference of a `kind` (url, huggingface, civitai, gdrive or local).

    Raises:
        UiapiError: `invalid`, with a sentence about what is accepted.
    """
    text = text.strip()
    if kind == "local":
        return LocalFile(text.removeprefix("file://"))
    air = _AIR.fullmatch(text.partition("#")[0].strip()) if "://" not in text else None
    if air is not None:
        return _of_air(air)
    if kind == "huggingface" and "://" not in text:
        return _of_repo(text)
    if text.startswith("hf://"):
        return _of_hf_uri(text)
    if kind == "civitai" and "://" not in text:
        return _of_civitai_id(text)
    if kind == "gdrive" and _GDRIVE_ID.fullmatch(text):
        return GdriveFile(text)
    return _of_url(text, settings)


def web_url(text: str) -> URL:
    """Parse an http(s) URL, whose scheme may be missing. UiapiError `invalid`, also for a URL with a login."""
    if "://" not in text and re.match(r"[\w-]+(\.[\w-]+)+/", text):
        text = "https://" + text
    try:
        url = read_url(text)
        usable = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        usable = False
    if not usable or any(letter.isspace() or ord(letter) < 32 for letter in text):
        given = without_login(text)[:120]
        raise UiapiError("invalid", f"{given!r} is not an https URL, an AIR URN or a Hugging Face reference.")
    if url.user is not None or url.password is not None:
        raise UiapiError(
            "invalid",
            f"Remove the user name and password from the URL of {url.host}; "
            "set a token in HF_TOKEN or CIVITAI_API_TOKEN.",
        )
    return url


def _of_url(text: str, settings: Settings) -> Reference:
    url = web_url(text)
    where = (url.host, url.port)
    if url.host in HF_HOSTS or where == _whereabouts(settings.hf_endpoint):
        return _of_hf_url(url)
    if url.host in CIVITAI_HOSTS or where == _whereabouts(settings.civitai_endpoint):
        return _of_civitai_url(url)
    if url.host in GDRIVE_HOSTS:
        return _of_gdrive_url(url)
    return PlainFile(url)


def _whereabouts(endpoint: str) -> tuple[str | None, int | None]:
    url = URL(endpoint)
    return url.host, url.port


# -- Hugging Face ---------------------------------------------------------------------------------------------


def _of_hf_url(url: URL) -> Reference:
    parts = [unquote(part) for part in url.raw_path.split("/") if part]
    if parts[:1] == ["api"]:
        return PlainFile(url)
    repo_type = _HF_TYPES.get(parts[0]) if parts else None
    if repo_type:
        parts = parts[1:]
    action = next((index for index in (1, 2) if len(parts) > index and parts[index] in _HF_ACTIONS), None)
    if action is None:
        if len(parts) < 2:
            raise UiapiError(
                "invalid", f"{url.host}{url.path} is not a Hugging Face repository; copy the URL of the file's page."
            )
        return HfFile("/".join(parts[:2]), "/".join(parts[2:]), "main", repo_type)
    revision, path = _split_revision(parts[action + 1 :])
    return HfFile("/".join(parts[:action]), path, revision, repo_type)


def _of_hf_uri(text: str) -> HfFile:
    rest = text.removeprefix("hf://")
    kind, _, tail = rest.partition("/")
    file = _of_repo(tail if kind in _HF_TYPES else rest.removeprefix("models/"))
    return HfFile(file.repo, file.path, file.revision, _HF_TYPES.get(kind))


def _of_repo(text: str) -> HfFile:
    match = _REPO.fullmatch(text.strip("/"))
    if match is None:
        raise UiapiError("invalid", f"{text[:120]!r} is not a Hugging Face reference; use org/repo/path/file.")
    tail = f"{match['revision']}/{match['path'] or ''}" if match["revision"] else ""
    if tail.startswith("refs/"):
        revision, path = _split_revision(tail.strip("/").split("/"))
        return HfFile(match["repo"], path, revision)
    return HfFile(match["repo"], match["path"] or "", match["revision"] or "main")


def _split_revision(parts: list[str]) -> tuple[str, str]:
    """The revision and the path after `resolve`; `refs/pr/1` is one revision despite its slashes."""
    if not parts:
        return "main", ""
    if parts[0] == "refs" and len(parts) >= 3:
        return "/".join(parts[:3]), "/".join(parts[3:])
    return parts[0], "/".join(parts[1:])


# -- CivitAI --------------------------------------------------------------------------------------------------


def _of_civitai_url(url: URL) -> Reference:
    parts = [part for part in url.path.split("/") if part]
    host = url.host or ""
    attributes = {key: url.query[key] for key in ("type", "format", "size", "fp") if url.query.get(key)}
    file = _number(url.query.get("fileId"))
    if parts[:3] == ["api", "download", "models"] and len(parts) == 4:
        return CivitaiFile(_number(parts[3]), file=file, host=host, attributes=attributes)
    if parts[:2] == ["api", "v1"]:
        parts = parts[2:]
    if parts[:1] == ["model-versions"] and len(parts) == 2:
        return CivitaiFile(_number(parts[1]), file=file, host=host, attributes=attributes)
    if parts[:1] == ["models"] and len(parts) >= 2:
        return CivitaiFile(_number(url.query.get("modelVersionId")), _number(parts[1]), file, host, attributes)
    raise UiapiError(
        "invalid", f"{host}{url.path[:120]} is not a model on CivitAI; copy the URL of its page or download."
    )


def _of_civitai_id(text: str) -> Reference:
    match = re.fullmatch(r"(\d+)@(\d+)", text)
    if match is not None:
        return CivitaiFile(_number(match[2]), _number(match[1]))
    if text.isdecimal():
        raise UiapiError(
            "invalid", f"{text[:120]} may be a model or a version of one; use model@version, such as 12345@67890."
        )
    return _of_civitai_url(web_url(text))


def _of_air(match: re.Match[str]) -> Reference:
    name, version = match["id"], match["version"]
    if match["source"].lower() == "huggingface":
        ending = f".{match['format']}" if match["format"] else ""
        return _of_repo(f"{name}{'' if version else ending}" + (f"@{version}{ending}" if version else ""))
    attributes = {"format": match["format"]} if match["format"] else {}
    return CivitaiFile(_number(version), _number(name), _number(match["file"]), "", attributes)


def _number(text: str | None) -> int | None:
    """The id of a model, a version or a file; None if `text` is empty or None."""
    if not text:
        return None
    number = whole_number(text)
    if number is None:
        raise UiapiError("invalid", f"{text[:40]!r} is not a CivitAI id; copy the URL of a model's page.")
    return number


# -- Google Drive ---------------------------------------------------------------------------------------------


def _of_gdrive_url(url: URL) -> GdriveFile:
    match = re.search(r"/d/([\w-]+)", url.path)
    found = match[1] if match else url.query.get("id", "")
    if not _GDRIVE_ID.fullmatch(found):
        raise UiapiError("invalid", f"{url.host}{url.path} is not a file on Google Drive; copy the file's own link.")
    return GdriveFile(found)
