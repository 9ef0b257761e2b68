"""The subcommands of `uiapi`, the command line for people and scripts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..client import Client
from ..common.command_table import route, routes
from ..common.errors import UiapiError
from ..protocol.inputs import workflow_of
from .arguments import assignment, hoisted, json_of, json_value, object_in, outputs_for, target_of, text_of, writes_of
from .terminal import EXIT_CODES, Terminal, bytes_shown, exit_code, shown

ENDS = ", ".join(
    f"{code} {meaning}" for code, meaning in sorted({0: "success", 2: "usage error", **EXIT_CODES}.items())
)
app = typer.Typer(
    help="Drive the workflow that is open in ComfyUI's browser tab.",
    epilog=f"Exit codes: {ENDS}.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Context:
    """The client and the terminal of a subcommand."""

    def __init__(self, client: Client, terminal: Terminal) -> None:
        self.client = client
        self.terminal = terminal


def run(arguments: Sequence[str]) -> None:
    """Run a command line; raises SystemExit with its exit code."""
    words = hoisted(arguments)
    terminal = Terminal("--json" in words)
    try:
        app(words)
    except UiapiError as error:
        terminal.fail(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)


def paths(incomplete: str) -> list[str]:
    """Completes a field path of the open workflow; returns no paths if ComfyUI cannot be reached.

    Paths with characters that are special in a shell are left out, since some shells evaluate completions.
    """
    try:
        with Client(reconnect=0) as client:
            found = [
                f"{node['path']}.{widget['name']}" for node in client.nodes() for widget in node.get("widgets", ())
            ]
    except UiapiError:
        return []
    harmless = [path for path in found if re.fullmatch(r"[\w ./#\[\]-]+", path)]
    return [path for path in harmless if path.lower().startswith(incomplete.lower())]


def names(incomplete: str) -> list[tuple[str, str]]:
    """Completes the name of a command of the server."""
    return [(name, known.doc) for name, known in routes().items() if name.startswith(incomplete)]


Ctx = typer.Context
FieldPath = Annotated[list[str], typer.Argument(help="Field paths, for example Title.widget.", autocompletion=paths)]
Writes = Annotated[
    list[str],
    typer.Argument(
        help="PATH=VALUE; the value is JSON, text, or @FILE for a picture. - reads {path: value} from standard input.",
        autocompletion=paths,
    ),
]
OptionalWrites = Annotated[
    list[str] | None, typer.Argument(help="PATH=VALUE to set first, as in uiapi set.", autocompletion=paths)
]
WorkflowFile = Annotated[
    Path | None, typer.Option("--workflow", "-w", help="Workflow file to use instead of the open workflow.")
]


@app.callback()
def common(
    ctx: Ctx,
    url: Annotated[str | None, typer.Option(help="URL of ComfyUI.", envvar="COMFYUI_URL")] = None,
    token: Annotated[str | None, typer.Option(help="UIAPI_TOKEN of the server.", envvar="UIAPI_TOKEN")] = None,
    webui: Annotated[int | None, typer.Option(help="ID of the tab to use; uiapi webuis lists them.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Options of every subcommand, accepted in any position."""
    if url is not None and not url.strip():
        raise typer.BadParameter("--url needs a URL.")
    client = Client(url, token, webui=webui, name="uiapi command line", reconnect=0)
    ctx.obj = Context(client, Terminal(as_json))
    ctx.call_on_close(client.close)


@app.command()
def status(ctx: Ctx) -> None:
    """Show connections, requests and downloads."""
    found = ctx.obj.client.status()
    terminal = ctx.obj.terminal
    rows = [[key.replace("_", " "), value] for key, value in found.items() if key not in ("status", "server_time")]
    terminal.show(found, lambda: terminal.table(["", ""], rows, ""))


@app.command()
def webuis(ctx: Ctx) -> None:
    """List the connected tabs."""
    found = ctx.obj.client.webuis()
    columns = ["id", "browser", "platform", "frontend_version", "workflow_name", "is_main"]
    rows = [[tab[column] for column in columns] for tab in found]
    ctx.obj.terminal.show(found, lambda: ctx.obj.terminal.table(columns, rows, "No tab is connected."))


@app.command()
def get(ctx: Ctx, path: FieldPath) -> None:
    """Read fields."""
    found = ctx.obj.client.get(path)
    values = found if len(path) > 1 else found[path[0]]
    people = None if len(path) == 1 else lambda: ctx.obj.terminal.table(["field", "value"], [*found.items()], "")
    ctx.obj.terminal.show(values, people)


@app.command(name="set")
def set_(ctx: Ctx, write: Writes) -> None:
    """Write fields. If one cannot be written, none is."""
    written = ctx.obj.client.set(writes_of(write))
    rows = [[path, one["value"]] for path, one in written.items()]
    ctx.obj.terminal.show(written, lambda: ctx.obj.terminal.table(["field", "value"], rows, ""))


@app.command()
def connect(ctx: Ctx, output: str, input: str) -> None:
    """Link an output to an input."""
    link = ctx.obj.client.connect(output, input)
    ends = [link["from"]["path"], link["to"]["path"]]
    ctx.obj.terminal.show(link, lambda: ctx.obj.terminal.say(f"{ends[0]} feeds {ends[1]} ({link['type']})."))


@app.command()
def query(
    ctx: Ctx,
    text: Annotated[str, typer.Argument(help="Text in the node's title or type, or in the field's name.")] = "",
) -> None:
    """List the fields of the open workflow."""
    fields = []
    for node in ctx.obj.client.nodes():
        for widget in node.get("widgets", ()):
            path = f"{node['path']}.{widget['name']}"
            if text.lower() in f"{path} {node['type']}".lower():
                fields.append({"path": path, "type": node["type"], "value": widget["value"]})
    rows = [[field["path"], field["value"], field["type"]] for field in fields]
    empty = f"No field matches {text!r}." if text else "The workflow has no fields."
    ctx.obj.terminal.show(fields, lambda: ctx.obj.terminal.table(["field", "value", "node"], rows, empty))


@app.command()
def load(
    ctx: Ctx,
    file: Annotated[str, typer.Argument(help="Workflow file in UI or API format, or - for standard input.")],
    name: Annotated[str | None, typer.Option(help="Name of the new workflow tab.")] = None,
) -> None:
    """Open a workflow in a new workflow tab."""
    source = object_in() if file == "-" else Path(file)
    loaded = ctx.obj.client.load(source, name)
    ctx.obj.terminal.show(loaded, lambda: ctx.obj.terminal.say(loaded["message"]))


@app.command()
def save(
    ctx: Ctx,
    file: Annotated[Path | None, typer.Argument(help="File to write (default: standard output).")] = None,
    api: Annotated[bool, typer.Option("--api", help="Save in API format instead of UI format.")] = False,
) -> None:
    """Save the open workflow to a local file."""
    workflow = ctx.obj.client.save(file, api=api)
    if file is None:
        ctx.obj.terminal.show(workflow)
    else:
        ctx.obj.terminal.show({"path": str(file)}, lambda: ctx.obj.terminal.say(f"Saved to {file}."))


@app.command(name="run")
def run_(
    ctx: Ctx,
    write: OptionalWrites = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File or FOLDER/ to save the outputs to.")
    ] = None,
    workflow: WorkflowFile = None,
    count: Annotated[int, typer.Option(help="Number of runs.", min=1, max=100)] = 1,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for the results (default: one hour).")] = None,
) -> None:
    """Set fields, run the open workflow, and save its outputs."""
    client, terminal = ctx.obj.client, ctx.obj.terminal
    target = None if output is None else target_of(output)
    with terminal.running() as progress:
        done = client.run(
            writes_of(write) if write else None,
            workflow=workflow,
            batch_count=count if count > 1 else None,
            timeout=timeout,
            fetch=output is not None,
            on_event=progress,
        )
    saved = [] if target is None else outputs_for(done, target)
    result = {**done.answer, "saved": [str(path) for path in saved]}
    took = "" if done.execution_time is None else f" in {done.execution_time:.2f} s"
    lines = [f"Saved {path}" for path in saved] or [client.url + file.url for file in done.files]
    lines += [f"{text.node_title or text.node_type or 'Text'}: {text}" for text in done.texts]
    failure = done.failure()
    end = [] if failure else [f"Done{took}."]
    terminal.show(result, lambda: terminal.say("\n".join([*lines, *end])))
    for warning in _left_out(done.answer.get("node_errors") or {}):
        terminal.warn(warning)
    if failure is not None:
        raise failure


@app.command()
def shot(
    ctx: Ctx,
    file: Annotated[Path, typer.Argument(help="PNG file to write.")],
    node: Annotated[list[str] | None, typer.Argument(help="Node paths (default: the whole canvas).")] = None,
) -> None:
    """Save a picture of the canvas or of some nodes."""
    ctx.obj.client.screenshot(file, node)
    ctx.obj.terminal.show({"path": str(file)}, lambda: ctx.obj.terminal.say(f"Saved {file}"))


@app.command()
def tabs(ctx: Ctx) -> None:
    """List the workflow tabs of the page."""
    found = ctx.obj.client.call("list_tabs")["tabs"]
    rows = [[tab["id"], tab["name"], "active" * tab["active"], "modified" * tab["modified"]] for tab in found]
    ctx.obj.terminal.show(found, lambda: ctx.obj.terminal.table(["id", "name", "", ""], rows, ""))


@app.command()
def batch(
    ctx: Ctx,
    file: Annotated[str, typer.Argument(help="File with a JSON list of {command, data}, or - for standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes without making them.")] = False,
) -> None:
    """Apply several edits as one undo step, all or none."""
    edits = json_value(text_of(file))
    done = ctx.obj.client.call("batch", {"commands": edits, "dry_run": dry_run})
    rows = [[change.pop("kind"), change] for change in map(dict, done["changes"])]
    ctx.obj.terminal.show(done, lambda: ctx.obj.terminal.table(["change", ""], rows, "No changes."))


@app.command()
def search(
    ctx: Ctx,
    text: Annotated[str, typer.Argument(help="Words in the name, category or description.")],
    takes: Annotated[str, typer.Option(help="Input type, such as IMAGE.")] = "",
    gives: Annotated[str, typer.Option(help="Output type, such as IMAGE.")] = "",
) -> None:
    """Find node types."""
    found = ctx.obj.client.call("search_nodes", {"query": text, "input_type": takes, "output_type": gives})["nodes"]
    rows = [[node["type"], node["category"], node.get("title")] for node in found]
    ctx.obj.terminal.show(
        found, lambda: ctx.obj.terminal.table(["type", "category", "title"], rows, "No node type matches.")
    )


@app.command()
def plan(ctx: Ctx, workflow: WorkflowFile = None) -> None:
    """Show the models of the workflow, and what uiapi download would do."""
    found = ctx.obj.client.plan(workflow=_read(workflow))
    terminal = ctx.obj.terminal
    rows = [
        [model["name"], model["directory"], model["action"], bytes_shown(model.get("size")), _reason(model)]
        for model in found["models"]
    ]

    def people() -> None:
        terminal.table(["model", "folder", "", "size", ""], rows, "The workflow needs no models.")
        totals = found["totals"]
        terminal.say(f"{totals['download']} to download, {bytes_shown(totals['bytes'])}: {found['verdict']}.")

    terminal.show(found, people)


@app.command()
def download(
    ctx: Ctx,
    source: Annotated[list[str] | None, typer.Argument(help="NAME=URL for models without a known URL.")] = None,
    workflow: WorkflowFile = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which the download is cancelled.")] = None,
) -> None:
    """Download the missing models of the workflow."""
    table = dict(assignment(item) for item in source or ())
    terminal = ctx.obj.terminal
    with terminal.downloading() as progress:
        done = ctx.obj.client.download_models(
            {name: json_of(value) for name, value in table.items()} or None,
            _read(workflow),
            on_progress=progress,
            timeout=timeout,
        )
    rows = [[name, model["status"], model["path"]] for name, model in done.items()]
    terminal.show(done, lambda: terminal.table(["model", "", "path"], rows, "No models are missing."))


@app.command()
def watch(
    ctx: Ctx,
    event: Annotated[
        list[str] | None, typer.Argument(help="Event names or prefixes such as 'webui_*' (default: all).")
    ] = None,
    count: Annotated[int | None, typer.Option(help="End after this number of events.", min=1)] = None,
    timeout: Annotated[float | None, typer.Option(help="End after this number of seconds.")] = None,
) -> None:
    """Print events as they happen."""
    terminal = ctx.obj.terminal
    for number, happened in enumerate(ctx.obj.client.events(*(event or ()), timeout=timeout), 1):
        line = {"event": happened.name, "data": happened.data}
        terminal.show(line, lambda: terminal.say(f"{happened.name}  {shown(happened.data)}"))  # noqa: B023 - at once
        sys.stdout.flush()
        if number == count:
            return


@app.command()
def call(
    ctx: Ctx,
    command: Annotated[str, typer.Argument(help="Command name; uiapi commands lists them.", autocompletion=names)],
    data: Annotated[str, typer.Argument(help="Parameters as a JSON object, or - for standard input.")] = "{}",
) -> None:
    """Send any command to the server."""
    parameters = json_value(text_of(data) if data == "-" else data)
    if not isinstance(parameters, dict):
        raise typer.BadParameter("the parameters must be a JSON object")
    ctx.obj.terminal.show(ctx.obj.client.call(command, parameters))


@app.command()
def commands(ctx: Ctx, name: Annotated[str, typer.Argument(autocompletion=names)] = "") -> None:
    """List the commands of the server, or the parameters of one command."""
    terminal = ctx.obj.terminal
    if name:
        known = route(name)
        if name not in routes():
            raise UiapiError(
                "unknown_command", f"Unknown command {name!r}; uiapi commands lists all commands.", status=404
            )
        rows = [[key, schema.get("description")] for key, schema in known.request["properties"].items()]
        terminal.show(known.request, lambda: terminal.table([name, known.doc], rows, ""))
        return
    rows = [[known.name, known.doc] for known in routes().values()]
    terminal.show([known.name for known in routes().values()], lambda: terminal.table(["command", ""], rows, ""))


@app.command()
def mcp(ctx: Ctx) -> None:
    """Serve the open workflow to agents: Model Context Protocol on standard input and output."""
    try:
        from ..mcp.server import serve
    except ModuleNotFoundError as error:
        if error.name != "mcp":
            raise
        sys.exit('This command needs mcp: pip install "comfyui-uiapi[mcp]", or pip install mcp.')
    client = ctx.obj.client
    serve(client.url, client.token, client.webui)


def _left_out(node_errors: dict[str, Any]) -> Iterator[str]:
    """Yields a sentence for each node that ComfyUI did not run, with ComfyUI's reasons."""
    for node_id, entry in node_errors.items():
        reasons = [": ".join(filter(None, (one.get("message"), one.get("details")))) for one in entry.get("errors", ())]
        yield f"#{node_id} ({entry.get('class_type')}) was not run: {'; '.join(reasons) or 'no reason given'}"


def _read(workflow: Path | None) -> dict[str, Any] | None:
    return None if workflow is None else workflow_of(workflow)


def _reason(model: dict[str, Any]) -> str:
    reason = model.get("reason")
    return str(reason.get("message") if isinstance(reason, dict) else reason or "")
