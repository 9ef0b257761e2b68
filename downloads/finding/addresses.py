"""The URLs of model files in one form, so that two of the same file can be recognised."""

from __future__ import annotations

from yarl import URL

from ..common.urls import read_url
from ..sources.references import CIVITAI_HOSTS, HF_HOSTS

# The longest URL that is read.
MOST_URL = 2000
# A page that shows a file, and what it is called in the URL of the file itself.
_FILE_ACTIONS = {"blob": "resolve", "resolve": "resolve", "raw": "resolve"}


def file_url(text: str) -> URL | None:
    """The URL of a file on the web, None if the text is not one.

    A page of Hugging Face that shows a file becomes the URL of the file, without its query. Fragments are dropped.
    """
    if len(text) > MOST_URL or not text.isprintable() or " " in text:
        return None
    try:
        url = read_url(text).with_fragment(None)
    except ValueError:
        return None
    if url.scheme not in ("http", "https") or not url.host or url.user is not None or url.password is not None:
        return None
    return _hugging_face(url) if url.host in HF_HOSTS else url


def is_civitai(url: URL) -> bool:
    """Whether a URL is a page or a download of CivitAI, whose path does not name the file."""
    parts = url.path.split("/")
    return url.host in CIVITAI_HOSTS and (parts[1:2] == ["models"] or parts[1:4] == ["api", "download", "models"])


def owner_of(url: str) -> str:
    """The account that a file on Hugging Face or GitHub belongs to; empty for other hosts."""
    read = file_url(url)
    if read is None or read.host not in (*HF_HOSTS, "github.com"):
        return ""
    return next((part for part in read.path.split("/") if part), "")


def _hugging_face(url: URL) -> URL:
    parts = url.raw_path.split("/")
    # After the repository, which is `owner/name`, or for old ones a name alone; or `datasets/owner/name`.
    at = next((index for index in (3, 4, 2) if parts[index : index + 1] and parts[index] in _FILE_ACTIONS), None)
    if at is None:
        return url
    parts[at] = _FILE_ACTIONS[parts[at]]
    return URL.build(scheme="https", host="huggingface.co", path="/".join(parts), encoded=True)
