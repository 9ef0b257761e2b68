"""Lists the workflow templates that the page offers: the official ones, and the example workflows of node packs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError

log = logging.getLogger("uiapi")

# The folders of a node pack in which ComfyUI looks for example workflows.
EXAMPLE_FOLDERS = ("example_workflows", "example", "examples", "workflow", "workflows")
# Bytes of the largest template, and of the largest list of them, that is read.
MOST_BYTES = 16_000_000
# Names that an error lists.
NAMED = 5


@dataclass(frozen=True)
class Template:
    """A template; `pack` is None for an official one."""

    name: str
    title: str
    description: str
    pack: str | None
    category: str
    media_type: str
    tags: tuple[str, ...]
    models: tuple[str, ...]
    open_source: bool | None
    path: Path

    def brief(self) -> dict[str, Any]:
        """Return it for list_templates."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "pack": self.pack,
            "category": self.category,
            "media_type": self.media_type,
            "tags": [*self.tags],
            "models": [*self.models],
            "open_source": self.open_source,
        }


def templates_in(folders: Sequence[Path], pack_roots: Iterable[Path]) -> list[Template]:
    """Return all templates, in the order of the page. Blocks on the disk.

    Args:
        folders: those of the packages with official templates.
        pack_roots: the folders with node packs.
    """
    return [*_official(folders), *_examples(pack_roots)]


def matching(templates: Iterable[Template], query: str) -> list[Template]:
    """Return the templates that have all words; those with all of them in their name or title come first."""
    words = query.casefold().split()
    in_title, elsewhere = [], []
    for template in templates:
        name = f"{template.name} {template.title}".casefold()
        rest = (template.description, template.pack or "", template.category, *template.tags, *template.models)
        everything = f"{name} {' '.join(rest)}".casefold()
        if all(word in name for word in words):
            in_title.append(template)
        elif all(word in everything for word in words):
            elsewhere.append(template)
    return [*in_title, *elsewhere]


def named(templates: Sequence[Template], name: str, pack: str | None) -> Template:
    """Return the template of a name or title; without a pack an official one is preferred.

    Raises:
        UiapiError: `unknown_template`, or `invalid` if several packs have it.
    """
    wanted = name.casefold().removesuffix(".json")
    of_pack = [one for one in templates if pack is None or (one.pack or "").casefold() == pack.casefold()]
    found = [one for one in of_pack if one.name.casefold() == wanted]
    found = found or [one for one in of_pack if one.title.casefold() == wanted]
    # A pack may have it in two of its folders; the page opens the first.
    first = {(one.pack, one.name): one for one in reversed([one for one in found if one.pack is None] or found)}
    found = [*reversed(first.values())]
    if len(found) == 1:
        return found[0]
    packs = dict.fromkeys(one.pack or "" for one in found)
    if len(packs) > 1:
        raise UiapiError("invalid", f"Several packs have a template {name!r}; name one of them: {', '.join(packs)}.")
    if found:
        names = ", ".join(one.name for one in found)
        raise UiapiError("invalid", f"Several templates have the title {name!r}; use the name of one: {names}.")
    near = [one.name for one in matching(of_pack, name.replace("_", " "))][:NAMED]
    advice = f"the nearest are {', '.join(near)}" if near else "list_templates lists them"
    raise UiapiError("unknown_template", f"There is no template {name!r}; {advice}.", {"nearest": near})


def workflow_of(template: Template) -> dict[str, Any]:
    """Return the workflow of a template. Blocks on the disk. Raises UiapiError `unknown_template` or `invalid`."""
    try:
        workflow = _json(template.path)
    except OSError as error:
        raise UiapiError(
            "unknown_template", f"The template {template.name} cannot be read: {error.strerror}."
        ) from None
    except (ValueError, RecursionError):
        workflow = None
    if not isinstance(workflow, dict):
        raise UiapiError("invalid", f"The template {template.name} is not valid JSON; install its package again.")
    return workflow


def _official(folders: Sequence[Path]) -> Iterator[Template]:
    files = {path.stem: path for folder in folders for path in folder.glob("*.json")}
    for folder in folders:
        try:
            listed = _json(folder / "index.json")
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            log.warning("The list of templates %s cannot be read: %s", folder / "index.json", error)
            continue
        for group in listed if isinstance(listed, list) else ():
            entries = group.get("templates") if isinstance(group, dict) else None
            for entry in entries if isinstance(entries, list) else ():
                name = entry.get("name") if isinstance(entry, dict) else None
                if isinstance(name, str) and name in files:
                    yield _official_one(entry, str(group.get("title") or ""), files[name])


def _official_one(entry: dict[str, Any], category: str, path: Path) -> Template:
    open_source = entry.get("openSource")
    return Template(
        name=entry["name"],
        title=str(entry.get("title") or entry["name"]),
        description=str(entry.get("description") or ""),
        pack=None,
        category=category,
        media_type=str(entry.get("mediaType") or ""),
        tags=_texts(entry.get("tags")),
        models=_texts(entry.get("models")),
        open_source=open_source if isinstance(open_source, bool) else None,
        path=path,
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _examples(pack_roots: Iterable[Path]) -> Iterator[Template]:
    for root in pack_roots:
        # ComfyUI lists no hidden folders, such as that of disabled packs, and no hidden files.
        for pack in sorted(root.glob("[!.]*")) if root.is_dir() else ():
            for folder in EXAMPLE_FOLDERS:
                for path in sorted((pack / folder).glob("[!.]*.json")):
                    yield Template(path.stem, path.stem, "", pack.name, "", "", (), (), None, path)


def _json(path: Path) -> Any:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    return json.loads(path.read_text("utf-8-sig"))
