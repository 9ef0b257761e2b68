"""Combines the results of the prompts of one run into an answer or an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...common.errors import UiapiError
from .outputs import TextRoom, failure_of, outputs_of
from .run_tracker import Run

# The status of a prompt after these errors; "error" after all others.
_STATUS = {"execution_interrupted": "interrupted", "timeout": "unfinished"}


@dataclass
class Ended:
    """The result of one prompt, or its state after the timeout; `prompt_id` is None if it was never queued."""

    prompt_id: str | None
    error: UiapiError | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)
    execution_time: float | None = None

    @classmethod
    def of(cls, run: Run, timeout: float, room: TextRoom) -> Ended:
        """Return the result of a run."""
        if run.entry is None:
            return cls(run.prompt_id, run.error or still_running([run.prompt_id], timeout))
        failure = failure_of(run.entry, run.prompt_id)
        return cls(run.prompt_id, failure, room.fit(outputs_of(run.entry)), run.execution_time)

    @property
    def status(self) -> str:
        """The status, as `prompts` of an answer has it."""
        if self.error is None:
            return "success"
        return "not_queued" if self.prompt_id is None else _STATUS.get(self.error.code, "error")

    def described(self, *, alone: bool = False) -> dict[str, Any]:
        """Return its entry in `prompts`; with its outputs only if it failed, or if they are nowhere else (`alone`)."""
        answer: dict[str, Any] = {"prompt_id": self.prompt_id, "status": self.status}
        if self.execution_time is not None:
            answer["execution_time"] = self.execution_time
        if self.error is not None:
            envelope = self.error.envelope()
            del envelope["status"]
            answer["error"] = envelope
        if self.outputs and (alone or self.error is not None):
            answer["outputs"] = self.outputs
        return answer


def still_running(prompt_ids: list[str], timeout: float) -> UiapiError:
    """Return the error for prompts that did not end in time."""
    return UiapiError(
        "timeout",
        f"The run did not end within {timeout:g} s and goes on; fetch its result from /history/{prompt_ids[0]}.",
        {"prompt_ids": prompt_ids, "delivered": True},
    )


def failure_of_all(ends: list[Ended], timeout: float) -> UiapiError | None:
    """Return the error if no prompt succeeded or some still run; otherwise None."""
    unfinished = [end.prompt_id for end in ends if end.prompt_id is not None and end.status == "unfinished"]
    failures = [end.error for end in ends if end.error is not None]
    if not failures or (len(failures) < len(ends) and not unfinished):
        return None
    # Running prompts may still succeed; otherwise the first failure is reported.
    error = still_running(unfinished, timeout) if unfinished else failures[0]
    details = dict(error.details)
    if len(ends) > 1:
        if unfinished:
            details["prompt_ids"] = [end.prompt_id for end in ends if end.prompt_id is not None]
        details["prompts"] = [end.described(alone=True) for end in ends]
    elif ends[0].outputs:
        details["outputs"] = ends[0].outputs
    return UiapiError(error.code, error.message, details)


def answer_of_all(ends: list[Ended], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer of a run without the keys of Queued; `outputs` are those of the prompts that succeeded."""
    done = [end for end in ends if end.error is None]
    times = [end.execution_time for end in done]
    answer: dict[str, Any] = {
        "status": "success" if len(done) == len(ends) else "partial",
        "outputs": outputs,
        "execution_time": None if None in times else sum(time or 0.0 for time in times),
    }
    if len(ends) > 1:
        answer["prompts"] = [end.described() for end in ends]
    return answer


def outputs_of_all(ends: list[Ended]) -> list[dict[str, Any]]:
    """Return the outputs of the prompts that succeeded; if there are several prompts, with the prompt_id of each."""
    several = len(ends) > 1
    return [
        {**output, "prompt_id": end.prompt_id} if several else output
        for end in ends
        if end.error is None
        for output in end.outputs
    ]
