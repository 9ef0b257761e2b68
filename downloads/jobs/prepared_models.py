"""Prepares the download of needed models: their sources, what the disk has of them, and what is left to download."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...common.errors import UiapiError
from ...model_defs import ModelDef
from ..common.error_report import plain
from ..storage.file_presence import Presence
from ..workflow.disk_copies import Disk
from ..workflow.model_lookup import CHOOSE, Located
from ..workflow.required_models import Need
from .job import Item, new_item
from .source_choice import Choice, wanted_sha256

# Files named in one sentence.
MOST_SHOWN = 4


@dataclass(frozen=True)
class Prepared:
    """A needed model before its download.

    Attributes:
        need: the model.
        choice: its source, None if the person must be asked.
        located: what was found on the disk.
        damage: the error of a damaged file, None if it is usable or missing.
    """

    need: Need
    choice: Choice | None
    located: Located
    damage: UiapiError | None

    @property
    def requested(self) -> bool:
        """Whether the request gives its source."""
        return self.choice is not None and self.choice.origin == "request"

    @property
    def undecided(self) -> UiapiError | None:
        """A `conflict` error if one of several files has to be chosen, None otherwise."""
        if self.located.state != CHOOSE or self.requested:
            return None
        names = ", ".join(plain(copy.name) for copy in self.located.copies[:MOST_SHOWN] if copy.here)
        return UiapiError(
            "conflict",
            f"Several different files may be {plain(self.need.name)} ({names}); choose one with relink_models "
            "(choices), or give its URL to download it.",
        )


async def prepared_models(models: list[tuple[Need, Choice | None]], disk: Disk, presence: Presence) -> list[Prepared]:
    """What is known of models whose sources were chosen. Files of equal size may be hashed to compare them."""
    wanted = [
        # A file that is present in any folder will do, unless its directory is known for certain.
        (need, choice.directory if choice is not None and choice.is_precise else None, wanted_sha256(need, choice))
        for need, choice in models
    ]
    located = await disk.find_all(wanted, compare=True)
    damages = await presence.damages([(found.path, one[2]) for one, found in zip(wanted, located, strict=True)])
    return [
        Prepared(
            need, choice if choice is not None and choice.is_precise else _of_copy(need, found) or choice, found, damage
        )
        for (need, choice), found, damage in zip(models, located, damages, strict=True)
    ]


def items_of(models: Iterable[Prepared], *, overwrite: bool) -> list[Item]:
    """The models of a download that has not started: models that are present have ended, the others are pending.

    Args:
        models: what is known of each.
        overwrite: whether damaged files, and those of models whose source the request gives, are replaced.
    """
    items: list[Item] = []
    taken: set[str] = set()
    for known in models:
        path, choice, damage, requested = known.located.path, known.choice, known.damage, known.requested
        item = new_item(known.need, choice, taken)
        items.append(item)
        if known.undecided is not None:
            item.fail(known.undecided)
        if path is None or (overwrite and (requested or damage is not None)):
            continue
        if damage is not None:
            item.path = path
            item.fail(damage)
        # A file whose digest the request itself gives is always hashed, so it stays pending.
        elif choice is None or not requested or choice.sha256 is None:
            item.exists(path)
    return items


def _of_copy(need: Need, located: Located) -> Choice | None:
    """A file in another directory that has a need's digest, which would be linked."""
    if located.path is not None or need.directory is None or need.sha256 is None:
        return None
    path = next((copy.path for copy in located.copies if copy.sha256 == need.sha256), None)
    return Choice(ModelDef(local=path), need.directory, "disk", need.sha256) if path is not None else None
