"""One sweep: its results, its counts, and the answers made of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import Any, Literal
from uuid import uuid4

from pydantic_core import from_json

from ...common.errors import UiapiError
from ..comfyui.outputs import TextRoom
from ..protocol.codec import encode
from .exports import Export

# Results, and bytes of their JSON, in one answer.
MAX_RESULTS = 1000
MAX_ANSWER = 16 * 2**20
# Bytes of JSON for the texts of one result, and for all results of a sweep; further texts are left out.
MAX_TEXTS = 1 << 16
MAX_HELD = 64 * 2**20
# Warnings about the sweep as a whole.
MAX_WARNINGS = 20

Status = Literal["running", "finished", "failed", "cancelled"]
# Sends an event that belongs to the request.
Emit = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Wish:
    """The sweep that a program asks for.

    Attributes:
        variations: how many.
        seeds: how many prompts each has.
        outputs: whether files are returned as URLs or with their content.
        stops: whether the first failure ends the sweep.
    """

    variations: int
    seeds: int = 1
    outputs: Literal["urls", "base64"] = "urls"
    stops: bool = False

    @property
    def total(self) -> int:
        """How many prompts there are."""
        return self.variations * self.seeds


class Sweep:
    """The state of a sweep, which outlives the request that began it.

    Args:
        program: the name of the program that began it.
        wish: what it asked for.
        publish: sends an event to all who have subscribed.
        changed: called when the counts change.
        sweep_id: its ID; a random one if left out.
    """

    def __init__(
        self,
        program: str,
        wish: Wish,
        publish: Callable[[str, dict[str, Any]], object] = lambda event, data: None,
        changed: Callable[[], None] = lambda: None,
        sweep_id: str | None = None,
    ) -> None:
        self.sweep_id = sweep_id or uuid4().hex
        self.program = program
        self.wish = wish
        self.began = time()
        self.ended: float | None = None
        self.status: Status = "running"
        self.counts = {"success": 0, "error": 0, "cancelled": 0}
        self.exported = 0
        self.warnings: list[str] = []
        # Set once the first prompts are exported, or with the error that keeps the sweep from beginning.
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
        # The program's own request, while it waits.
        self.emit: Emit | None = None
        # The JSON of the results by index; None for prompts that have not ended, or at the end were not carried out.
        self._results: list[bytes | None] = [None] * wish.total
        self._rest: tuple[str, UiapiError] | None = None
        self._publish = publish
        self._changed = changed
        self.size = 0

    @property
    def total(self) -> int:
        """How many prompts there are."""
        return self.wish.total

    def room(self) -> TextRoom:
        """Return the room for the texts of the next result."""
        return TextRoom(max(0, min(MAX_TEXTS, MAX_HELD - self.size)))

    def warn(self, warning: str) -> None:
        """Add a warning about the sweep as a whole, once."""
        if warning not in self.warnings and len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(warning)

    def result(
        self,
        index: int,
        status: str,
        *,
        export: Export | None = None,
        prompt_id: str | None = None,
        files: list[dict[str, Any]] | None = None,
        error: UiapiError | None = None,
        execution_time: float | None = None,
    ) -> dict[str, Any]:
        """Note the result of one prompt and return it."""
        result = {
            **self._place(index),
            "fields": export.fields if export is not None else [],
            "prompt_id": prompt_id,
            "status": status,
            "files": files or [],
            "error": None if error is None else described(error),
            "warnings": export.warnings if export is not None else [],
        }
        if execution_time is not None:
            result["execution_time"] = execution_time
        self._results[index] = encoded = encode(result)
        self.size += len(encoded)
        self.counts[status] += 1
        self._changed()
        return result

    def _place(self, index: int) -> dict[str, Any]:
        variation, repeat = divmod(index, self.wish.seeds)
        return {"index": index, "variation": variation, "repeat": repeat}

    def report(self, result: dict[str, Any], own: dict[str, Any] | None = None) -> None:
        """Send the event about a result; `own` is the result for the program that began the sweep."""
        self._send({"result": result}, None if own is None else {"result": own})

    def end(self, status: Status, rest: tuple[str, UiapiError]) -> None:
        """Note that it is over. Prompts without a result get the status and the error of `rest`, but no event."""
        self._rest = rest
        self.counts[rest[0]] += self.total - sum(self.counts.values())
        self.status, self.ended = status, time()
        if self.started.done() and self.started.exception() is not None:
            # It did not begin, which is the answer to the request.
            self.over.set()
            return
        if not self.started.done():
            self.started.set_result(None)
        self._send({"status": status})
        self.over.set()
        self._changed()

    def progress(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "sweep_id": self.sweep_id,
            "total": self.total,
            "done": self.counts["success"],
            "failed": self.counts["error"],
            "cancelled": self.counts["cancelled"],
        }

    def answer(self, first: int = 0, limit: int = MAX_RESULTS) -> dict[str, Any]:
        """Return the counts, and the results from `first` on, up to the first that has not ended or has no room."""
        results: list[Any] = []
        left = MAX_ANSWER
        for index in range(first, min(self.total, first + limit)):
            encoded = self._results[index] or self._not_carried_out(index)
            left -= len(encoded)
            if not encoded or (results and left < 0):
                break
            results.append(from_json(encoded))
        following = first + len(results)
        return {
            **self.progress(),
            "exported": self.exported,
            "status": self.status,
            "results": results,
            "next": following if following < self.total else None,
            "warnings": self.warnings,
        }

    def _not_carried_out(self, index: int) -> bytes:
        """Return the result of a prompt that was not carried out, as JSON; empty if it may still be."""
        if self._rest is None:
            return b""
        status, error = self._rest
        about: dict[str, Any] = {"fields": [], "prompt_id": None, "status": status, "files": []}
        return encode({**self._place(index), **about, "error": described(error), "warnings": []})

    def _send(self, news: dict[str, Any], own: dict[str, Any] | None = None) -> None:
        data = {**self.progress(), **news}
        self._publish("sweep_progress", data)
        if self.emit is not None:
            self.emit("sweep_progress", data if own is None else {**data, **own})


def described(error: UiapiError) -> dict[str, Any]:
    """Return an error as results have it."""
    return {"code": error.code, "message": error.message, **({"details": error.details} if error.details else {})}
