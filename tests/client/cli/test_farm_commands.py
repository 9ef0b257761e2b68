"""`uiapi farm` where it refuses to start; tests/client/farm runs it."""

from __future__ import annotations

import re

import pytest
import typer
from comfyui_uiapi.client.cli.app import app
from comfyui_uiapi.client.cli.main import add_subcommands
from comfyui_uiapi.tests.client.cli.conftest import Uiapi
from comfyui_uiapi.tests.harness.comfy.process import free_port
from comfyui_uiapi.tests.harness.documents import DOCS

DOCUMENTED = [
    *(line for line in DOCS["farm"].lines if line.startswith("uiapi farm")),
    *re.findall(r"`(uiapi farm start --comfyui [^`]*)`", DOCS["farm"].text),
]
HERE = "127.0.0.1"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("start", "--comfyui", "http://gpu1:8188", "--host", "192.168.1.4"), "192.168.1.4 is not this machine alone"),
        (("join", "tcp://gpu1:8786"), "gpu1 is not this machine alone"),
        (("join", "http://gpu1:8786"), "is not the address of a farm"),
        (("start", "--comfyui", "http://gpu1:8188", "--tls-cert", "a.pem"), "--tls-ca-file is missing"),
        (("start", "--comfyui", "http://user:secret@gpu1:8188"), "without a user name or password"),
    ],
)
async def test_a_call_that_opens_the_machine_or_cannot_work_is_refused(
    uiapi: Uiapi, words: tuple[str, ...], says: str
) -> None:
    ended = await uiapi("farm", *words)
    assert ended.code in (5, 7) and says in ended.err.replace("\n", " ")


@pytest.mark.parametrize("line", DOCUMENTED)
def test_every_documented_option_exists(line: str) -> None:
    add_subcommands()
    command = typer.main.get_group(app)
    _, kind, name, *words = line.split()
    group = command.get_command(typer.Context(command), kind)
    assert isinstance(group, typer.core.TyperGroup)
    found = group.get_command(typer.Context(group), name)
    assert found is not None and found.make_context(name, words).params["comfyui"]


async def test_a_comfyui_that_does_not_respond_cannot_join(uiapi: Uiapi) -> None:
    port = free_port()
    ended = await uiapi("farm", "join", f"tcp://{HERE}:{free_port()}", "--comfyui", f"http://{HERE}:{port}")
    assert ended.code == 3 and f"No ComfyUI answers at http://{HERE}:{port}" in ended.err
