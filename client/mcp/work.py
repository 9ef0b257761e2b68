"""Carries out the calls of tools: sends the commands, and turns responses and errors into texts and pictures."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..common.command_table import route
from ..common.errors import UiapiError
from ..common.results import OutputFile, not_fetched, run_of
from .calls import ANSWER_WITHIN, Call, Calls, Report
from .parts import SUFFIXES, Part, picture_part, text_part
from .sweeps import sweep_parts
from .tools import PAGE, RUN_STATUS, TOOLS, UPLOAD, VIEW_OUTPUT

# The most pictures in a result.
MAX_PICTURES = 4


async def _unreported(done: float, total: float | None, news: str) -> None:
    """Drop the progress of a call whose agent has not asked for it."""


class Work:
    """The tools, for every agent that this process serves.

    Args:
        calls: the calls under way.
        local: whether agents are on this machine, and may name files of it.
    """

    def __init__(self, calls: Calls, *, local: bool) -> None:
        self.calls = calls
        self.client = calls.client
        self.local = local

    async def carry_out(self, name: str, arguments: Mapping[str, Any], report: Report = _unreported) -> list[Part]:
        """Returns the result of a tool, or a ticket. Raises UiapiError; `advice_on` formats it for an agent."""
        data = dict(arguments)
        if name not in TOOLS:
            raise UiapiError("unknown_command", f"Unknown tool {name!r}; the tools are {', '.join(TOOLS)}.")
        wait = (
            _seconds(data.pop("wait", ANSWER_WITHIN)) if "wait" in TOOLS[name].schema["properties"] else ANSWER_WITHIN
        )
        if name == RUN_STATUS.name:
            return await self._status(data, wait, report)
        call = self.calls.begin(name, lambda call: self._result(name, data, call))
        if not await self.calls.wait(call, wait, report):
            return [text_part({**call.state(self.calls.clock()), "next": "Call run_status with this ticket."})]
        self.calls.forget(call)
        return await call.task

    async def _status(self, data: dict[str, Any], wait: float, report: Report) -> list[Part]:
        ticket = data.pop("ticket", None)
        if data:
            raise UiapiError("invalid", f"run_status has no parameter {next(iter(data))}; it takes ticket and wait.")
        if ticket is None:
            return [text_part({"calls": self.calls.states()})]
        call = self.calls.find(str(ticket))
        if await self.calls.wait(call, wait, report):
            return await call.task
        parts: list[Part] = [text_part(call.state(self.calls.clock()))]
        if call.preview:
            parts.append(await asyncio.to_thread(picture_part, call.preview[0]))
        return parts

    async def _result(self, name: str, data: dict[str, Any], call: Call) -> list[Part]:
        if name == "run":
            return await self._run(data, call)
        if name == "sweep":
            return await sweep_parts(self.client, data, call.count)
        if name == VIEW_OUTPUT.name:
            return [await self._view(data)]
        if name == UPLOAD.name:
            name, data = "set_fields", {"fields": [await asyncio.to_thread(self._upload, data)]}
        if name == "query_fields":
            data.setdefault("limit", PAGE)
        known = route(name)
        # Reads go over HTTP, where a large answer holds up no other.
        envelope = await self.client.request(name, data, on_event=None if known.risk == "read" else call.take)
        answer = envelope if known.flat or "response" not in envelope else envelope["response"]
        if name == "screenshot":
            return [await asyncio.to_thread(picture_part, base64.b64decode(answer["png"]))]
        result = answer if isinstance(answer, dict) else {"answer": answer}
        if envelope.get("revision") is not None and "if_revision" in known.request["properties"]:
            result = {**result, "revision": envelope["revision"]}
        return [text_part(result)]

    async def _run(self, data: dict[str, Any], call: Call) -> list[Part]:
        done = run_of(await self.client.call("run", data, on_event=call.take))
        outputs = [{key: value for key, value in output.items() if value} for output in done.answer.get("outputs", ())]
        files = [output for output in outputs if "filename" in output]
        texts = [output for output in outputs if "filename" not in output]
        result = {"prompt_id": done.prompt_id, "execution_time": done.execution_time, "files": files}
        if texts:
            result["texts"] = texts
        result |= {key: done.answer[key] for key in ("status", "prompts") if done.prompts}
        parts: list[Part] = [text_part(result)]
        # Some nodes list videos under "images"; they may be large, and agents cannot see them.
        pictures = [file for file in done.images if file.filename.lower().endswith(SUFFIXES)]
        try:
            for file in pictures[:MAX_PICTURES]:
                parts.append(await asyncio.to_thread(picture_part, await self.client.fetch(file)))
        except UiapiError as error:
            raise not_fetched(done, error) from error
        if len(pictures) > MAX_PICTURES:
            parts.append(f"{len(pictures) - MAX_PICTURES} more pictures are not shown; view_output shows each.")
        return parts

    async def _view(self, data: dict[str, Any]) -> Part:
        url = data.get("url")
        if len(data) != 1 or not isinstance(url, str) or not url.startswith("/view?"):
            raise UiapiError("invalid", "Send view_output the url of an output file, which begins with /view?.")
        filename = parse_qs(urlsplit(url).query).get("filename", ["the file"])[0]
        if not filename.lower().endswith(SUFFIXES):
            return f"{filename} is no picture that can be shown here; the person can see it in the browser."
        content = await self.client.fetch(OutputFile(node_id="", filename=filename, url=url))
        return await asyncio.to_thread(picture_part, content)

    def _upload(self, data: dict[str, Any]) -> list[Any]:
        field, path, content = data.get("field"), data.get("path"), data.get("data")
        if (
            not isinstance(field, str)
            or (path is None) == (content is None)
            or not set(data) <= {"field", "path", "data"}
        ):
            raise UiapiError("invalid", "Send upload a field and one of path and data.")
        if path is None:
            return [field, {"type": "image_base64", "data": content}]
        if not self.local:
            raise UiapiError("forbidden", "This server reads no files for agents on other machines; send data instead.")
        if not Path(path).is_absolute():
            raise UiapiError("invalid", f"Send upload an absolute path, not {path!r}.")
        return [field, Path(path)]


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= ANSWER_WITHIN:
        raise UiapiError("invalid", f"wait must be a number of seconds from 0 to {ANSWER_WITHIN:g}.")
    return float(value)


def advice_on(error: UiapiError) -> str:
    """Returns an error as text for an agent: the message, possible replacements, and other details."""
    lines = [f"{error.code}: {error.message}"]
    if error.candidates:
        lines.append(f"Try one of: {json.dumps(error.candidates, ensure_ascii=False)}")
    rest = {key: value for key, value in error.details.items() if key not in ("candidates", "nearest", "traceback")}
    if rest:
        lines.append(text_part(rest))
    return "\n".join(lines)
