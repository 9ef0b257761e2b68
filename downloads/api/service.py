"""The download service behind the commands about models: analysis, plans, downloads and the saved URLs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...bridge.comfyui.input_files import Fetched
from ...common.errors import UiapiError
from ...common.json_store import sweep
from ...model_defs import ModelDef
from ..common.settings import Settings
from ..common.throttle import Backoff
from ..finding.catalog import Catalog
from ..jobs import registry
from ..jobs.fetches import Agreed, Fetches, FetchRequest
from ..jobs.findings import Finder, Findings, Wanted
from ..jobs.job import Item, Run, new_item, new_run, resumable
from ..jobs.journal import Journal
from ..jobs.notifications import Notifications
from ..jobs.planner import Planner
from ..jobs.prepared_models import items_of, prepared_models
from ..jobs.runner import AskUrls, Runner
from ..jobs.source_choice import Choice, Entry, choose, read_saved, read_table, unused
from ..jobs.states import ENDED, ItemState, RunState
from ..searching.search import Searches
from ..sources.resolver import Sources, check_sources
from ..storage import url_map
from ..storage.file_presence import Presence
from ..storage.hash_cache import Hashes
from ..storage.model_folders import Places, check_names
from ..transfer.host_guard import HostGuard
from ..transfer.input_file import fetch_input
from ..transfer.transfer_thread import Engine
from ..workflow.analysis import Analysis
from ..workflow.disk_copies import Disk
from ..workflow.node_inputs import NodeInputs
from ..workflow.required_models import Names, Need
from .asked_urls import AskedUrls
from .consent import Consent

log = logging.getLogger("uiapi")

# Seconds between two progress updates, and between two removals of expired downloads.
MEASURE_INTERVAL = 0.5
CLEANUP_INTERVAL = 300.0
# Seconds transfers may take to close their partial files when they, or ComfyUI, are stopped.
CLOSE_TIMEOUT = 30.0
# Models per download or plan. Thousands would keep ComfyUI's loop busy, and no workflow needs so many.
MOST_MODELS = 1000
# Nothing is searched for, unless a request wants it.
NO_SEARCH = Wanted()


class Downloads:
    """The download service.

    Args:
        folder_paths: ComfyUI's module.
        node_classes: returns the mapping of class name to node class.
        state_directory: holds the URL map and the journal of unfinished downloads.
        ask_urls: asks the person at the tab.
        publish: sends an event to subscribers.
        models_changed: makes open tabs reload their file lists.
        settings: the operator's settings; read from the environment if left out.
        backoff: creates the pauses between retries.
    """

    def __init__(
        self,
        *,
        folder_paths: Any,
        node_classes: Callable[[], Mapping[str, type]],
        state_directory: Path,
        ask_urls: AskUrls,
        publish: Callable[[str, dict[str, Any]], object],
        models_changed: Callable[[], Awaitable[None]],
        settings: Settings | None = None,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        settings = settings or Settings.from_environment()
        self.places = Places(folder_paths)
        self.settings = settings
        self.guard = HostGuard(settings)
        self._engine = Engine(settings, self.guard, backoff)
        sources = Sources(settings, self.guard, self._engine, self.places)
        self._hashes = hashes = Hashes(state_directory / "hashes.json", self.places)
        self.presence = Presence(hashes)
        self.analysis = Analysis(self.places, NodeInputs(folder_paths, node_classes), self.presence)
        self._finder = Finder(Catalog(folder_paths), Searches(settings, self._engine), self.places, self.presence)
        self._planner = Planner(self.places, sources, hashes, self.presence, settings)
        self.consent = Consent(self._planner, self.places, settings)
        self._notifications = notifications = Notifications(self.places, publish, models_changed)
        self._fetches = Fetches(
            self._engine, self.places, sources, hashes, self.presence, settings, notifications.file_added, backoff
        )
        self._urls = AskedUrls(ask_urls, settings, self.guard)
        self._runner = Runner(self._fetches, self._urls.ask, notifications.changed)
        self._state = state_directory
        self._journal = Journal(state_directory / "downloads.json")
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # -- life ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load the downloads left unfinished when ComfyUI last stopped, and start the background tasks."""
        await asyncio.to_thread(sweep, self._state)
        for run in await self._journal.load():
            self._runs[run.id] = run
            registry.jobs.add(run)
        self._spawn(self._watch(), "watch downloads")
        self._spawn(self._clean_up(), "clean up downloads")

    async def close(self) -> None:
        """Pause every transfer, and end the service's threads."""
        self._hashes.close()
        self.pause_of()
        running = [run.task for run in self._runs.values() if run.task is not None and run.busy]
        if running:
            await asyncio.wait(running, timeout=CLOSE_TIMEOUT)
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._notifications.close()
        await self._engine.close()

    def forget_old(self) -> None:
        """Remove expired downloads."""
        registry.counts()
        for run_id in [run_id for run_id in self._runs if run_id not in registry.jobs.runs]:
            del self._runs[run_id]

    # -- downloads ----------------------------------------------------------------------------------------

    async def plan(
        self,
        workflow: Any,
        table: Mapping[str, Entry],
        only: Names = None,
        *,
        overwrite: bool = False,
        wanted: Wanted = NO_SEARCH,
    ) -> dict[str, Any]:
        """What a download of a workflow's models would do. UiapiError `invalid`, `too_large`, `storage_failed`."""
        needs = [need for need in await self.analysis.named(workflow) if need.among(only)]
        _check_number(needs)
        saved = read_saved(await url_map.load_stored_urlmap())
        found = await self._finder.of(workflow, needs, read_table(table), saved, wanted)
        return await self._planner.plan(needs, found, overwrite=overwrite)

    async def search(self, models: Sequence[tuple[str, str | None, str | None]]) -> dict[str, Any]:
        """Search for models, given by name, directory and SHA-256. UiapiError `shutting_down`."""
        return await self._finder.search([Need(name, directory, sha256=sha256) for name, directory, sha256 in models])

    async def look_at(self, name: str, directory: str | None, url: str) -> dict[str, Any]:
        """What downloading a model from this URL would do. UiapiError `invalid`."""
        need = Need(name, directory)
        plan = await self._planner.plan([need], Findings([choose(need, read_table({name: url}), {})], [[]]))
        model: dict[str, Any] = plan["models"][0]
        return model

    async def begin(self, workflow: Any, table: Mapping[str, Entry], **how: Any) -> Run:
        """Prepare a download and start it. UiapiError as `prepare`, and `storage_failed`."""
        return await self.launch(await self.prepare(workflow, table, **how))

    async def fetch_one(self, name: str, definition: Entry, *, overwrite: bool = False) -> Run:
        """Prepare a download of one model and start it. UiapiError as `prepare_one`, and `storage_failed`."""
        return await self.launch(await self.prepare_one(name, definition, overwrite=overwrite))

    async def prepare(
        self,
        workflow: Any,
        table: Mapping[str, Entry],
        *,
        overwrite: bool = False,
        only: Names = None,
        wanted: Wanted = NO_SEARCH,
    ) -> Run:
        """A download, not started, of every missing model of a workflow, or of those named in `only`.

        A damaged file is replaced only with `overwrite`; otherwise the download of its model fails.

        Raises:
            UiapiError: `invalid`, `bad_path` for an invalid model name in the table, `too_large`,
                `storage_failed`.
        """
        check_names(table)
        entries = read_table(table)
        everything = await self.analysis.named(workflow)
        needs = [need for need in everything if need.among(only)]
        _check_number(needs)
        run = new_run(overwrite)
        run.change(RunState.CHECKING)
        saved = read_saved(await url_map.load_stored_urlmap())
        found = await self._finder.of(workflow, needs, entries, saved, wanted)
        run.unused = unused(entries, (choose(need, entries, {}) for need in everything))
        models = zip(needs, found.choices, found.candidates, strict=True)
        needed = [model for model in models if model[0].reason is None]
        states = await prepared_models(
            [(need, choice) for need, choice, _ in needed], Disk(self.places, self.presence), self.presence
        )
        run.items = items_of(states, overwrite=overwrite)
        for item, (_, _, candidates) in zip(run.items, needed, strict=True):
            item.candidates = candidates
        return run

    async def prepare_one(self, name: str, definition: Entry, *, overwrite: bool = False) -> Run:
        """A download of one model, not started. UiapiError if it can never be fetched, or is present and `damaged`."""
        model = read_table({name: definition})[name.replace("\\", "/")]
        model = ModelDef(url=model) if isinstance(model, str) else model
        check_sources(model, self.settings, self.guard)
        directory = model.ckpt_type
        request = FetchRequest(directory, name, model, model.sha256, overwrite)
        target = await asyncio.to_thread(request.target, self.places, self.settings)
        run = new_run(overwrite)
        item = new_item(Need(name, directory), Choice(model, directory, "request", model.sha256), set())
        run.items.append(item)
        found = None if overwrite else await asyncio.to_thread(self.places.find, directory, name)
        if (damage := await self.presence.damage(found, model.sha256)) is not None:
            raise damage.anew()
        if found is not None and model.sha256 is None:
            item.exists(found)
        else:
            item.path = str(target)
        return run

    async def fetch_input(self, url: str, target: Path) -> Fetched:
        """Download a file that is the value of a field. UiapiError as the function."""
        return await self._engine.run(lambda web: fetch_input(web, url, target))

    def run(self, run_id: str) -> Run:
        """A download by its id. UiapiError `unknown_download`."""
        self.forget_old()
        run = self._runs.get(run_id)
        if run is None:
            raise UiapiError("unknown_download", f"There is no download {run_id[:80]!r}; it may have ended long ago.")
        return run

    def status(self, run_id: str) -> dict[str, Any]:
        """A download's entry as it is now. UiapiError `unknown_download`."""
        self.forget_old()
        if run_id in self._runs:
            self._runs[run_id].measure()
        entry = registry.download_tasks.get(run_id)
        if entry is None:
            raise UiapiError("unknown_download", f"There is no download {run_id[:80]!r}; it may have ended long ago.")
        return entry

    def listed(self) -> dict[str, dict[str, Any]]:
        """All downloads by id."""
        self.forget_old()
        return {run_id: self.status(run_id) for run_id in [*registry.jobs.runs]}

    def find_item(self, name: str) -> tuple[Run, Item] | None:
        """The model of that name that is being downloaded, or None."""
        for run in self._runs.values():
            for item in run.items:
                if item.busy and name in (item.key, item.need.name, f"{item.need.directory}/{item.need.name}"):
                    run.measure()
                    return run, item
        return None

    async def stop(self, run_id: str, model: str | None, ending: str) -> Run:
        """Pause or cancel a download or one of its models, and wait until it has stopped.

        Raises:
            UiapiError: `unknown_download`, `unknown_model`, or `conflict` when there is nothing to stop.
        """
        run, ending = self.run(run_id), ItemState(ending)
        wanted = [run.item(model)] if model is not None else run.items
        items = [item for item in wanted if item.stoppable and item.state not in (ItemState.CANCELLED, ending)]
        if not items:
            raise UiapiError("conflict", f"{model or run_id} is not in progress and cannot be {ending}.")
        self._runner.stop(run, items, ending)
        await _ended(items)
        for item in items:
            # Including models that were paused earlier, or resumed but not yet started.
            if item.state is ItemState.CANCELLED:
                await self._fetches.discard(item.directory, item.need.name)
        if not any(item.unfinished or item.state is ItemState.WAITING_FOR_URL for item in run.items):
            if run.task is not None and run.busy:
                await asyncio.wait({run.task}, timeout=CLOSE_TIMEOUT)
            else:
                self._runner.conclude(run)
                await self._journal.keep(self._runs.values())
        return run

    def pause_of(self, program: str | None = None) -> None:
        """Pause the downloads of a program, or all; what another program downloads too goes on for that one."""
        for run in self._runs.values():
            if run.busy and program in (None, run.program):
                self._runner.stop(run, [item for item in run.items if item.state not in ENDED], ItemState.PAUSED)

    async def resume(self, run_id: str, model: str | None, agreed: Mapping[str, Agreed] | None = None) -> Run:
        """Resume the models that were paused, cancelled or failed, or only those agreed to. UiapiError as `stop`."""
        run = self.run(run_id)
        # Models stopped a moment ago may still be closing their files.
        await _ended(resumable(run, model))
        items = [item for item in resumable(run, model) if not item.busy and (agreed is None or item.key in agreed)]
        if not items:
            raise UiapiError(
                "conflict", f"Nothing in {model or run_id} is paused, cancelled or failed, so nothing can be resumed."
            )
        for item in items:
            item.again(agreed[item.key] if agreed is not None else None)
        run.again()
        if run.busy:
            for item in items:
                if item.choice is not None:
                    self._runner.begin(run, item)
        else:
            self._start(run)
        await self._note(run)
        return run

    # -- the URL map --------------------------------------------------------------------------------------

    async def save_urls(self, urls: Mapping[str, Entry]) -> None:
        """Save the URLs of models, without tokens. UiapiError as AskedUrls.save."""
        await self._urls.save(urls)

    # -- inside -------------------------------------------------------------------------------------------

    async def launch(self, run: Run, agreed: Mapping[str, Agreed] | None = None, program: str = "") -> Run:
        """Start a prepared download, within the limits the person agreed to if asked. UiapiError `storage_failed`."""
        run.program = program
        for item in run.begin():
            item.agreed = (agreed or {}).get(item.key)
        self._runs[run.id] = run
        registry.jobs.add(run)
        try:
            await self._journal.keep(self._runs.values())
        except BaseException:
            # The request fails or was cancelled, so its caller never learns the id.
            del self._runs[run.id]
            registry.jobs.remove(run.id)
            raise
        self._start(run)
        return run

    def _start(self, run: Run) -> None:
        if not run.busy:
            run.task = asyncio.create_task(self._carry_out(run), name=f"uiapi download {run.id}")
            run.task.add_done_callback(lambda task: registry._handle_task_exception(task, run.id))

    async def _carry_out(self, run: Run) -> None:
        while True:
            await self._runner.carry_out(run)
            await self._note(run)
            # Some models may have been resumed meanwhile, and may even have ended again.
            if run.concluded:
                return

    async def _note(self, run: Run) -> None:
        """Write the run's state to the journal; a failure to do so does not affect the run."""
        try:
            await self._journal.keep(self._runs.values())
        except UiapiError as error:
            log.warning("%s The state of download %s is not saved.", error.message, run.id)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(MEASURE_INTERVAL)
            for run in [*self._runs.values()]:
                if any(item.busy for item in run.items):
                    self._notifications.changed(run)

    async def _clean_up(self) -> None:
        while True:
            await asyncio.sleep(CLEANUP_INTERVAL)
            self.forget_old()

    def _spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=f"uiapi {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _check_number(models: Sequence[Any]) -> None:
    if len(models) > MOST_MODELS:
        raise UiapiError(
            "too_large", f"The workflow names {len(models)} models; name at most {MOST_MODELS} of them in only."
        )


async def _ended(items: list[Item]) -> None:
    """Wait until stopped models have closed their files."""
    ending = [item.task for item in items if item.task is not None and item.busy]
    if ending:
        await asyncio.wait(ending, timeout=CLOSE_TIMEOUT)
