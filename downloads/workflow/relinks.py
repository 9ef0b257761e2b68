"""Decides which widgets relink_models sets to another name of the same model, and which models a file is chosen for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...common.errors import UiapiError
from ..storage.model_folders import same_name
from .disk_copies import Disk
from .mentions import Use
from .model_lookup import CHOOSE, PRESENT, RELINK, SPELLED_DIFFERENTLY, Found, Located
from .required_models import Need


@dataclass(frozen=True)
class Relinks:
    """What relinking would change.

    Attributes:
        links: the widgets to set, as the tab takes them.
        unchosen: the models for which one of several files is to be chosen, as relink_models returns them.
    """

    links: list[dict[str, Any]]
    unchosen: list[dict[str, Any]]


def relinks(models: list[tuple[Need, Located]], disk: Disk, choices: Mapping[str, str]) -> Relinks:
    """The widgets to relink. Blocks on the disk.

    Args:
        models: a workflow's needs, and what was found for each.
        choices: the listed name for each model of that name, which is set instead of a unique file.

    Raises:
        UiapiError: `unknown_model` for a choice for a model that is not needed, `invalid` for one that is not listed.
    """
    links, unchosen = [], []
    _check(choices, [need for need, _ in models])
    for need, located in models:
        name = next((name for name in choices if need.among({name})), None)
        if name is not None:
            links += _chosen(need, located, disk, name, choices[name])
            continue
        links += [
            _link(use, found.listed, found.state)
            for use, found in _uses(need, located)
            if found.state in (SPELLED_DIFFERENTLY, RELINK) and found.listed is not None
        ]
        if located.state == CHOOSE:
            copies = [copy.to_dict() for copy in located.copies if copy.here]
            unchosen.append({"name": same_name(need.name), "directory": need.directory, "copies": copies})
    return Relinks(links, unchosen)


def _check(choices: Iterable[str], needs: list[Need]) -> None:
    unknown = [name for name in choices if not any(need.among({name}) for need in needs)]
    if unknown:
        raise UiapiError(
            "unknown_model",
            f"The workflow needs no model {unknown[0][:120]!r}; see analyze_workflow.",
            {"models": [same_name(need.name) for need in needs]},
        )


def _chosen(need: Need, located: Located, disk: Disk, name: str, listed: str) -> list[dict[str, Any]]:
    """The links of a model to the name that was chosen for it."""
    uses = [use for use, found in _uses(need, located) if found.state != PRESENT]
    lists = [(use, disk.names(use)) for use in uses]
    able = [(use, names) for use, names in lists if names is not None]
    if not able:
        raise UiapiError(
            "invalid",
            f"No widget that names {name[:120]!r} can be relinked, since the model is present, or its node is not "
            "installed or names it in a text; leave it out of choices.",
        )
    if any(listed not in names for _, names in able):
        offered = [copy.name for copy in located.copies if copy.here] + [*located.similar]
        raise UiapiError(
            "invalid",
            f"ComfyUI lists no {listed[:120]!r} for {name[:120]!r}; choose a name that it lists.",
            {"offered": offered},
        )
    return [_link(use, listed, CHOOSE) for use, _ in able]


def _uses(need: Need, located: Located) -> list[tuple[Use, Found]]:
    """The uses in widgets with a known name that hold nothing but the model's name."""
    pairs = zip(need.uses, located.uses, strict=True)
    return [(use, found) for use, found in pairs if use.widget is not None and not use.is_part]


def _link(use: Use, listed: str, reason: str) -> dict[str, Any]:
    return {"node": use.node, "widget": use.widget, "value": use.value, "listed": listed, "reason": reason}
