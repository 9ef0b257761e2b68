"""A run that a tab submits: which of its prompts ComfyUI has accepted, and what the tab adds to the answer.

The answer to `execute` has two sources. While the tab submits a prompt it says what belongs to the answer besides
ComfyUI's own (the event `submitting`). ComfyUI's answer to each submission is read as it leaves this server, known by
the id of our request, with which the page marks it. With both a single run is answered before the page has drawn,
and whatever becomes of the tab, a prompt that ComfyUI has accepted is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...common.errors import UiapiError, disconnected


@dataclass(eq=False)
class Submission:
    """One `execute` that a tab carries out.

    Attributes:
        count: how many prompts it is to queue.
        part: what the tab adds to the answer; None until it has begun to submit.
        told: what the tab says of its graph besides.
        accepted: ComfyUI's answers, in the order of the prompts.
        abandoned: the tab is gone and will add nothing.
    """

    count: int
    part: dict[str, Any] | None = None
    told: dict[str, Any] = field(default_factory=dict)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    abandoned: bool = False

    @property
    def begun(self) -> bool:
        """Whether a prompt may be in ComfyUI's hands."""
        return self.part is not None or bool(self.accepted)

    @property
    def complete(self) -> bool:
        """Whether the answer can be given now instead of by the tab.

        A batch that the tab is there for is answered by it: the page then has done what follows each of its runs.
        """
        in_time = self.count == 1 and self.part is not None
        return len(self.accepted) >= self.count and (in_time or self.abandoned)

    @property
    def prompt_ids(self) -> list[str]:
        """The prompts that ComfyUI has accepted."""
        return [str(queued["prompt_id"]) for queued in self.accepted]

    def answer(self) -> dict[str, Any]:
        """What the tab would answer to `execute`."""
        several = {"prompt_ids": self.prompt_ids} if self.count > 1 else {}
        return {**self.accepted[0], **several, **(self.part or {})}

    def explain(self, error: UiapiError) -> UiapiError:
        """The error that ended it, with the prompts that are queued all the same."""
        if not self.accepted or error.details.get("prompt_ids"):
            return error
        return UiapiError(error.code, error.message, {**error.details, "prompt_ids": self.prompt_ids})

    def lost(self) -> UiapiError:
        """The error for a tab that went before it had queued them all."""
        return self.explain(disconnected())
