"""The Dask task of a farm: runs one prompt in the ComfyUI of the worker, at most once in all."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from distributed import get_worker

from ..common.download_watch import INTERVAL, Watch, request
from ..common.errors import UiapiError
from ..common.files import free_name, write
from ..protocol.address import Address
from .comfyui.catalog import Lack
from .comfyui.connection import ComfyUI, Lost, Refused, Removed
from .comfyui.history import error_of, may_run_elsewhere, outputs_of, refusal_of
from .job import Job
from .machine import Machine, Work, machine_of
from .settings import is_loopback

# Seconds in which a ComfyUI has to be reached that began a prompt before its worker was lost.
VISIT_TIMEOUT = 10.0
# Seconds after which a prompt that was begun is in the queue of its ComfyUI, and between two looks for it.
SETTLE_TIMEOUT, SETTLE_INTERVAL = 10.0, 0.25
# Seconds for the download of the models that a prompt needs.
DOWNLOAD_TIMEOUT = 4 * 3600.0

# Seconds for the scheduler to answer, attempts to ask it, and the seconds between them.
ANSWER_TIMEOUT, ATTEMPTS, ATTEMPT_INTERVAL = 30.0, 5, 0.5

# Machines that may be lost with a prompt before it is given up.
MOST_LOST = 3
GIVEN_UP = {
    "code": "result_lost",
    "message": "The machines that ran this were lost one after the other. It may be what ends ComfyUI; check its log.",
}

Outcome = dict[str, Any]


async def run_prompt(job: Job) -> Outcome:
    """Runs a prompt; returns {status, machine, worker, prompt_id, outputs, contents, paths, error, lacks}.

    The status is "success", "error", "cancelled", "refused" if another ComfyUI may run it, or "abandoned" if it was
    removed because the sweep seemed to have ended, and may run under another ID. If ComfyUI is lost, the worker leaves
    the farm, and Dask runs the task on another one.
    """
    worker = get_worker()
    machine = machine_of(worker)
    with machine.working(job) as work:
        run = _Run(job, machine, work, worker.scheduler)
        try:
            outcome = await run.outcome()
        except UiapiError as error:
            # A problem of this machine, such as a full disk.
            outcome = {"status": "refused", "error": _envelope(error)}
        except Lost:
            with suppress(UiapiError):
                await run.note_lost()
            machine.comfyui.lost.set()
            # The worker closes, which cancels this.
            await asyncio.sleep(DOWNLOAD_TIMEOUT)
            raise
    return {"prompt_id": work.prompt_id, "machine": machine.url, "worker": worker.address, **outcome}


class _Run:
    def __init__(self, job: Job, machine: Machine, work: Work, scheduler: Any) -> None:
        self._job = job
        self._machine = machine
        self._work = work
        self._scheduler = scheduler
        self._id = uuid4().hex

    async def outcome(self) -> Outcome:
        while True:
            before = await self._ask("claimed", prompt_id=self._job.prompt_id)
            if before is not None and before["lost"] >= MOST_LOST:
                return {"status": "error", "error": GIVEN_UP}
            if before is not None:
                found = await self._from_before(before)
                if found is not None:
                    is_gone = before["abandoned"] and found["status"] == "cancelled"
                    return {"status": "abandoned"} if is_gone else found
            if self._work.is_cancelled():
                return _cancelled()
            made = await self._made(before["by"] if before else None)
            if made is not None:
                return made

    async def _made(self, before: str | None) -> Outcome | None:
        """Queues the prompt and returns what it made, None if another task has been faster since `before`."""
        job, here = self._job, self._machine.comfyui
        lacks = await self._lacks()
        if lacks:
            return _refused(f"{here.address.url} lacks {', '.join(map(str, lacks))}.", lacks)
        prompt = await self._prompt()
        claimed = await self._claim(before)
        if claimed == "taken":
            return None
        if claimed == "abandoned":
            return _cancelled()
        try:
            is_queued = await self._work.queue(here, prompt)
        except (Refused, UiapiError) as refusal:
            await self._ask("settle", prompt_id=job.prompt_id, by=self._id)
            if isinstance(refusal, UiapiError):
                raise
            error = refusal_of(refusal.answer)
            return {"status": "refused" if may_run_elsewhere(refusal.answer) else "error", "error": error}
        if not is_queued:
            await self._ask("settle", prompt_id=job.prompt_id, by=self._id)
            return _cancelled()
        return await self._result(here)

    async def note_lost(self) -> None:
        """Note that this machine's ComfyUI was lost with the prompt."""
        await self._ask("lose", prompt_id=self._job.prompt_id, by=self._id)

    async def _claim(self, before: str | None) -> str:
        """Returns "mine" if this task, and no other, may queue the prompt; otherwise see Board.claim."""
        machine, sweep = self._machine, (self._job.sweep_id, self._job.connection)
        place = {"url": machine.url, "host": machine.host}
        claimed: str = await self._ask(
            "claim", prompt_id=self._job.prompt_id, **place, by=self._id, before=before, sweep=sweep
        )
        return claimed

    async def _ask(self, command: str, **data: Any) -> Any:
        """Send a command to the Board. Raises UiapiError if it does not get through.

        Dask uses connections of their own for these, and the worker remains in the farm if one of them is lost.
        """
        for _ in range(ATTEMPTS):
            try:
                return await asyncio.wait_for(getattr(self._scheduler, f"uiapi_{command}")(**data), ANSWER_TIMEOUT)
            except (OSError, asyncio.TimeoutError, RuntimeError):
                # RuntimeError while the worker closes.
                await asyncio.sleep(ATTEMPT_INTERVAL)
        raise UiapiError("unreachable", "The scheduler of the farm does not respond; check the network.")

    async def _result(self, place: ComfyUI) -> Outcome:
        """Waits for a queued prompt, and returns its outcome."""
        self._work.place = place
        if self._work.is_cancelled():
            # It was not here yet, or not yet found, when the others were removed.
            await place.withdraw(self._work.prompt_id)
        try:
            entry = await place.follow(self._work.prompt_id)
        except Removed:
            return _cancelled()
        return await self._collected(place, entry)

    async def _collected(self, place: ComfyUI, entry: dict[str, Any]) -> Outcome:
        outputs, error = outputs_of(entry), error_of(entry, self._work.prompt_id)
        if error is not None:
            status = "cancelled" if error["code"] == "execution_interrupted" else "error"
            return {"status": status, "outputs": outputs, "error": error}
        done: Outcome = {"status": "success", "outputs": outputs}
        try:
            if self._job.shared is not None:
                done["paths"] = await self._left(place, outputs, Path(self._job.shared))
            elif self._job.fetch:
                done["contents"] = {
                    at: await place.get(file["url"]) for at, file in enumerate(outputs) if "url" in file
                }
        except UiapiError as failure:
            done["error"] = _envelope(failure)
        return done

    async def _left(self, place: ComfyUI, outputs: list[dict[str, Any]], folder: Path) -> dict[int, str]:
        """Write the files into the shared folder; returns their paths."""
        paths: dict[int, str] = {}
        for at, file in enumerate(outputs):
            if "url" in file:
                name = f"{self._job.index:05d}_{Path(file['filename']).name}"
                paths[at] = str(await asyncio.to_thread(_write, folder, name, await place.get(file["url"])))
        return paths

    # -- what the prompt needs ------------------------------------------------------------------------------

    async def _lacks(self) -> list[Lack]:
        """Returns what the ComfyUI lacks, after it had the chance to download missing models."""
        here = self._machine.comfyui
        lacks = (await here.catalog()).lacks(self._job.prompt)
        if lacks:
            # Models may have come, and packs with a restart.
            lacks = (await here.catalog(fresh=True)).lacks(self._job.prompt)
        if lacks and all(lack.name for lack in lacks) and await self._downloads([lack.name for lack in lacks]):
            lacks = (await here.catalog(fresh=True)).lacks(self._job.prompt)
        return lacks

    async def _downloads(self, names: list[str]) -> bool:
        """Have this extension download models, if ComfyUI has it and its rules allow it; returns whether it did."""
        here = self._machine.comfyui
        data = {**request(None, self._job.workflow or self._job.prompt), "only": names}
        try:
            if (await here.command("plan_downloads", data))["verdict"] != "ready":
                return False
            watch = Watch(await here.command("download_models", data), DOWNLOAD_TIMEOUT)
            while not watch.ended(await here.command("download_status", watch.query)):
                if watch.is_late() or self._work.is_cancelled():
                    await here.command("download_cancel", watch.query)
                    return False
                await asyncio.sleep(INTERVAL)
        except UiapiError:
            # Its rules do not allow it, a download failed, or it lacks this extension.
            return False
        return True

    async def _prompt(self) -> dict[str, Any]:
        """Returns the prompt with the names of its uploaded inputs."""
        prompt = {node_id: dict(node) for node_id, node in self._job.prompt.items()}
        for one in self._job.inputs:
            content = await self._ask("get_file", name=one.file)
            if content is None:
                raise UiapiError("not_found", f"The input {one.file} is gone; run the variation again.")
            uploaded = await self._machine.comfyui.upload(one.file, content)
            prompt[one.node_id]["inputs"] = {**prompt[one.node_id]["inputs"], one.name: uploaded}
        return prompt

    # -- a prompt that was begun before ---------------------------------------------------------------------

    async def _from_before(self, before: dict[str, Any]) -> Outcome | None:
        """Returns the outcome of a prompt whose worker or client was lost, None if it has to be run."""
        here = self._machine.comfyui
        if (before["url"], before["host"]) == (self._machine.url, self._machine.host):
            return await self._resumed(here, before["age"])
        if is_loopback(urlsplit(before["url"]).hostname or "") and before["host"] != self._machine.host:
            return None
        # Another machine's ComfyUI must not receive the token of this one.
        there = ComfyUI(Address(before["url"], None, here.address.name), listen=False)
        try:
            await asyncio.wait_for(there.__aenter__(), VISIT_TIMEOUT)
        except (Lost, UiapiError, asyncio.TimeoutError):
            return None
        try:
            return await self._resumed(there, before["age"])
        except Lost:
            return None
        finally:
            self._work.place = None
            await there.close()

    async def _resumed(self, place: ComfyUI, age: float) -> Outcome | None:
        found = await place.find(self._job.prompt_id)
        while found is None and age < SETTLE_TIMEOUT and not self._work.is_cancelled():
            # It may be on its way there.
            await asyncio.sleep(SETTLE_INTERVAL)
            age += SETTLE_INTERVAL
            found = await place.find(self._job.prompt_id)
        if found is None:
            return None
        if found:
            return await self._collected(place, found)
        if place is not self._machine.comfyui and await place.take_back(self._job.prompt_id):
            # It had not begun, unless it has just ended.
            found = await place.find(self._job.prompt_id)
            return await self._collected(place, found) if found else None
        return await self._result(place)


def _write(folder: Path, name: str, content: bytes) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UiapiError("storage_failed", f"{folder} cannot be created: {error.strerror}.") from error
    return write(free_name(folder, name, content), content)


def _envelope(error: UiapiError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "details": error.details}


def _refused(message: str, lacks: list[Lack]) -> Outcome:
    error = {"code": "unknown_model" if all(lack.name for lack in lacks) else "unknown_node_type", "message": message}
    return {"status": "refused", "error": error, "lacks": lacks}


def _cancelled() -> Outcome:
    message = "The prompt was removed from ComfyUI's queue; run the variation again if that was not intended."
    return {"status": "cancelled", "error": {"code": "cancelled", "message": message}}
