"""`run`, a sweep on a farm of ComfyUIs, for programs that block."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from ..common.errors import UiapiError, Unreachable
from ..protocol.address import Address
from ..sweep.item import SweepItem, item_of
from .settings import check_installed, is_address, quiet

# Seconds between two checks whether the caller wants to stop, and for the farm to end after that.
INTERVAL, END_TIMEOUT = 0.1, 30.0


def run(
    export: Callable[[list[list[list[Any]]]], list[dict[str, Any]]],
    variations: Sequence[list[list[Any]]],
    farm: str | Sequence[str],
    *,
    read: Callable[[str], bytes],
    on_error: str = "continue",
    timeout: float | None = None,
    fetch: bool = True,
    shared: str | Path | None = None,
    stop: threading.Event | None = None,
    note: Callable[[str], object] = lambda sentence: None,
) -> Generator[SweepItem]:
    """Yields the result of each variation as it ends. Closing the generator cancels the rest on every machine.

    Args:
        export: returns the prompts of variations, as the command `export_prompts` does. Called on another thread.
        variations: the fields of each, as [path, value].
        farm: the address of a running farm, or the URLs of ComfyUIs, for a farm that ends with the sweep.
        read: returns the content that the live ComfyUI serves at a path. Called on another thread.
        on_error: "stop" ends the sweep with the first variation that fails, which is yielded last.
        timeout: seconds for the whole sweep.
        fetch: whether the contents of files are returned.
        shared: a folder that all machines reach under this path, where they write the files.
        stop: once it is set, the rest is cancelled and the generator ends.
        note: called with sentences about the farm, such as that a machine is lost.

    Raises:
        UiapiError: `connection_lost` if the scheduler is lost, with the indices that are `done` and `left` in its
            details; `timeout`.
        Unreachable: no farm, or none of the ComfyUIs, responds.
    """
    check_installed()
    urls = [farm] if isinstance(farm, str) else [*farm]
    if not urls:
        raise UiapiError("invalid", "A farm needs at least one ComfyUI; give their URLs.")
    addresses = None if is_address(urls[0]) else [Address.of(url, None, "uiapi farm") for url in urls]
    from .dispatcher import Plan

    place = None if shared is None else str(Path(shared).expanduser().resolve())
    plan = Plan(variations, export, read, on_error, fetch, place)
    running = _Running(plan, urls[0], addresses, note, stop or threading.Event())
    try:
        yield from running.results(timeout)
    finally:
        running.end()


class _Running:
    """A sweep on a thread with an event loop of its own."""

    def __init__(
        self,
        plan: Any,
        scheduler: str,
        addresses: list[Address] | None,
        note: Callable[[str], object],
        stop: threading.Event,
    ) -> None:
        self._plan = plan
        self._scheduler = scheduler
        self._addresses = addresses
        self._note = note
        self._stop = stop
        self._found: queue.SimpleQueue[SweepItem | BaseException | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dispatcher: Any = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="uiapi farm", daemon=True)

    def results(self, timeout: float | None) -> Iterator[SweepItem]:
        """Yields the results."""
        until = None if timeout is None else time.monotonic() + timeout
        self._thread.start()
        while not self._stop.is_set():
            if until is not None and time.monotonic() > until:
                raise UiapiError("timeout", f"The sweep took longer than {timeout:g} s and was cancelled.")
            try:
                found = self._found.get(timeout=INTERVAL)
            except queue.Empty:
                continue
            if found is None:
                return
            if isinstance(found, BaseException):
                raise found
            self._note_taken()
            if self._plan.fetch and found.error is None:
                _read_shared(found)
            yield found

    def end(self) -> None:
        """Cancel what is in progress and wait for the thread."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(END_TIMEOUT)

    def _note_taken(self) -> None:
        """Let the dispatcher know, which runs on another thread, that the caller has taken a result."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            # It may be closed just now.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._dispatcher.taken)

    def _work(self) -> None:
        try:
            with quiet():
                asyncio.run(self._main())
        except BaseException as error:
            self._found.put(error)
        else:
            self._found.put(None)

    async def _main(self) -> None:
        """Sweep until that ends or is to end, which must not depend on a caller who is busy with a result."""
        self._loop = asyncio.get_running_loop()
        sweeping = asyncio.create_task(self._sweep(), name="uiapi farm sweep")
        try:
            while not sweeping.done() and not self._stop.is_set() and not self._ending.is_set():
                await asyncio.wait({sweeping}, timeout=INTERVAL)
            if self._dispatcher is not None:
                self._dispatcher.stop()
            elif not sweeping.done():
                # It waits for a ComfyUI or for the scheduler.
                sweeping.cancel()
            await asyncio.wait({sweeping})
        finally:
            sweeping.cancel()
        if not sweeping.cancelled():
            sweeping.result()

    async def _sweep(self) -> None:
        from distributed import Security

        from .cluster import embedded
        from .dispatcher import Dispatcher
        from .link import Link
        from .member import SchedulerLost

        # Dask's own configuration says which certificates a client has.
        security = Security()
        async with AsyncExitStack() as stack:
            address = self._scheduler
            if self._addresses is not None:
                address = await stack.enter_async_context(embedded(self._addresses, note=self._note))
            link = await stack.enter_async_context(Link(address, security))
            if link.dashboard and self._addresses is None:
                self._note(f"Dashboard: {link.dashboard}")
            self._dispatcher = dispatcher = Dispatcher(self._plan, link, self._deliver)
            try:
                await dispatcher.run()
            except SchedulerLost as lost:
                raise _lost(str(lost), dispatcher.done, len(self._plan.variations)) from None

    def _deliver(self, index: int, entry: dict[str, Any], outcome: dict[str, Any]) -> None:
        item = _item(index, entry, outcome)
        if item.error is None and self._plan.fetch and not all(file.data or file.path for file in item.files):
            # The live ComfyUI may have another file of that name.
            item.error = UiapiError("result_lost", "A file of this variation arrived empty; run the variation again.")
        self._found.put(item)


def _read_shared(item: SweepItem) -> None:
    """Read the files that were left on shared storage."""
    try:
        for file in item.files:
            if file.path is not None:
                file.data = Path(file.path).read_bytes()
    except OSError as error:
        message = f"{file.path} cannot be read: {error.strerror}; check that this machine reaches the shared folder."
        item.error = UiapiError("storage_failed", message)


def _lost(why: str, done: set[int], total: int) -> Unreachable:
    left = [index for index in range(total) if index not in done]
    sentence = (
        f"{why}; {len(done)} of {total} variations are done. Start the farm again, and run those that the details list "
        "as left."
    )
    return Unreachable("connection_lost", sentence, {"done": sorted(done), "left": left})


def _item(index: int, entry: dict[str, Any], outcome: dict[str, Any]) -> SweepItem:
    contents, paths = outcome.get("contents") or {}, outcome.get("paths") or {}
    outputs = [
        {**output, **({"data": contents[at]} if at in contents else {}), **({"path": paths[at]} if at in paths else {})}
        for at, output in enumerate(outcome.get("outputs") or ())
    ]
    return item_of(
        {
            "index": index,
            "fields": entry.get("fields"),
            "status": outcome["status"],
            "error": outcome.get("error"),
            "files": outputs,
            "prompt_id": outcome.get("prompt_id"),
            "warnings": entry.get("warnings"),
        }
    )
