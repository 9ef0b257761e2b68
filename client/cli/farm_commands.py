"""The subcommands about farms, in which several ComfyUIs share the variations of a sweep."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..protocol.address import Address
from .app import Ctx, app

if TYPE_CHECKING:
    from ..farm.processes import Started

NAME = "uiapi farm"

farm = typer.Typer(
    no_args_is_help=True,
    help="Let several ComfyUIs share a sweep.",
    epilog="Example: uiapi farm start --comfyui http://127.0.0.1:8188 --comfyui http://127.0.0.1:8189",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(farm, name="farm", rich_help_panel="Runs")

Insecure = Annotated[
    bool, typer.Option("--insecure", help="Listen without TLS, so that anyone in the network can run code here.")
]
TlsCa = Annotated[Path | None, typer.Option("--tls-ca-file", help="PEM file of the farm's certificate authority.")]
TlsCert = Annotated[Path | None, typer.Option("--tls-cert", help="PEM file of this machine's certificate.")]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="PEM file of the key of --tls-cert.")]


@farm.command(epilog="Example: uiapi farm start --comfyui http://127.0.0.1:8188 --comfyui http://gpu2:8188")
def start(
    ctx: Ctx,
    comfyui: Annotated[list[str], typer.Option(help="URL of a ComfyUI; give one for each.")],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.", min=0, max=65535)] = 8786,
    dashboard_port: Annotated[int, typer.Option(help="Port of Dask's dashboard.", min=0, max=65535)] = 8787,
    tls_ca_file: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    insecure: Insecure = False,
) -> None:
    """Start a farm, with a worker on this machine for each ComfyUI, until Ctrl-C."""
    from ..farm.settings import Tls, check_installed

    check_installed()
    from ..farm import processes

    terminal = ctx.obj.terminal
    place = processes.Place(host, port, dashboard_port, Tls(tls_ca_file, tls_cert, tls_key), insecure)
    addresses = [Address.of(url, ctx.obj.client.token, NAME) for url in comfyui]

    def started(made: Started) -> None:
        lines = [
            f"The farm runs at {made.address}; use it with uiapi sweep --farm {made.address}",
            f"Dashboard: {made.dashboard}",
            "Ctrl-C ends it.",
        ]
        value = {"address": made.address, "dashboard": made.dashboard, "workers": made.workers}
        terminal.show(value, lambda: terminal.say("\n".join(lines)))
        sys.stdout.flush()

    _run(processes.start(addresses, place, started, terminal.note))


@farm.command(epilog="Example: uiapi farm join tls://host:8786 --comfyui http://127.0.0.1:8188")
def join(
    ctx: Ctx,
    address: Annotated[str, typer.Argument(help="Address of the farm, as uiapi farm start prints it.")],
    comfyui: Annotated[str, typer.Option(help="URL of the ComfyUI.")] = "http://127.0.0.1:8188",
    once: Annotated[
        bool, typer.Option("--once", help="End when the farm ends, instead of waiting for its return.")
    ] = False,
    tls_ca_file: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    insecure: Insecure = False,
) -> None:
    """Let a ComfyUI of this machine take part in a farm, until Ctrl-C."""
    from ..farm.settings import Tls, check_installed

    check_installed()
    from ..farm import processes

    terminal = ctx.obj.terminal
    place = processes.Place(tls=Tls(tls_ca_file, tls_cert, tls_key), insecure=insecure)
    joining = Address.of(comfyui, ctx.obj.client.token, NAME)

    def joined() -> None:
        value = {"address": address, "comfyui": joining.url}
        terminal.show(
            value, lambda: terminal.say(f"{joining.url} takes part in the farm at {address}; Ctrl-C ends it.")
        )
        sys.stdout.flush()

    _run(processes.join(address, joining, place, joined, terminal.note, once=once))


def _run(working: Coroutine[Any, Any, None]) -> None:
    """Run until Ctrl-C; a service manager sends SIGTERM, which must end the workers too."""
    from ..farm.settings import quiet

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with quiet():
        asyncio.run(working)
