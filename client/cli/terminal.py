"""What the command line shows and how it ends: tables and bars for people, JSON for scripts, an exit code for both."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from ..common.errors import UiapiError
from ..common.events import Event

# How a command ended, for scripts; 0 is success and 2 is a wrong use of the command line.
EXIT_CODES = {
    1: "anything else",
    3: "no ComfyUI, or no open tab",
    4: "nothing of that name",
    5: "not allowed",
    6: "ambiguous, or in conflict",
    7: "not a valid request",
    8: "the run or the download failed",
    9: "not done in time",
    10: "the tab or a model's host failed",
}
_BY_CODE = {
    "unreachable": 3,
    "connection_lost": 3,
    "no_extension": 3,
    "execution_failed": 8,
    "execution_interrupted": 8,
    "download_failed": 8,
    "result_lost": 8,
    "no_image": 8,
    "partial": 8,
    "invalid": 7,
}
_BY_STATUS = {400: 7, 403: 5, 404: 4, 409: 6, 410: 4, 413: 7, 415: 7, 422: 7, 423: 5, 502: 10, 503: 3, 504: 9}

# C0 without tab and line feed, DEL, and C1.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Longer values are cut in tables.
MAX_SHOWN = 60


def exit_code(error: UiapiError) -> int:
    """The exit code for an error."""
    return _BY_CODE.get(error.code) or _BY_STATUS.get(error.status, 9 if error.code == "timeout" else 1)


class Terminal:
    """Where a command's results go.

    Args:
        as_json: JSON instead of tables, one document or, for events, one line each.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        # Titles and messages come from elsewhere: nothing in them is markup.
        self._out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
        # Errors and bars leave standard output to the results.
        self._err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def show(self, value: Any, people: Callable[[], object] | None = None) -> None:
        """Show a result: for scripts as JSON, for people by `people`, or as it is.

        Every warning that the JSON has is shown to people too, on standard error and whole.
        """
        if self.as_json or (people is None and not isinstance(value, str)):
            sys.stdout.write(_json(value, None if self.as_json else 2) + "\n")
        elif people is None:
            sys.stdout.write(printable(value) + "\n")
        else:
            people()
            for warning in warnings_in(value):
                self.warn(warning)

    def warn(self, text: str) -> None:
        """A warning for people, on standard error; scripts have it in the JSON."""
        if not self.as_json:
            self._err.print(printable(f"Warning: {text}"), style="yellow")

    def say(self, text: str) -> None:
        """A line for people."""
        self._out.print(printable(text))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], empty: str) -> None:
        """A table, or a sentence where there is nothing in it."""
        if not rows:
            self.say(empty)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(printable(shown(cell)) for cell in row))
        self._out.print(table)

    def fail(self, error: UiapiError) -> None:
        """Tell an error on standard error."""
        if self.as_json:
            sys.stderr.write(_json(error.envelope()) + "\n")
            return
        self._err.print(printable(error.message), style="red")

    @contextmanager
    def running(self) -> Iterator[Callable[[Event], None]]:
        """A bar for a run; yields what takes its events."""
        with self._progress(BarColumn(), TimeElapsedColumn()) as bars:
            task = bars.add_task("queued", total=None)

            def take(event: Event) -> None:
                if event.name == "progress":
                    done, total = event.data.get("value"), event.data.get("max")
                    bars.update(task, completed=done, total=total, description=_node(event))
                elif event.name == "executing" and event.data.get("node"):
                    bars.update(task, completed=0, total=None, description=_node(event))

            yield take

    @contextmanager
    def downloading(self) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """A bar for each model; yields what takes the state of the download."""
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with self._progress(*columns) as bars:
            tasks: dict[str, TaskID] = {}

            def take(state: Mapping[str, Any]) -> None:
                for name, model in (state.get("progress") or {}).items():
                    if name not in tasks:
                        tasks[name] = bars.add_task("", total=None)
                    words = printable(name if model["status"] == "downloading" else f"{name}: {model['status']}")
                    done, total = model.get("bytes"), model.get("total")
                    bars.update(tasks[name], completed=done, total=total, description=words)

            yield take

    def _progress(self, *columns: Any) -> Progress:
        quiet = self.as_json or not self._err.is_terminal
        words = TextColumn("{task.description}", markup=False)
        return Progress(words, *columns, console=self._err, disable=quiet, transient=True)


def printable(text: str) -> str:
    """A text as it may reach a terminal: without control characters, which could move its cursor or type into it.

    What the terminal's encoding does not have is a question mark too.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    plain = _CONTROL.sub("?", text.replace("\r\n", "\n"))
    return plain.encode(encoding, "replace").decode(encoding)


def warnings_in(value: Any, place: str = "") -> Iterator[str]:
    """Every warning of an answer, with the name of what it is about."""
    if isinstance(value, dict):
        found = value.get("warnings")
        for warning in found if isinstance(found, list) else ():
            yield f"{place}: {warning}" if place else str(warning)
        for key, item in value.items():
            # What was written is not an answer's own.
            if key not in ("warnings", "requested", "value"):
                yield from warnings_in(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from warnings_in(item, place)


def _json(value: Any, indent: int | None = None) -> str:
    """JSON in the letters that standard output can take; the control characters that JSON allows are escaped too."""
    readable = json.dumps(value, ensure_ascii=False, indent=indent)
    return readable if readable == printable(readable) else json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def _node(event: Event) -> str:
    return printable(f"node {event.data.get('node')}")


def shown(value: Any) -> str:
    """A value in a table: on one line and cut."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def bytes_shown(number: float | None) -> str:
    """A size in words, in powers of 1000."""
    if number is None:
        return "?"
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
