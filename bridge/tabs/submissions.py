"""The state of a run that a tab submits: the prompts ComfyUI has accepted, and the tab's part of the answer.

The answer to `execute` has two sources. While the tab submits a prompt, it sends its own part of the answer (the event
`submitting`). ComfyUI's answer to each submission is read as it leaves this server; the page marks the submission with
the id of our request. With both parts a single run is answered before the page has drawn, and accepted prompts are
known even if the tab disconnects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...common.errors import UiapiError, disconnected


@dataclass(eq=False)
class Submission:
    """One `execute` that a tab carries out.

    Attributes:
        count: how many prompts it has to queue.
        part: the tab's part of the answer; None until it has begun to submit.
        extras: the revision and workflow tab that the tab reports with it.
        accepted: ComfyUI's answers, in the order of the prompts.
        abandoned: the tab has disconnected and will add nothing.
    """

    count: int
    part: dict[str, Any] | None = None
    extras: dict[str, Any] = field(default_factory=dict)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    abandoned: bool = False

    @property
    def begun(self) -> bool:
        """Whether ComfyUI may have got a prompt."""
        return self.part is not None or bool(self.accepted)

    @property
    def complete(self) -> bool:
        """Whether the request can be answered now, before the tab does.

        While the tab is connected it answers a batch itself, after it has done what follows each run.
        """
        in_time = self.count == 1 and self.part is not None
        return len(self.accepted) >= self.count and (in_time or self.abandoned)

    @property
    def prompt_ids(self) -> list[str]:
        """The ids of the prompts that ComfyUI has accepted."""
        return [str(queued["prompt_id"]) for queued in self.accepted]

    def answer(self) -> dict[str, Any]:
        """Return the answer to `execute`."""
        several = {"prompt_ids": self.prompt_ids} if self.count > 1 else {}
        return {**self.accepted[0], **several, **(self.part or {})}

    def explain(self, error: UiapiError) -> UiapiError:
        """Return the error with the ids of the prompts that were queued before it."""
        if not self.accepted or error.details.get("prompt_ids"):
            return error
        return UiapiError(error.code, error.message, {**error.details, "prompt_ids": self.prompt_ids})

    def lost(self) -> UiapiError:
        """Return the error for a tab that disconnected before it had queued all prompts."""
        return self.explain(disconnected())
