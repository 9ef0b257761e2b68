"""The person's rules for the kinds of commands, which hold for all programs or for one web app."""

from __future__ import annotations

from enum import Enum
from typing import Any

from ..protocol.command_spec import Kind


class Rule(str, Enum):
    """The person's rule for a kind of command, from the loosest to the strictest."""

    ALLOW = "allow"
    ONCE = "once"
    ALWAYS = "always"
    REFUSE = "refuse"


STRICTNESS = {rule: at for at, rule in enumerate(Rule)}
# The kinds that have a rule.
DECIDED: tuple[Kind, ...] = tuple(kind for kind in Kind if kind is not Kind.TALK)


def stricter(one: Rule, other: Rule) -> Rule:
    """Return the stricter of two rules."""
    return max(one, other, key=STRICTNESS.__getitem__)


def read_rules(kept: Any) -> dict[Kind, Rule]:
    """Return the rules in a file. Raises ValueError if one is missing or invalid."""
    if not isinstance(kept, dict):
        raise ValueError("it does not hold the rules")
    return {kind: Rule(kept.get(kind.value)) for kind in DECIDED}
