"""Finds the links to files in the texts of a workflow, as authors put them into notes next to their loaders.

A link counts under the file name at the end of its path. A page of CivitAI does not name its file; it counts under
the name in the link's own text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from yarl import URL

from ...bridge.comfyui.api_prompts import plain_workflow
from ..storage.model_folders import MODEL_EXTENSIONS, extension_of
from ..workflow.graph_walk import Placed, walk
from .addresses import file_url, is_civitai

# The most links of one workflow, and the most characters of its notes that are read. Real notes have a few dozen links.
MOST_LINKS = 1000
MOST_TEXT = 1_000_000
# The most links to files of one name.
MOST_OF_NAME = 20

_NOTES = re.compile(r"note|markdown", re.IGNORECASE)
# A link, up to where another one begins, with the text of a Markdown link in front of it.
_LINK = re.compile(
    r"(?:\[(?P<text>[^\[\]\n]{1,300})\]\(\s{0,9})?"
    r"(?P<url>https?://(?:(?!https?://)[^\s<>\"'`|\\^{}])+)",
    re.IGNORECASE,
)
# A word of a link's text, without the emphasis around it.
_WORD = re.compile(r"[^\s*_`\"'()<>|,;:]+(?:_+[^\s*_`\"'()<>|,;:]+)*")
# What ends a sentence or an emphasis after a link, and is not part of it.
_TAIL = ".,;:!?*_~"


@dataclass(frozen=True)
class NoteLink:
    """A link in a note.

    Attributes:
        url: the URL of the file, or of its page on CivitAI.
        node: the id of the note.
    """

    url: str
    node: str


# The links of a workflow's notes, by the name of the file.
NoteLinks = Mapping[str, list[NoteLink]]


def note_links(workflow: Any) -> NoteLinks:
    """The links in a workflow's notes that lead to model files. UiapiError as `Needs.read`."""
    workflow = plain_workflow(workflow)
    if not isinstance(workflow.get("nodes"), list):
        # An API export has no notes.
        return {}
    found: dict[str, dict[str, NoteLink]] = {}
    for number, (name, link) in enumerate(_links(walk(workflow))):
        if number >= MOST_LINKS:
            break
        links = found.setdefault(name, {})
        if len(links) < MOST_OF_NAME:
            links.setdefault(link.url, link)
    return {name: [*links.values()] for name, links in found.items()}


def _links(nodes: Iterator[Placed]) -> Iterator[tuple[str, NoteLink]]:
    left = MOST_TEXT
    for placed in nodes:
        if placed.type is None or not _NOTES.search(placed.type):
            continue
        for _, text in placed.values(()):
            if "://" in text:
                for name, url in _in_text(text[:left]):
                    yield name, NoteLink(url, placed.id)
                left -= min(left, len(text))


def _in_text(text: str) -> Iterator[tuple[str, str]]:
    """The links in a text: the file's name and the URL."""
    at = 0
    while (match := _LINK.search(text, at)) is not None:
        raw = _trimmed(match["url"])
        at = match.start("url") + len(raw)
        url = file_url(raw)
        if url is not None:
            yield from ((name, str(url)) for name in _names(url, match["text"] or ""))


def _names(url: URL, text: str) -> Iterator[str]:
    names = [text.strip(" *_`"), *_WORD.findall(text)] if is_civitai(url) else [url.name]
    yield from (name for name in dict.fromkeys(names) if extension_of(name) in MODEL_EXTENSIONS)


def _trimmed(raw: str) -> str:
    """A link up to the bracket around it, without what ends the sentence."""
    depth = 0
    for index, letter in enumerate(raw):
        depth += (letter in "([") - (letter in ")]")
        if depth < 0:
            raw = raw[:index]
            break
    return raw.rstrip(_TAIL)
