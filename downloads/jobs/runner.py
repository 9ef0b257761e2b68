"""Carries downloads out: fetches their models in parallel, and asks the person for URLs that are missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from ...common.errors import UiapiError
from ...model_defs import ModelDef
from ..common.error_report import unforeseen
from . import registry
from .fetches import Agreed, Fetches, FetchRequest
from .job import Item, Run
from .source_choice import Entry
from .states import ENDED, ItemState, RunState

# Uses of a model that a person is shown.
MOST_USES = 8


class AskUrls(Protocol):
    """Asks the person at the tab for URLs, and directories that are unknown; returns them by name.

    UiapiError `declined`, `no_webui` or `timeout`.
    """

    def __call__(
        self, names: list[str], models: list[dict[str, Any]], timeout: float, program: str
    ) -> Awaitable[Mapping[str, Entry]]: ...


# Asks the person for the URLs of models, on behalf of a program; returns those they gave, by the needs' names.
Ask = Callable[[list[Item], str], Awaitable[dict[str, ModelDef | str]]]


class Runner:
    """Runs downloads.

    Args:
        fetches: fetches files.
        ask: asks the person for URLs.
        changed: called when a run's state has changed and subscribers should be notified.
    """

    def __init__(self, fetches: Fetches, ask: Ask, changed: Callable[[Run], None]) -> None:
        self._fetches = fetches
        self._ask = ask
        self._changed = changed

    async def carry_out(self, run: Run) -> None:
        """Fetch all pending models of a run; the result is in its entry."""
        while any(item.unfinished for item in run.items):
            pending = [item for item in run.items if item.state is ItemState.PENDING and not item.busy]
            for item in pending:
                if item.choice is not None:
                    self.begin(run, item)
            asked = [item for item in pending if item.choice is None]
            if asked:
                self._set(run, RunState.WAITING_FOR_URL)
                run.asking = asyncio.create_task(self._ask_for(run, asked), name=f"uiapi ask for {run.id}")
                await asyncio.wait({run.asking})
                if not run.asking.cancelled():
                    run.asking.result()
            self._set(run, RunState.DOWNLOADING)
            while busy := [item.task for item in run.items if item.busy and item.task is not None]:
                await asyncio.wait(busy)
        self.conclude(run)

    def begin(self, run: Run, item: Item) -> None:
        """Start fetching one model whose source is known."""
        item.begin(asyncio.create_task(self._one(run, item), name=f"uiapi download {run.id} {item.key}"))

    def stop(self, run: Run, items: list[Item], ending: ItemState) -> None:
        """Stop models as paused (their partial files are kept) or cancelled (they are removed)."""
        for item in items:
            if item.stoppable and item.stop(ending) and item.task is not None:
                item.task.cancel()
        waits = any(item.state is ItemState.WAITING_FOR_URL for item in run.items)
        if run.asking is not None and not run.asking.done() and not waits:
            run.asking.cancel()
        self._changed(run)

    async def _one(self, run: Run, item: Item) -> None:
        try:
            item.fetch = await self._fetches.begin(self._wish(run, item))
            path = await self._fetches.finish(item.fetch, keep_partial=lambda: item.ending is ItemState.PAUSED)
            item.measure()
            item.succeed(str(path), item.fetch.source)
        except asyncio.CancelledError:
            item.stopped()
        except UiapiError as error:
            item.fail(error)
        except Exception as error:  # The last line of defence: it fails this model only, which is not retried.
            item.fail(unforeseen(f"The download of {item.key}", error))
        # The fetch may hold an exception, whose traceback keeps its frames alive.
        item.fetch = None
        self._changed(run)

    def _wish(self, run: Run, item: Item) -> FetchRequest:
        need, choice, directory = item.need, item.choice, item.directory
        assert choice is not None  # noqa: S101 - begin is only called with a known source
        if directory is None:
            raise UiapiError(
                "unknown_folder",
                f"The directory of {need.name} is unknown; give it, such as 'loras'.",
            )
        agreed = item.agreed or Agreed(None, run.overwrite)
        return FetchRequest(directory, need.name, choice.model, choice.sha256, agreed.replaces, agreed.size)

    async def _ask_for(self, run: Run, asked: list[Item]) -> None:
        for item in asked:
            item.wait_for_url()
        names = [item.need.name for item in asked]
        registry.jobs.ask(run.id, names)
        self._changed(run)
        try:
            answers = await self._ask(asked, run.program)
            refused = UiapiError("declined", "The person gave none.")
        except UiapiError as error:
            answers, refused = {}, error
        except Exception as error:  # The last line of defence: otherwise the models would wait forever.
            answers, refused = {}, unforeseen("The request for URLs", error)
        finally:
            registry.jobs.answered(run.id)
        for item in asked:
            answer = answers.get(item.need.in_folder) or answers.get(item.need.name)
            if item.state is not ItemState.WAITING_FOR_URL:
                continue
            if answer is None:
                item.fail(UiapiError(refused.code, f"No URL for {item.need.name}: {refused.message}"))
            else:
                item.given(answer)
                self.begin(run, item)

    def _set(self, run: Run, state: RunState) -> None:
        run.change(state)
        self._changed(run)

    def conclude(self, run: Run) -> None:
        """Set the run's state by the states of its models."""
        for item in run.items:
            if item.state not in ENDED:
                item.fail(
                    UiapiError("internal", f"{item.key} was left {item.state}; download it again and report this.")
                )
        run.conclude()
        self._changed(run)


def question_of(item: Item) -> dict[str, Any]:
    """What a person is shown of a model whose URL they are asked for."""
    need = item.need
    uses = [use.to_dict() for use in need.uses[:MOST_USES]]
    candidates = [candidate.to_dict() for candidate in item.candidates]
    return {"name": need.name, "directory": need.directory, "used_by": uses, "candidates": candidates}
