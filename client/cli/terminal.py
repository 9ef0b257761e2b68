"""The output of the command line: tables and progress bars for people, JSON for scripts, and the exit codes."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..common.errors import UiapiError
from ..common.events import Event
from ..common.notices import warnings_in

# rich takes longer to import than reading a field takes, so it is imported where it is used.
if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

# 0 is success and 2 is a usage error.
EXIT_CODES = {
    1: "other errors",
    3: "no ComfyUI or no connected tab",
    4: "not found",
    5: "not allowed",
    6: "ambiguous or in conflict",
    7: "invalid request",
    8: "the run or the download failed, or something is missing",
    9: "timed out",
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

# C0 except tab and line feed, DEL, and C1.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Values are never shortened to fewer characters than this, and never shown with more.
MIN_SHOWN, MAX_SHOWN = 20, 2000
# The columns of tables whose cells may be shortened; the others, such as paths and advice, are wrapped instead.
SHORTENED = frozenset({"value", "change"})
# The width of tables that are not printed to a terminal.
PIPED_WIDTH = 100_000
APPROVAL = "Waiting for the person at the ComfyUI tab to approve this."
SLOW = "Waiting for ComfyUI. It may be busy, or the person at its tab may have to approve this."
QUEUED = "Waiting for ComfyUI to begin this run; uiapi queue shows the runs before it."
# Seconds without a response after which a person is notified.
PATIENCE = 3.0


def exit_code(error: UiapiError) -> int:
    """Returns the exit code for an error."""
    return _BY_CODE.get(error.code) or _BY_STATUS.get(error.status, 9 if error.code == "timeout" else 1)


class Terminal:
    """Prints the results of a command.

    Args:
        as_json: print JSON instead of tables: one document or, for events, one line each.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    @cached_property
    def _out(self) -> Console:
        """The console for results."""
        console = _console()
        if not console.is_terminal:
            # Each row of a table stays on one line, for grep and other tools.
            console.width = PIPED_WIDTH
        return console

    @cached_property
    def _err(self) -> Console:
        """The console for errors and progress bars."""
        return _console(stderr=True)

    def show(self, value: Any, people: Callable[[], object] | None = None) -> None:
        """Print a result: as JSON for scripts, else by calling `people`, or the value itself.

        For people every warning in the value is also printed in full to standard error.
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
        """Print a warning to standard error; with JSON output it is part of the JSON."""
        if not self.as_json:
            self._err.print(printable(f"Warning: {text}"), style="yellow")

    def say(self, text: str) -> None:
        """Print a line."""
        self._out.print(printable(text))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], empty: str) -> None:
        """Print a table, or the sentence `empty` if it has no rows."""
        if not rows:
            self.say(empty)
            return
        from rich.cells import cell_len
        from rich.table import Table

        cells = [[printable(shown(cell)) for cell in row] for row in rows]
        widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
        # Two columns are separated by two blanks.
        room = self._out.width - 2 * (len(columns) - 1)
        # Words in the last column, which has the sentences, are not broken unless they are longer than half a line.
        word = max((cell_len(word) for row in cells for word in row[-1].split()), default=0)
        most = [*_narrowed(widths[:-1], room - min(word, room // 2)), None]
        for column, width, limit in zip(columns, widths, most, strict=True):
            if column in SHORTENED:
                limit = max(room - sum(widths) + width, MIN_SHOWN)
                table.add_column(column, no_wrap=True, overflow="ellipsis", max_width=limit)
            else:
                table.add_column(column, overflow="fold", max_width=limit)
        for row in cells:
            table.add_row(*row)
        self._out.print(table)

    def note(self, text: str) -> None:
        """Print a sentence about the progress of a command to standard error; not with JSON output."""
        if not self.as_json:
            self._err.print(printable(text))

    @contextmanager
    def patient(self, text: str = SLOW) -> Iterator[Callable[[], None]]:
        """Print a note if the block takes longer than a few seconds; yields a function that prevents it."""
        timer = threading.Timer(PATIENCE, self.note, [text])
        timer.daemon = True
        timer.start()
        try:
            yield timer.cancel
        finally:
            timer.cancel()

    def fail(self, error: UiapiError) -> None:
        """Print an error to standard error."""
        if self.as_json:
            sys.stderr.write(_json(error.envelope()) + "\n")
            return
        self._err.print(printable(error.message), style="red")

    @contextmanager
    def running(self) -> Iterator[Callable[[Event], None]]:
        """Show a progress bar for a run; yields a listener for its events."""
        from rich.progress import BarColumn, TimeElapsedColumn

        with self._progress(BarColumn(), TimeElapsedColumn()) as bars, self.patient(QUEUED) as begun:
            if not bars.disable:
                # The bar shows that the run is queued.
                begun()
            task = bars.add_task("queued", total=None)
            names: dict[Any, str] = {}

            def take(event: Event) -> None:
                node = event.data.get("node")
                if event.name == "waiting_for_person":
                    begun()
                    self.note(APPROVAL)
                elif event.name == "progress":
                    done, total = event.data.get("value"), event.data.get("max")
                    bars.update(task, completed=done, total=total, description=names.get(node, f"node {node}"))
                elif event.name == "executing" and node:
                    begun()
                    names[node] = printable(event.data.get("title") or event.data.get("node_type") or f"node {node}")
                    bars.update(task, completed=0, total=None, description=names[node])

            yield take

    @contextmanager
    def sweeping(self, total: int, done: int) -> Iterator[Callable[[str], None]]:
        """Show a progress bar for a sweep; yields a function to call with the name of each variation that has ended."""
        from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

        with self._progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(elapsed_when_finished=True)) as bars:
            task = bars.add_task("sweep", total=total, completed=done)

            def advance(name: str) -> None:
                bars.update(task, advance=1, description=printable(name if len(name) <= 40 else f"{name[:39]}…"))

            yield advance

    @contextmanager
    def downloading(self) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """Show a progress bar for each model; yields a function to call with the state of the download."""
        from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with self._progress(*columns) as bars:
            tasks: dict[str, TaskID] = {}
            waiting: set[str] = set()

            def take(state: Mapping[str, Any]) -> None:
                for name, model in (state.get("progress") or {}).items():
                    if model["status"] == "waiting_for_url" and name not in waiting:
                        waiting.add(name)
                        self.note(
                            f"Waiting for a URL of {name} in the ComfyUI tab; to give it here, press Ctrl-C and use "
                            f"uiapi download {name}=URL."
                        )
                    if name not in tasks:
                        tasks[name] = bars.add_task("", total=None)
                    words = printable(name if model["status"] == "downloading" else f"{name}: {model['status']}")
                    done, total = model.get("bytes"), model.get("total")
                    bars.update(tasks[name], completed=done, total=total, description=words)

            yield take

    def _progress(self, *columns: Any) -> Progress:
        from rich.progress import Progress, TextColumn

        quiet = self.as_json or not self._err.is_terminal
        words = TextColumn("{task.description}", markup=False)
        return Progress(words, *columns, console=self._err, disable=quiet, transient=True)


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    # Titles and messages are not trusted, so markup in them is not interpreted.
    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)


def _narrowed(widths: Sequence[int], room: int) -> list[int]:
    """Returns the widths of columns that share a room, the widest of them narrowed if necessary."""
    narrowed = [*widths]
    while sum(narrowed) > room and max(narrowed) > 1:
        narrowed[narrowed.index(max(narrowed))] -= 1
    return narrowed


def printable(text: str) -> str:
    """Replaces control characters, which could move the cursor or enter input, with question marks.

    Characters that the terminal's encoding lacks are replaced too.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    plain = _CONTROL.sub("?", text.replace("\r\n", "\n"))
    return plain.encode(encoding, "replace").decode(encoding)


def _json(value: Any, indent: int | None = None) -> str:
    """Returns JSON that standard output can encode; control characters that JSON allows are escaped too."""
    readable = json.dumps(value, ensure_ascii=False, indent=indent)
    return readable if readable == printable(readable) else json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def shown(value: Any) -> str:
    """Returns a value for a table cell: on one line and shortened."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def bytes_shown(number: float | None) -> str:
    """Returns a readable size, in powers of 1000."""
    if number is None:
        return "?"
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def duration(seconds: float) -> str:
    """Returns a duration in words, in its two largest units."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    parts = [(days, "day"), (hours % 24, "hour"), (minutes % 60, "minute"), (int(seconds % 60), "second")]
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    words = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts[first : first + 2] if count]
    return " ".join(words) or "0 seconds"
