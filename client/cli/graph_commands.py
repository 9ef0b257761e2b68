"""The subcommands that read and edit the open graph."""

from __future__ import annotations

from typing import Annotated

import typer

from .app import Ctx, FieldPath, Writes, app
from .arguments import json_value, text_of, writes_of


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
def connect(ctx: Ctx, output: str, input: str) -> None:
    """Link an output to an input."""
    link = ctx.obj.client.connect(output, input)
    ends = [link["from"]["path"], link["to"]["path"]]
    ctx.obj.terminal.show(link, lambda: ctx.obj.terminal.say(f"{ends[0]} feeds {ends[1]} ({link['type']})."))


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
