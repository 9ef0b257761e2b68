"""Lists the node types of a workflow that ComfyUI does not have, each with the packs that have it.

A pack is named by the workflow itself, in the properties `cnr_id` (its id in the registry), `aux_id` (its repository at
GitHub) and `ver` of a node, or by ComfyUI-Manager's lists.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import UiapiError
from .api_prompts import plain_workflow
from .node_packs import Installed, Pack, PackLists, last_part, plain_name, repository_key, text_of

# The most nodes of one workflow, and the deepest nesting of its subgraphs.
MOST_NODES, MOST_DEPTH = 100_000, 64
# Nodes of a type, and packs that have a type, in one answer.
MAX_NODES, MAX_PACKS = 100, 10
# Node types that only the page has.
PAGE_TYPES = frozenset({"Note", "MarkdownNote", "PrimitiveNode", "Reroute"})
# The cnr_id of ComfyUI's own nodes.
CORE = "comfy-core"

_PACK_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")
_REPOSITORY = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}")
_VERSION = re.compile(r"[\w.+-]{1,100}")


@dataclass
class MissingType:
    """A missing node type; `type` is None for nodes whose type the workflow does not give."""

    type: str | None
    count: int = 0
    nodes: list[dict[str, Any]] = field(default_factory=list)
    # The names of packs that its nodes give: (cnr_id, aux_id, ver), each a text that may be empty.
    named: dict[tuple[str, str, str], None] = field(default_factory=dict)

    def add(self, node: _Node) -> None:
        """Add one of its nodes."""
        self.count += 1
        if len(self.nodes) < MAX_NODES:
            self.nodes.append({"id": node.id, "title": node.title})
        properties = node.properties if isinstance(node.properties, dict) else {}
        named = tuple(_fitting(form, properties.get(key)) for form, key in _PROPERTIES)
        if any(named[:2]) and len(self.named) < MAX_PACKS:
            self.named[named] = None  # type: ignore[index]


_PROPERTIES = ((_PACK_ID, "cnr_id"), (_REPOSITORY, "aux_id"), (_VERSION, "ver"))


@dataclass(frozen=True)
class _Node:
    id: str
    type: str | None
    title: str | None
    properties: Any


def missing_types(workflow: Any, known: Collection[str]) -> list[MissingType]:
    """Return the types of a workflow that are neither among `known` nor only in the page, in the order of its nodes.

    Raises:
        UiapiError: `invalid` if it is no workflow, `too_large` if it has too many nodes.
    """
    workflow = plain_workflow(workflow)
    missing: dict[str | None, MissingType] = {}
    for node in _ui_nodes(workflow) if "nodes" in workflow else _api_nodes(workflow):
        if node.type is None or (node.type not in known and node.type not in PAGE_TYPES):
            missing.setdefault(node.type, MissingType(node.type)).add(node)
    return [*missing.values()]


def described(missing: MissingType, lists: PackLists, installed: list[Installed], *, manager: bool) -> dict[str, Any]:
    """Return a missing type as missing_nodes answers it.

    Args:
        missing: the type.
        lists: ComfyUI-Manager's lists.
        installed: the packs in custom_nodes.
        manager: whether ComfyUI-Manager can install packs.
    """
    packs = [_named_pack(*named, lists) for named in missing.named]
    keys = {key for pack in packs for key in _keys(pack)}
    for pack in lists.having(missing.type) if missing.type is not None and not packs else ():
        listed = _pack(pack.id, pack.title, pack.repository or None, None, "manager")
        if keys.isdisjoint(_keys(listed)):
            packs.append(listed)
    packs = packs[:MAX_PACKS]
    for one in packs:
        there = _found(one, installed)
        one["state"], one["error"] = (there.state, there.error) if there is not None else ("missing", None)
    return {
        "type": missing.type,
        "count": missing.count,
        "nodes": missing.nodes,
        "packs": packs,
        "how": _how(missing.type, packs, manager=manager),
    }


def _named_pack(pack_id: str, repository: str, version: str, lists: PackLists) -> dict[str, Any]:
    """The pack that a node names, with what ComfyUI-Manager knows about it."""
    names = [name for name in (pack_id.lower(), repository_key(repository)) if name]
    listed: Pack | None = next((lists.by_name[name] for name in names if name in lists.by_name), None)
    url = f"https://github.com/{repository}" if repository else listed.repository if listed is not None else ""
    title = listed.title if listed is not None else pack_id or last_part(repository)
    known = pack_id or (listed.id if listed is not None else "")
    return _pack(known or None, title, url or None, version or None, "workflow")


def _pack(pack_id: str | None, title: str, url: str | None, version: str | None, origin: str) -> dict[str, Any]:
    return {"id": pack_id, "title": title, "repository": url, "version": version, "origin": origin}


def _keys(pack: dict[str, Any]) -> set[str]:
    """The names under which a pack may be installed."""
    names = (pack["id"], pack["repository"] and last_part(pack["repository"]))
    return {plain_name(name) for name in names if name}


def _found(pack: dict[str, Any], installed: list[Installed]) -> Installed | None:
    keys = _keys(pack)
    found = [one for one in installed if not one.names.isdisjoint(keys)]
    # A pack can be there twice, for example with a disabled copy.
    order = ("loaded", "failed", "not_loaded", "disabled")
    return min(found, key=lambda one: order.index(one.state), default=None)


def _how(node_type: str | None, packs: list[dict[str, Any]], *, manager: bool) -> str:
    """One sentence that says how to get a type."""
    if node_type is None:
        return "The workflow does not name the type; export it again where the nodes are installed."
    if not packs:
        return f'Search for "{node_type[:100]}" in ComfyUI-Manager, or ask the author of the workflow for its pack.'
    pack = next((one for one in packs if one["state"] != "missing"), packs[0])
    title, error = pack["title"], pack["error"]
    if pack["id"] == CORE:
        return "This is one of ComfyUI's own nodes; update ComfyUI."
    if pack["state"] == "failed":
        reason = f" ({error})" if error else ""
        return f"{title} is installed, but ComfyUI could not import it{reason}; repair or update it."
    there = {
        "loaded": f"{title} is installed, but does not have this node; update it.",
        "not_loaded": f"{title} is installed, but not loaded yet; restart ComfyUI.",
        "disabled": f"{title} is installed, but disabled; enable it in ComfyUI-Manager.",
    }.get(pack["state"])
    if there is not None:
        return there
    if manager:
        return f"Install {title} with ComfyUI-Manager."
    if pack["repository"]:
        return f"Install {title} from {pack['repository']} into custom_nodes, or with ComfyUI-Manager."
    return f'Search for "{title}" in ComfyUI-Manager and install it.'


def _fitting(form: re.Pattern[str], value: Any) -> str:
    return value if isinstance(value, str) and form.fullmatch(value) else ""


def _api_nodes(workflow: dict[str, Any]) -> Iterator[_Node]:
    if len(workflow) > MOST_NODES:
        raise _too_large()
    for node_id, node in workflow.items():
        meta = node.get("_meta")
        title = meta.get("title") if isinstance(meta, dict) else None
        yield _Node(text_of(node_id), node.get("class_type"), text_of(title) or None, None)


def _ui_nodes(workflow: dict[str, Any]) -> Iterator[_Node]:
    graphs: dict[str, Any] = {}
    _collect(workflow, graphs, 0)
    budget = MOST_NODES
    # Graphs yet to be read: the nodes, the ids of the nodes around them, and the graphs they are in.
    ahead: list[tuple[Any, str, tuple[str, ...]]] = [(workflow["nodes"], "", ())]
    while ahead:
        nodes, prefix, inside = ahead.pop()
        for index, node in enumerate(nodes if isinstance(nodes, list) else ()):
            kind = node.get("type") if isinstance(node, dict) else ""
            if not isinstance(kind, (str, type(None))) or kind == "":
                continue
            budget -= 1
            if budget < 0 or len(inside) > MOST_DEPTH:
                raise _too_large()
            own = node.get("id", index)
            node_id = f"{prefix}{own if isinstance(own, (str, int)) else ''}"[:100]
            if kind in graphs:
                if kind not in inside:
                    ahead.append((graphs[kind], f"{node_id}:", (*inside, kind)))
            else:
                yield _Node(node_id, kind, text_of(node.get("title")) or None, node.get("properties"))


def _collect(graph: Any, into: dict[str, Any], depth: int) -> None:
    """Add the nodes of all subgraphs and older group nodes to `into`, by the types of the nodes that stand for them."""
    if depth > MOST_DEPTH:
        raise _too_large()
    extra, definitions = graph.get("extra"), graph.get("definitions")
    groups = extra.get("groupNodes") if isinstance(extra, dict) else None
    for name, group in groups.items() if isinstance(groups, dict) else ():
        nodes = group.get("nodes") if isinstance(group, dict) else None
        into.update({f"workflow>{name}": nodes, f"workflow/{name}": nodes})
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    for data in subgraphs if isinstance(subgraphs, list) else ():
        if isinstance(data, dict) and isinstance(data.get("id"), str) and data["id"] not in into:
            into[data["id"]] = data.get("nodes")
            _collect(data, into, depth + 1)


def _too_large() -> UiapiError:
    return UiapiError(
        "too_large",
        f"The workflow has more than {MOST_NODES} nodes, or subgraphs deeper than {MOST_DEPTH} levels; simplify it.",
    )
