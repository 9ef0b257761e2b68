"""The models room as the commands use it: analysis, plans, downloads, the URL map, from start to close."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..bridge.atomic import read_json, sweep, write_json
from ..bridge.clock import steady_time
from ..bridge.commands import DEFAULT_TIMEOUT
from ..bridge.errors import UiapiError
from ..model_defs import ModelDef
from . import registry, urlmap
from .analysis import Analysis
from .choice import Choice, Entry, choose, read_saved, read_table, unused
from .engine import Engine
from .fetches import Fetches
from .guard import HostGuard
from .hashes import Hashes
from .limits import Backoff
from .needs import Names, Need
from .node_inputs import NodeInputs
from .partial import Partial
from .places import Places, check_names
from .plan import Planner
from .runs import RESUMABLE, AskUrls, Item, Run, Runner, from_record, new_item, to_record
from .secrets import redact
from .settings import Settings
from .sources import Sources, check_sources, clean

log = logging.getLogger("uiapi")

# Seconds between two looks at how far downloads are, and between two at what is too old.
MEASURE_INTERVAL = 0.5
CLEANUP_INTERVAL = 300.0
# Seconds transfers may take to put their partials away when ComfyUI stops.
CLOSE_TIMEOUT = 30.0


class Downloads:
    """Everything about models.

    Args:
        folder_paths: ComfyUI's module.
        node_classes: answers the mapping of class name to node class.
        state_directory: where the URL map and unfinished downloads are kept.
        ask_urls: asks the person at the tab.
        publish: tells subscribers of an event.
        models_changed: has open tabs read their file lists anew.
        settings: the operator's; from the environment if left out.
        backoff: makes the pauses between tries.
    """

    def __init__(
        self,
        *,
        folder_paths: Any,
        node_classes: Callable[[], Mapping[str, type]],
        state_directory: Path,
        ask_urls: AskUrls,
        publish: Callable[[str, dict[str, Any]], None],
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
        self.analysis = Analysis(self.places, NodeInputs(folder_paths, node_classes))
        self._planner = Planner(self.places, sources, hashes, settings)
        fetches = Fetches(self._engine, self.places, sources, hashes, settings, self._landed, backoff)
        self._runner = Runner(fetches, self._ask, self._changed)
        self._ask_urls = ask_urls
        self._publish = publish
        self._models_changed = models_changed
        self._journal = state_directory / "downloads.json"
        self._journal_lock = asyncio.Lock()
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._refresh: asyncio.Task[Any] | None = None

    # -- life ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """List what an earlier ComfyUI left unfinished, and begin to watch over downloads."""
        await asyncio.to_thread(sweep, self._journal.parent)
        try:
            kept = await read_json(self._journal) or {}
        except UiapiError as error:
            log.error("%s Unfinished downloads are not listed.", error.message)
            kept = {}
        for run_id, record in kept.get("downloads", {}).items():
            try:
                run = from_record(run_id, record)
            except (KeyError, TypeError, ValueError, UiapiError):
                log.warning("The unfinished download %s cannot be read and is not listed.", run_id)
                continue
            self._runs[run_id] = run
            registry.download_tasks[run_id] = run.entry
        self._spawn(self._watch(), "watch downloads")
        self._spawn(self._clean_up(), "clean up downloads")

    async def close(self) -> None:
        """End every transfer so that it can be resumed, and the threads behind them."""
        self._hashes.close()
        for run in self._runs.values():
            if run.task is not None and not run.task.done():
                self._runner.stop(run, run.items, "paused")
        running = [run.task for run in self._runs.values() if run.task is not None and not run.task.done()]
        if running:
            await asyncio.wait(running, timeout=CLOSE_TIMEOUT)
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._engine.close()

    def forget_old(self) -> None:
        """Forget what is too old."""
        registry.counts()
        for run_id in [run_id for run_id in self._runs if run_id not in registry.download_tasks]:
            del self._runs[run_id]

    # -- downloads ----------------------------------------------------------------------------------------

    async def plan(self, workflow: Any, table: Mapping[str, Entry], only: Names = None) -> dict[str, Any]:
        """What a download of a workflow's models would do. UiapiError `invalid`, `storage_failed`."""
        needs, _ = await self.analysis.needs(workflow)
        needs = [need for need in needs if need.among(only)]
        return await self._planner.plan(needs, read_table(table), read_saved(await urlmap.load_stored_urlmap()))

    async def look_at(self, name: str, directory: str | None, url: str) -> dict[str, Any]:
        """What would come of fetching a model from this address. UiapiError `invalid`."""
        plan = await self._planner.plan([Need(name, directory)], read_table({name: url}), {})
        model: dict[str, Any] = plan["models"][0]
        return model

    async def begin(
        self, workflow: Any, table: Mapping[str, Entry], *, overwrite: bool = False, only: Names = None
    ) -> Run:
        """Begin to download every model a workflow needs and has not, or just those of the names in `only`.

        Raises:
            UiapiError: `invalid`, `bad_path` for a name in the table that no model can have, `storage_failed`.
        """
        check_names(table)
        entries = read_table(table)
        needs, found = await self.analysis.needs(workflow)
        run = self._new_run(overwrite)
        run.entry["status"] = "checking"
        saved = read_saved(await urlmap.load_stored_urlmap())
        choices = [choose(need, entries, saved) for need in needs]
        taken: set[str] = set()
        for need, path, choice in zip(needs, found, choices, strict=True):
            if need.reason is not None or not need.among(only):
                continue
            item = new_item(need, choice, taken)
            run.items.append(item)
            if path is not None and not (overwrite and choice is not None and choice.origin == "request"):
                item.entry.update(status="success", path=path, model_number="existing")
        run.entry["unused"] = unused(entries, choices)
        return await self._launch(run)

    async def fetch_one(self, name: str, definition: Entry, *, overwrite: bool = False) -> Run:
        """Begin to download one model. UiapiError for one that would not be fetched at all."""
        model = read_table({name: definition})[name.replace("\\", "/")]
        model = ModelDef(url=model) if isinstance(model, str) else model
        check_sources(model, self.settings, self.guard)
        directory = model.ckpt_type
        target = await asyncio.to_thread(
            lambda: self.places.target(directory, name, allow_pickle=self.settings.allow_pickle)
        )
        run = self._new_run(overwrite)
        item = new_item(Need(name, directory), Choice(model, directory, "request", model.sha256), set())
        run.items.append(item)
        found = await asyncio.to_thread(self.places.find, directory, name)
        if found is not None and not overwrite:
            item.entry.update(status="success", path=found, model_number="existing")
        else:
            item.entry["path"] = str(target)
        return await self._launch(run)

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
        entry = registry.download_tasks.get(run_id)
        if entry is None:
            raise UiapiError("unknown_download", f"There is no download {run_id[:80]!r}; it may have ended long ago.")
        if run_id in self._runs:
            self._measure(self._runs[run_id])
        return entry

    def listed(self) -> dict[str, dict[str, Any]]:
        """Every download by its id."""
        self.forget_old()
        return {run_id: self.status(run_id) for run_id in [*registry.download_tasks]}

    def find_item(self, name: str) -> tuple[Run, Item] | None:
        """A model of that name that is being fetched."""
        for run in self._runs.values():
            for item in run.items:
                if item.busy and name in (item.key, item.need.name, f"{item.need.directory}/{item.need.name}"):
                    self._measure(run)
                    return run, item
        return None

    async def stop(self, run_id: str, model: str | None, ending: str) -> Run:
        """Pause or cancel a download or one of its models, and wait until it is.

        Raises:
            UiapiError: `unknown_download`, `unknown_model`, or `conflict` when there is nothing to stop.
        """
        run = self.run(run_id)
        wanted = [run.item(model)] if model is not None else run.items
        items = [item for item in wanted if item.state not in ("success", "error", ending)]
        if not items:
            raise UiapiError("conflict", f"Nothing of {model or run_id} is under way that could be {ending}.")
        idle = [item for item in items if not item.busy]
        self._runner.stop(run, items, ending)
        ending_now = [item.task for item in items if item.task is not None and not item.task.done()]
        if ending_now:
            await asyncio.wait(ending_now)
        if ending == "cancelled":
            for item in idle:
                await self._discard(item)
        if run.task is None or run.task.done():
            self._runner.conclude(run)
            await self._keep(run)
        elif not any(item.busy or item.state in ("pending", "waiting_for_url") for item in run.items):
            await asyncio.wait({run.task})
        return run

    async def resume(self, run_id: str, model: str | None) -> Run:
        """Go on with what was paused, cancelled or failed. UiapiError as `stop`."""
        run = self.run(run_id)
        items = [item for item in ([run.item(model)] if model else run.items) if item.state in RESUMABLE]
        if not items:
            raise UiapiError("conflict", f"Nothing of {model or run_id} is paused or has failed.")
        for item in items:
            item.failure, item.ending = None, ""
            item.entry.update(status="pending", error=None)
            item.entry.pop("code", None)
            item.entry.pop("details", None)
        for key in ("completed_at", "error", "message"):
            run.entry.pop(key, None)
        run.entry.update(completed=False, resumable=False)
        if run.task is None or run.task.done():
            await self._launch(run)
        else:
            for item in items:
                if item.choice is not None:
                    self._runner.begin(run, item)
        return run

    # -- the URL map --------------------------------------------------------------------------------------

    async def save_urls(self, urls: Mapping[str, Entry]) -> None:
        """Remember where models are to be had, without tokens.

        Raises:
            UiapiError: `invalid`, `host_refused`, `bad_path` for a name no model can have, `storage_failed`.
        """
        check_names(urls)
        kept: urlmap.UrlMap = {}
        for name, entry in urls.items():
            model = ModelDef(url=entry) if isinstance(entry, str) else ModelDef.from_dict(entry)
            check_sources(model, self.settings, self.guard)
            kept[name] = clean(entry) if isinstance(entry, str) else {**entry, "url": clean(str(entry.get("url")))}
        await urlmap.save_model_urls(kept)

    # -- inside -------------------------------------------------------------------------------------------

    def _new_run(self, overwrite: bool) -> Run:
        run = Run(uuid4().hex[:12], {}, overwrite=overwrite)
        run.entry.update(
            status="initializing",
            completed=False,
            resumable=False,
            start_time=steady_time(),
            elapsed_time=0.0,
            total_models=0,
            current_model=0,
            progress={},
            unused=[],
        )
        return run

    async def _launch(self, run: Run) -> Run:
        self._runs[run.id] = run
        registry.download_tasks[run.id] = run.entry
        wanted = [item for item in run.items if item.entry["model_number"] != "existing"]
        for number, item in enumerate(wanted, 1):
            item.entry["model_number"] = f"{number}/{len(wanted)}"
        run.entry["progress"] = {item.key: item.entry for item in run.items}
        run.entry["total_models"] = len(wanted)
        await self._keep(run)
        run.task = asyncio.create_task(self._carry_out(run), name=f"uiapi download {run.id}")
        run.task.add_done_callback(lambda task: registry._handle_task_exception(task, run.id))
        return run

    async def _carry_out(self, run: Run) -> None:
        await self._runner.carry_out(run)
        await self._keep(run)

    async def _keep(self, run: Run) -> None:
        """Have the disk know of a run while it is unfinished, and no longer."""
        async with self._journal_lock:
            unfinished = [r for r in self._runs.values() if not r.entry["completed"] and r.items]
            await write_json(self._journal, {"downloads": {r.id: to_record(r) for r in unfinished}})

    async def _discard(self, item: Item) -> None:
        directory = item.entry.get("directory")
        if directory is None:
            return
        with contextlib.suppress(UiapiError):
            target = await asyncio.to_thread(lambda: self.places.target(directory, item.need.name, allow_pickle=True))
            await asyncio.to_thread(Partial(target).remove)

    async def _ask(self, needs: list[Need]) -> dict[str, ModelDef | str]:
        models = [
            {"name": need.name, "directory": need.directory, "used_by": [use.to_dict() for use in need.uses[:8]]}
            for need in needs
        ]
        answers = await self._ask_urls([need.name for need in needs], models, DEFAULT_TIMEOUT)
        given: dict[str, ModelDef | str] = {}
        for need in needs:
            key = need.in_folder if need.in_folder in answers else need.name
            if not (url := answers.get(key)):
                continue
            given[key] = url
            try:
                await self.save_urls({key: url})
            except UiapiError as error:
                # It is tried all the same, and then says itself what is wrong with it.
                log.warning("The address given for %r is not remembered: %r", need.name, redact(error.message))
        return given

    async def _landed(self, directory: str, path: Path) -> None:
        self.places.changed(directory)
        self._publish("model_landed", {"directory": directory, "path": str(path)})
        if self._refresh is None or self._refresh.done():
            self._refresh = self._spawn(self._tell_tabs(), "refresh models")

    async def _tell_tabs(self) -> None:
        # Files that land together are told together.
        await asyncio.sleep(MEASURE_INTERVAL)
        self._refresh = None
        try:
            await self._models_changed()
        except UiapiError as error:
            log.info("Open tabs were not told of new models: %r", error.message)

    def _changed(self, run: Run) -> None:
        self._measure(run)
        self._publish("download_progress", {"download_id": run.id, **run.entry})

    def _measure(self, run: Run) -> None:
        for item in run.items:
            self._runner.measure(item)
        entry = run.entry
        entry["current_model"] = sum(
            item.state not in ("pending", "waiting_for_url") for item in run.items if item.task is not None
        )
        if not entry["completed"]:
            entry["elapsed_time"] = steady_time() - entry["start_time"]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(MEASURE_INTERVAL)
            for run in [*self._runs.values()]:
                if any(item.busy for item in run.items):
                    self._changed(run)

    async def _clean_up(self) -> None:
        while True:
            await asyncio.sleep(CLEANUP_INTERVAL)
            self.forget_old()

    def _spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=f"uiapi {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
