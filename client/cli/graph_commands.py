"""The subcommands that read and edit the open graph."""

from __future__ import annotations

from typing import Annotated

import typer

from .app import Ctx, FieldPath, FieldWrites, app
from .arguments import Writes, json_value, text_of

TOPIC = "Graph"


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi get Canvas.width Canvas.height")
def get(ctx: Ctx, path: FieldPath) -> None:
    """Read fields."""
    found = ctx.obj.client.get(path)
    values = found if len(path) > 1 else found[path[0]]
    people = None if len(path) == 1 else lambda: ctx.obj.terminal.table(["field", "value"], [*found.items()], "")
    ctx.obj.terminal.show(values, people)


@app.command(
    rich_help_panel=TOPIC, name="set", epilog='Example: uiapi set Canvas.width=640 "Result.filename_prefix=my picture"'
)
def set_(ctx: Ctx, write: FieldWrites) -> None:
    """Write fields. If one cannot be written, none is.

    A value is JSON, such as 12, true or "12", if the field accepts it, and text otherwise.

    The shell needs quotes around a value with blanks.
    """
    written = Writes(write).send(ctx.obj.client.set)
    rows = [[path, one["value"]] for path, one in written.items()]
    ctx.obj.terminal.show(written, lambda: ctx.obj.terminal.table(["field", "value"], rows, ""))


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi query sampler")
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


@app.command(rich_help_panel=TOPIC, epilog='Example: uiapi connect "Canvas.outputs[0]" "Result.inputs[0]"')
def connect(ctx: Ctx, output: str, input: str) -> None:
    """Link an output to an input."""
    link = ctx.obj.client.connect(output, input)
    ends = [link["from"]["path"], link["to"]["path"]]
    ctx.obj.terminal.show(link, lambda: ctx.obj.terminal.say(f"{ends[0]} feeds {ends[1]} ({link['type']})."))


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi batch edits.json --dry-run")
def batch(
    ctx: Ctx,
    file: Annotated[str, typer.Argument(help="File with a JSON list of {command, data}, or - for standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes without making them.")] = False,
) -> None:
    """Apply several edits as one undo step, all or none."""
    edits = json_value(text_of(file))
    done = ctx.obj.client.call("batch", {"commands": edits, "dry_run": dry_run})
    rows = [[change.pop("kind"), change] for change in map(dict, done["changes"])]
    ctx.obj.terminal.show(done, lambda: ctx.obj.terminal.table(["", "change"], rows, "No changes."))


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi undo 2")
def undo(ctx: Ctx, steps: Annotated[int, typer.Argument(help="Number of steps.", min=1, max=1000)] = 1) -> None:
    """Undo changes of the open workflow, as Ctrl+Z does."""
    done = ctx.obj.client.call("undo", {"steps": steps})
    count = done["done"]
    sentence = "There is nothing to undo." if not count else f"Undid {count} {'step' if count == 1 else 'steps'}."
    ctx.obj.terminal.show(done, lambda: ctx.obj.terminal.say(sentence))


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi search invert --takes IMAGE")
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
