"""The subcommands about ComfyUI itself: versions and memory, its log, and the page's lists of files."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .app import Ctx, app
from .terminal import bytes_shown

TOPIC = "ComfyUI"


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi system --json")
def system(ctx: Ctx) -> None:
    """Show the versions, the memory and the queue of ComfyUI."""
    found, terminal = ctx.obj.client.system(), ctx.obj.terminal
    rows = [[name.removesuffix("_version"), found[name]] for name in found if name.endswith("_version") or name == "os"]
    rows += memory_rows(found)
    rows.append(["queue", f"{found['queue_running']} running, {found['queue_waiting']} waiting"])
    terminal.show(found, lambda: terminal.table(["", ""], rows, ""))


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi free")
def free(
    ctx: Ctx,
    keep_cache: Annotated[
        bool, typer.Option("--keep-cache", help="Keep the outputs of nodes for the next run.")
    ] = False,
) -> None:
    """Unload all models and forget the outputs of nodes, after the running prompt if there is one."""
    freed, terminal = ctx.obj.client.free_memory(cache=not keep_cache), ctx.obj.terminal

    def people() -> None:
        terminal.say(freed["message"])
        if freed["freed"]:
            terminal.table(["", ""], memory_rows(freed), "")

    terminal.show(freed, people)


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi refresh")
def refresh(ctx: Ctx) -> None:
    """Make the page reload its lists of files, and show what has changed."""
    changed, terminal = ctx.obj.client.refresh_models(), ctx.obj.terminal
    rows = [
        [f"{one['type']}.{one['input']}", *(", ".join(map(str, one[key])) for key in ("added", "removed"))]
        for one in changed
    ]
    terminal.show(changed, lambda: terminal.table(["list", "added", "removed"], rows, "Nothing has changed."))


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi logs --lines 50")
def logs(
    ctx: Ctx, lines: Annotated[int, typer.Option(help="Number of lines, the last ones.", min=1, max=1000)] = 200
) -> None:
    """Print the end of ComfyUI's log, without tokens and passwords."""
    found, terminal = ctx.obj.client.logs(lines), ctx.obj.terminal
    terminal.show(found, lambda: terminal.say("\n".join(line["text"] for line in found)))


def memory_rows(found: dict[str, Any]) -> list[list[str]]:
    """Returns rows about the free memory of each device and of the machine."""
    rows = [
        [
            device["type"],
            f"{device['name']}, {bytes_shown(device['vram_free'])} of {bytes_shown(device['vram_total'])} free",
        ]
        for device in found["devices"]
    ]
    if found["ram_total"] is not None:
        rows.append(["memory", f"{bytes_shown(found['ram_free'])} of {bytes_shown(found['ram_total'])} free"])
    return rows
