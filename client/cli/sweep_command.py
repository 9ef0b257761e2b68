"""The subcommand for sweeps: many runs with other values, into a folder with an index and a contact sheet."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..client import Client
from ..common.errors import UiapiError, Unreachable
from ..sweep.files.folder import SweepFolder, opened
from ..sweep.files.names import names_of
from ..sweep.files.sheet import check_sheet, write_sheets
from ..sweep.files.value_lists import Listed, values_in
from ..sweep.item import SweepItem
from ..sweep.variations import Values, Variation, listed, variations_of
from .app import Ctx, app, paths
from .arguments import assignment, json_value, target_of, text_of
from .run_commands import TOPIC
from .terminal import Terminal

RESUME = "The same command with --resume completes it."
# The most failures that are printed one by one; the index has all.
MAX_WARNINGS = 10


class OnError(str, Enum):
    """The choices of --on-error."""

    CONTINUE = "continue"
    STOP = "stop"


@app.command(
    rich_help_panel=TOPIC,
    epilog="Example: uiapi sweep Sampler.cfg=4,6,8 Sampler.seed=1..8 -o out/ --sheet out/sheet.png",
)
def sweep(
    ctx: Ctx,
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH=VALUES",
            help='Values separated by commas: numbers, ranges (1..8, 0..1:0.25), texts, "texts, with commas", and '
            "@FILE for a picture or the lines of a text file. - reads a JSON list of {path: value} from standard "
            "input.",
            autocompletion=paths,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files and the index.")] = Path("sweep"),
    sheet: Annotated[Path | None, typer.Option(help="Picture file for a contact sheet; needs Pillow.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Complete the sweep that an earlier call began in the folder.")
    ] = False,
    seeds: Annotated[
        int, typer.Option(help="Number of runs of each variation, between which seeds change as usual.", min=1)
    ] = 1,
    on_error: Annotated[OnError, typer.Option(help="What to do when a variation fails.")] = OnError.CONTINUE,
    timeout: Annotated[float | None, typer.Option(help="Seconds for the whole sweep (default: no limit).")] = None,
    farm: Annotated[
        str | None, typer.Option(help="Address of a running farm, or URLs of ComfyUIs separated by commas.")
    ] = None,
    shared: Annotated[
        Path | None, typer.Option(help="Folder that all machines of the farm reach, where they leave the files.")
    ] = None,
) -> None:
    """Run the open workflow with many values; it stays as it is."""
    client, terminal = ctx.obj.client, ctx.obj.terminal
    if sheet is not None:
        check_sheet(sheet)
        # The folder of the files is created below.
        if sheet.expanduser().parent.resolve() != output.expanduser().resolve():
            target_of(str(sheet))
    given = _given(client, values)
    # As a generator, since `listed` stops at too many.
    wanted = listed(variation for variation in variations_of(given) for _ in range(seeds))
    how: dict[str, Any] = {"on_error": on_error.value, "timeout": timeout}
    if farm is not None:
        how |= {"farm": _farm(farm), "shared": shared, "on_note": terminal.note}
    with opened(output.expanduser(), wanted, resume=resume) as folder:
        work = _Work(client, terminal, folder, wanted)
        try:
            work.run((given, seeds), how, resume=resume)
        except KeyboardInterrupt:
            terminal.note(f"Stopped; {work.done} of {work.total} variations are done. {RESUME}")
            raise
        except UiapiError as error:
            raise _ended(error, work) from error
        finally:
            work.sheets = write_sheets(folder.entries(), sheet) if sheet is not None and folder.index.rows else []
        work.finish()


def _given(client: Client, words: Sequence[str]) -> Values:
    """Returns the values in the arguments, or on standard input. Raises UiapiError `invalid`."""
    if [*words] == ["-"]:
        given = json_value(text_of("-"))
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            raise UiapiError("invalid", "Standard input must be a JSON list of {path: value}.")
        return given
    lists: dict[str, list[Listed]] = {}
    for path, text in map(assignment, words):
        if path in lists:
            raise UiapiError("invalid", f"{path} is given twice; separate its values by commas.")
        lists[path] = values_in(path, text)
    # Also reports an unknown path before anything is run.
    now = client.get([*lists])
    return {path: [_fitting(one, now.get(path)) for one in found] for path, found in lists.items()}


def _farm(text: str) -> str | list[str]:
    """Returns the farm that is named: its address, or the URLs of ComfyUIs. Raises UiapiError `invalid`."""
    found = [one.strip() for one in text.split(",") if one.strip()]
    if not found:
        raise UiapiError("invalid", "--farm needs the address of a running farm, or URLs of ComfyUIs.")
    return found if "," in text or text.startswith("http") else found[0]


def _fitting(listed: Listed, now: Any) -> Any:
    """Returns a value, as text for a field that has a text now."""
    return listed.text if isinstance(now, str) and isinstance(listed.value, (bool, int, float)) else listed.value


def _ended(error: UiapiError, work: _Work) -> UiapiError:
    """Returns the error of a sweep that ended early, with what to do."""
    code = "execution_interrupted" if error.code == "cancelled" else error.code
    details = {"done": work.done, "total": work.total, **error.details}
    # What is invalid fails in the same way again.
    advice = "" if error.code == "invalid" else f" {RESUME}"
    return type(error)(code, f"{error.message}{advice}", details, error.status)


class _Work:
    """One call of the command.

    Attributes:
        done, total: how many variations are done, also by earlier calls, and how many there are.
        sheets: the contact sheets that were written.
    """

    def __init__(self, client: Client, terminal: Terminal, folder: SweepFolder, wanted: Sequence[Variation]) -> None:
        self._client, self._terminal, self._folder = client, terminal, folder
        self._names = dict(enumerate(names_of(wanted)))
        self.total = len(wanted)
        self.done = self._before = self.total - len(folder.left)
        self.sheets: list[Path] = []
        self._failures: list[str] = []
        self._saved: list[str] = []
        self._warned: set[str] = set()

    def run(self, whole: tuple[Values, int], how: dict[str, Any], *, resume: bool) -> None:
        """Follow the sweep that an earlier call has left, and run what is left then.

        Args:
            whole: all values, and how many times each is run.
            how: further arguments of `Client.sweep`.
            resume: whether to follow the last sweep of the folder.
        """
        with self._terminal.sweeping(self.total, self.done) as advance:
            under_way = self._folder.under_way(self._client.url) if resume else None
            if under_way is not None and self._folder.left:
                self._follow(*under_way, how["timeout"], advance)
            left = self._folder.left
            if left:
                # A grid that is still whole sends each picture once.
                values, seeds = whole if len(left) == self.total else (left, 1)
                sweep = self._client.sweep(values, seeds=seeds, fetch="farm" in how, **how)
                if sweep.sweep_id:
                    # Before it starts, since a process that is killed then leaves it running too.
                    self._folder.begun(sweep.sweep_id, self._client.url, left)
                with closing(sweep):
                    self._start(sweep)
                    self._take(sweep, left, advance)
                    for warning in sweep.warnings:
                        self._warn(warning)
        self._folder.ended()

    def _start(self, sweep: Any) -> None:
        try:
            with self._terminal.patient():
                sweep.start()
        except Unreachable:
            raise
        except UiapiError as error:
            # It has not begun.
            if error.code != "timeout":
                self._folder.ended()
            raise

    def _follow(self, sweep_id: str, variations: list[Variation], timeout: float | None, advance: Any) -> None:
        """Take what a sweep has done since the process that started it was killed, and what it is yet to do."""
        sweep = self._client.follow(sweep_id, fetch=False, timeout=timeout)
        try:
            self._take(sweep, variations, advance)
        except KeyboardInterrupt:
            sweep.cancel()
            raise
        except Unreachable:
            raise
        except UiapiError as error:
            # If ComfyUI was restarted, or somebody stopped the sweep, the rest is run again.
            if error.code in ("timeout", "storage_failed"):
                raise

    def _take(self, sweep: Any, variations: Sequence[Variation], advance: Any) -> None:
        results: Iterator[SweepItem] = iter(sweep)
        for item in results:
            variation = variations[item.index]
            if not self._folder.wants(variation):
                continue
            try:
                # Nothing is saved of a variation that failed.
                for file in item.files if item.error is None else ():
                    self._client.fetch(file)
            except UiapiError as error:
                item.error = error
            row = self._folder.add(variation, item)
            if row is not None:
                self._note(row)
                advance(self._names[row["index"]])

    def _note(self, row: dict[str, Any]) -> None:
        name = self._names[row["index"]]
        for warning in row.get("warnings", ()):
            self._warn(warning)
        if row["error"]:
            self._failures.append(f"{name}: {row['error']['message']}")
            if len(self._failures) <= MAX_WARNINGS:
                self._terminal.warn(self._failures[-1])
            return
        self.done += 1
        if not row["files"]:
            self._warn("A run has made no files; add a SaveImage or PreviewImage node.")
        saved = [str(self._folder.folder / file) for file in row["files"]]
        self._saved += saved
        # At a terminal the progress bar shows how far it is.
        if not self._terminal.as_json and not sys.stdout.isatty():
            self._terminal.say("\n".join(f"Saved {path}" for path in saved) or f"Done {name}")

    def _warn(self, warning: str) -> None:
        if warning not in self._warned and len(self._warned) < MAX_WARNINGS:
            self._warned.add(warning)
            self._terminal.warn(warning)

    def finish(self) -> None:
        """Print the result. Raises UiapiError `partial` if a variation failed."""
        failed, index = len(self._failures), self._folder.index
        result = {
            **{"total": self.total, "done": self.done, "failed": failed, "skipped": self._before},
            **{"saved": self._saved, "index": [str(index.json), str(index.csv)]},
            **{"sheets": [str(path) for path in self.sheets], "warnings": sorted(self._warned)},
        }
        before = f" ({self._before} of them before)" if self._before else ""
        lines = [f"{self.done} of {self.total} variations are done{before}.", f"Index: {index.csv}, {index.json.name}"]
        lines += [f"Sheet: {path}" for path in self.sheets]
        if self._terminal.as_json:
            sys.stdout.write(json.dumps(result) + "\n")
        else:
            self._terminal.say("\n".join(lines))
        if failed:
            sentence = f"{failed} of {self.total} variations failed; the index has the reasons. The first error: "
            raise UiapiError("partial", f"{sentence}{self._failures[0]} {RESUME}", {"failed": self._failures})
