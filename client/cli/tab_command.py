"""The subcommand that opens ComfyUI in a browser without a window."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ..common.errors import UiapiError
from ..common.profile_lock import claimed
from .app import Ctx, app
from .headless_tab import CONNECT_TIMEOUT, HeadlessTab, apart, close_kept, find_browser, is_kept, profile_of
from .terminal import exit_code


@app.command(rich_help_panel="Server", epilog="Example: uiapi tab --detach")
def tab(
    ctx: Ctx,
    browser: Annotated[
        str | None, typer.Option(help="Program of the browser (default: the Chrome, Chromium, Edge or Firefox found).")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when the tab is connected, and keep it open.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Close the tab that --detach opened.")] = False,
) -> None:
    """Open ComfyUI in a browser without a window, until Ctrl-C; for machines without a screen.

    Workflows in UI format, titles, seeds and the scripts of node packs need a page, which this one provides.
    """
    client, terminal = ctx.obj.client, ctx.obj.terminal
    profile = profile_of(client.url)
    if stop:
        _stop(profile)
        terminal.show({"closed": True}, lambda: terminal.say("Closed the tab."))
        return
    program = find_browser(browser)
    if is_kept(profile):
        raise UiapiError("conflict", "uiapi tab keeps a tab open already; close it with uiapi tab --stop.", status=409)
    if detach:
        with claimed(profile):
            pass  # The process in the background claims it again; nothing is started if another one has it.
        opened = _detached(client, program, profile)
        says = f"Tab {opened} is connected; uiapi tab --stop closes it."
        terminal.show({"webui": opened}, lambda: terminal.say(says))
        return
    with claimed(profile), HeadlessTab(client, program, profile, terminal.note) as page:
        # A service manager sends SIGTERM, which must end the browser too.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        opened = page.open()
        terminal.show({"webui": opened}, lambda: terminal.say(f"Tab {opened} is connected; Ctrl-C closes it."))
        sys.stdout.flush()
        page.keep()


def _detached(client: Any, browser: Path, profile: Path) -> int:
    """Run this subcommand in the background; returns the ID of its tab."""
    before = {one["id"] for one in client.webuis()}
    profile.mkdir(parents=True, exist_ok=True)
    log = profile / "uiapi.log"
    module = __package__.rpartition(".")[0]
    command = [sys.executable, "-m", module, "--url", client.url, "tab", "--browser", str(browser)]
    # The token is in the environment, where other users cannot read it.
    env = {**os.environ, **({"UIAPI_TOKEN": client.token} if client.token else {})}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this program
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, **apart()
        )
    until = time.monotonic() + CONNECT_TIMEOUT
    while process.poll() is None and time.monotonic() < until:
        opened = [int(one["id"]) for one in client.webuis() if one["id"] not in before]
        if opened and is_kept(profile):
            return opened[0]
        time.sleep(0.25)
    with contextlib.suppress(OSError):
        process.terminate()
    said = log.read_text("utf-8", "replace").strip().splitlines() or ["it ended without a message"]
    conflict = UiapiError("conflict", said[-1], status=409)
    if process.returncode == exit_code(conflict):
        raise conflict
    raise UiapiError("no_webui", f"The tab was not opened: {said[-1]}", status=503)


def _stop(profile: Path) -> None:
    if not is_kept(profile):
        with claimed(profile):
            raise UiapiError("not_found", "uiapi tab keeps no tab open for this ComfyUI.", status=404)
    if not close_kept(profile):
        raise UiapiError("timeout", "The browser did not end in time; end it yourself.")
