"""A scripted ComfyUI's sweeps: it answers the commands about them, and its variations end when a test says so."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from ....client.protocol.encoding import png
from .scripted_comfyui import Scripted

UNKNOWN = {"status": "error", "code": "unknown_sweep", "error": "There is no such sweep."}
FAILED = {"code": "execution_failed", "message": "KSampler: no model."}


def picture(index: int) -> bytes:
    """Returns a PNG whose width is one more than the index of its variation."""
    width = index + 1
    return png(bytes((index % 256, 0, 0)) * width * 4, width, 4)


class Sweeps:
    """The sweeps of a scripted server.

    Attributes:
        auto: whether all variations of a new sweep end at once; otherwise `end` ends them.
        failing: the indices of variations that fail.
        warnings: those of every variation.
        field_warnings: those of its fields, by path.
        files: whether variations make files.
        events: whether results are sent as events.
        limit: the most results in an answer.
        answering: unset it to hold back the answers to `sweep`, although the sweeps have begun.
        asked: the parameters of every command about a sweep, as (command, data).
        sweeps: the state of each sweep by its ID.
    """

    def __init__(self, scripted: Scripted, *, auto: bool = True) -> None:
        self.scripted = scripted
        self.auto, self.events, self.limit = auto, True, 100
        self.failing: set[int] = set()
        self.warnings: list[str] = []
        self.field_warnings: dict[str, list[str]] = {}
        self.files = True
        self.answering = asyncio.Event()
        self.answering.set()
        # The IDs here, such as s1, of those that programs have chosen.
        self._chosen: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.sweeps: dict[str, dict[str, Any]] = {}
        scripted.answers |= {
            "sweep": self._sweep,
            "sweep_status": self._status,
            "sweep_cancel": self._cancel,
            "view": lambda request: web.Response(body=picture(int(request.query["filename"].partition(".")[0]))),
        }

    def commands(self) -> list[str]:
        """The commands about sweeps, in their order."""
        return [command for command, _ in self.asked]

    async def end(self, *indices: int, sweep_id: str = "s1", say: bool = True) -> None:
        """End variations of a sweep; `say` sends their events."""
        sweep = self.sweeps[sweep_id]
        for index in indices:
            failed = index in self.failing
            sweep["results"][index] = self._result(sweep, index, failed)
            if say and self.events:
                await self.say(sweep_id, sweep["results"][index])

    async def finish(self, status: str = "finished", *, sweep_id: str = "s1", say: bool = True) -> None:
        """End a sweep."""
        self.sweeps[sweep_id]["status"] = status
        if say and self.events:
            await self.say(sweep_id, None)

    async def say(self, sweep_id: str, result: dict[str, Any] | None) -> None:
        """Send an event to every subscriber; one without a result says that the sweep has ended."""
        counts = {key: value for key, value in self._answer(sweep_id, 0).items() if key not in ("results", "next")}
        data = {**counts, "result": result} if result else counts
        if result:
            del data["status"]
        for frame in self.scripted.frames:
            if frame["command"] == "subscribe" and "sweep_progress" in frame["data"]["events"]:
                event = {"type": "event", "event": "sweep_progress", "request": frame["id"], "data": data}
                await self.scripted.say(event)

    def _note(self, command: str) -> dict[str, Any]:
        data: dict[str, Any] = self.scripted.bodies[-1]
        self.asked.append((command, data))
        return data

    async def _sweep(self, request: web.Request) -> Any:
        data = self._note("sweep")
        sweep_id = f"s{len(self.sweeps) + 1}"
        self._chosen[data["sweep_id"]] = sweep_id
        variations = [once for once in _expanded(data) for _ in range(data.get("seeds") or 1)]
        self.sweeps[sweep_id] = {"variations": variations, "results": {}, "status": "running", "data": data}
        answer = self._answer(sweep_id, 0)
        if self.auto:
            await self._all(sweep_id, data.get("on_error") == "stop")
        await self.answering.wait()
        return answer

    async def _all(self, sweep_id: str, stop: bool) -> None:
        for index in range(len(self.sweeps[sweep_id]["variations"])):
            await self.end(index, sweep_id=sweep_id)
            if stop and index in self.failing:
                await self.finish("failed", sweep_id=sweep_id)
                return
        await self.finish(sweep_id=sweep_id)

    async def _status(self, request: web.Request) -> Any:
        data = self._note("sweep_status")
        sweep_id = self._chosen.get(data["sweep_id"], data["sweep_id"])
        if sweep_id not in self.sweeps:
            return web.json_response(UNKNOWN, status=404)
        return self._answer(sweep_id, data.get("first") or 0)

    async def _cancel(self, request: web.Request) -> Any:
        sweep_id = self._note("sweep_cancel")["sweep_id"]
        sweep_id = self._chosen.get(sweep_id, sweep_id)
        if sweep_id not in self.sweeps:
            return web.json_response(UNKNOWN, status=404)
        self.sweeps[sweep_id]["status"] = "cancelled"
        return self._answer(sweep_id, 0)

    def _answer(self, sweep_id: str, first: int) -> dict[str, Any]:
        sweep = self.sweeps[sweep_id]
        results, total = sweep["results"], len(sweep["variations"])
        ended = itertools.takewhile(lambda index: index in results, range(first, total))
        part = [results[index] for index in itertools.islice(ended, self.limit)]
        failed = sum(result["status"] == "error" for result in results.values())
        following = first + len(part)
        over = sweep["status"] != "running" and following not in results
        return {
            "sweep_id": sweep_id,
            "total": total,
            "done": len(results) - failed,
            "failed": failed,
            "cancelled": 0,
            "status": sweep["status"],
            "results": part,
            "next": None if over or following >= total else following,
        }

    def _result(self, sweep: dict[str, Any], index: int, failed: bool) -> dict[str, Any]:
        fields = [
            {"path": path, "requested": value, "value": value, "warnings": self.field_warnings.get(path, [])}
            for path, value in sweep["variations"][index]
        ]
        file = {"node_id": "9", "title": "Save", "filename": f"{index}.png", "url": f"/view?filename={index}.png"}
        return {
            "index": index,
            "variation": index,
            "repeat": 0,
            "fields": fields,
            "prompt_id": f"p{index}",
            "status": "error" if failed else "success",
            "files": [file] if self.files and not failed else [],
            "error": FAILED if failed else None,
            "warnings": self.warnings,
        }


def _expanded(data: dict[str, Any]) -> list[list[list[Any]]]:
    if "variations" in data:
        return list(data["variations"])
    grid: dict[str, Iterable[Any]] = data["grid"]
    return [
        [[path, one] for path, one in zip(grid, values, strict=True)] for values in itertools.product(*grid.values())
    ]
