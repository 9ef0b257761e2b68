"""The subcommands about workflows as a whole: opening, saving, and pictures of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..common.errors import UiapiError
from ..common.pictures import FORMATS
from .app import Ctx, app
from .arguments import nearest, object_in

TOPIC = "Workflows"
EXAMPLES = Path(__file__).parents[1] / "examples"
# The files that may hold a workflow.
SUFFIXES = frozenset(".json .png .webp .jpg .jpeg .svg .mp4 .webm .flac .ogg .opus .mp3 .glb .latent".split())


def files(incomplete: str) -> list[str]:
    """Completes the path of a workflow file, folder by folder."""
    folder, _, beginning = incomplete.rpartition("/")
    place = Path(folder or ("/" if incomplete.startswith("/") else ".")).expanduser()
    try:
        found = sorted(path for path in place.iterdir() if path.name.startswith(beginning))
    except OSError:
        return []
    before = incomplete[: len(incomplete) - len(beginning)]
    return [
        f"{before}{path.name}{'/' if path.is_dir() else ''}"
        for path in found
        if (path.is_dir() or path.suffix.lower() in SUFFIXES) and (beginning or not path.name.startswith("."))
    ]


def examples(incomplete: str = "") -> list[str]:
    """Completes the name of a workflow that comes with the client."""
    return sorted(path.stem for path in EXAMPLES.glob("*.json") if path.stem.startswith(incomplete))


@app.command(rich_help_panel=TOPIC, epilog='Example: uiapi load portrait.json --name "second try"')
def load(
    ctx: Ctx,
    file: Annotated[
        str | None,
        typer.Argument(
            help="Workflow file in UI or API format, a file that ComfyUI saved, such as a picture, or - for standard "
            "input.",
            autocompletion=files,
        ),
    ] = None,
    example: Annotated[
        str | None,
        typer.Option(
            help="Instead of a file, a workflow that comes with uiapi: canvas, photo or upscale.",
            autocompletion=examples,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new workflow tab (default: that of the file).")] = None,
) -> None:
    """Open a workflow in a new workflow tab."""
    if (file is None) == (example is None):
        raise typer.BadParameter("give either a file or --example.")
    if example is not None:
        if example not in examples():
            sentence = f"There is no example {example!r}.{nearest(example, examples())} The examples are "
            raise UiapiError("not_found", f"{sentence}{', '.join(examples())}.", status=404)
        file = str(EXAMPLES / f"{example}.json")
    if file == "-":
        loaded = ctx.obj.client.load(object_in(), name)
    else:
        path = Path(str(file))
        loaded = ctx.obj.client.load(path, path.stem if name is None else name)
    ctx.obj.terminal.show(loaded, lambda: ctx.obj.terminal.say(loaded["message"]))


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi save workflow.json")
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


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi templates flux inpaint")
def templates(ctx: Ctx, word: Annotated[list[str] | None, typer.Argument(help="Words to search for.")] = None) -> None:
    """List workflow templates: the official ones, and examples of node packs."""
    found = ctx.obj.client.templates(" ".join(word or ()))
    rows = [[one["name"], one["title"], one["pack"] or one["category"]] for one in found]
    ctx.obj.terminal.show(
        found, lambda: ctx.obj.terminal.table(["name", "title", ""], rows, "No template has these words.")
    )


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi template image_flux2")
def template(
    ctx: Ctx,
    name: Annotated[str, typer.Argument(help="Name or title of the template; uiapi templates lists them.")],
    pack: Annotated[str | None, typer.Option(help="Node pack that has it.")] = None,
) -> None:
    """Open a workflow template in a new workflow tab."""
    opened = ctx.obj.client.open_template(name, pack)
    missing = [f"The model {model['name']} is missing." for model in opened["missing_models"]]
    advice = ["Download them with: uiapi download"] if missing else []
    ctx.obj.terminal.show(opened, lambda: ctx.obj.terminal.say("\n".join([opened["message"], *missing, *advice])))


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi tabs --json")
def tabs(ctx: Ctx) -> None:
    """List the workflow tabs of the page."""
    found = ctx.obj.client.call("list_tabs")["tabs"]
    rows = [[tab["id"], tab["name"], "active" * tab["active"], "modified" * tab["modified"]] for tab in found]
    ctx.obj.terminal.show(found, lambda: ctx.obj.terminal.table(["id", "name", "", ""], rows, ""))


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi shot nodes.png Sampler Result")
def shot(
    ctx: Ctx,
    file: Annotated[Path, typer.Argument(help="File to write, in the format of its suffix: .png, .jpg or .webp.")],
    node: Annotated[list[str] | None, typer.Argument(help="Node paths (default: the whole canvas).")] = None,
) -> None:
    """Save a picture of the canvas or of some nodes."""
    if file.suffix and file.suffix.lower() not in FORMATS:
        raise UiapiError("invalid", f"A picture cannot be saved as {file.suffix}; name the file {file.stem}.png.")
    ctx.obj.client.screenshot(file, node)
    ctx.obj.terminal.show({"path": str(file)}, lambda: ctx.obj.terminal.say(f"Saved {file}"))
