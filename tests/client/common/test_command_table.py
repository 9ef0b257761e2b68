"""The client's table of commands, its types and the generated client match the server's declarations."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi import client
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.client.async_client import AsyncClient
from comfyui_uiapi.client.cli.terminal import EXIT_CODES, exit_code
from comfyui_uiapi.client.client import Client
from comfyui_uiapi.client.common.command_table import error_codes, routes
from comfyui_uiapi.client.common.commands import Commands
from comfyui_uiapi.client.transport import websocket as client_socket
from comfyui_uiapi.common.version import PROTOCOL, VERSION
from comfyui_uiapi.tests.tools import generate
from comfyui_uiapi.tests.tools.generators import unasync


def test_the_table_and_the_types_are_what_the_declarations_say() -> None:
    advice = "run python3 dev.py generate and commit what it writes"
    assert generate.TABLE.read_text() == generate.table(), advice
    assert generate.STUB.read_text() == generate.stub(), advice


@pytest.mark.parametrize("pair", unasync.PAIRS, ids=lambda pair: pair.made.name)
def test_blocking_code_is_generated_from_that_for_asyncio(pair: unasync.Pair) -> None:
    assert pair.made.read_text() == unasync.made(pair), "run python3 dev.py generate and commit what it writes"


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("asyncio.sleep(", "asyncio.wait_for(", "no longer contains 'asyncio.sleep"),
        ("asyncio.to_thread(write_picture, png, path)", "asyncio.shield(png)", "'asyncio.shield.*would be left"),
    ],
)
def test_a_source_that_would_leave_asyncio_code_is_refused(tmp_path: Path, before: str, after: str, named: str) -> None:
    pair = unasync.PAIRS[0]
    source = tmp_path / "async_client.py"
    source.write_text(pair.source.read_text().replace(before, after))
    with pytest.raises(LookupError, match=named):
        unasync.made(replace(pair, source=source))


def test_optional_keys_in_the_responses_of_pages_have_a_type() -> None:
    stub = generate.stub()
    for name, keys in {
        "Change": {"kind", "path", "node", "what", "before", "after"},
        "Ran": {"set", "outputs"},
        "LoadWorkflowAnswer": {"format", "nodes", "missing_node_types"},
        "FullNodes": {"total", "next_offset"},
        "FullNode": {"pos", "size", "links"},
        "NodeBrief": {"path", "pos", "widgets"},
    }.items():
        fields = re.search(rf"^class {name}\(TypedDict\):\n((?:    .*\n)+)", stub, re.MULTILINE)
        assert fields and keys <= {line.partition(":")[0].strip() for line in fields[1].splitlines()}, name


def test_every_route_of_the_server_is_a_method() -> None:
    declared = {name for name, command in COMMANDS.items() if command.route}
    assert declared == set(routes()) == {name for name in dir(Commands(lambda *_: None)) if not name.startswith("_")}


def test_a_method_passes_on_what_it_is_given() -> None:
    asked: list[object] = []
    commands = Commands(lambda name, data: asked.append((name, data)))
    commands.get_fields(["A.b"], timeout=5)
    commands.load_workflow(workflow={}, name=None)
    assert asked == [("get_fields", {"fields": ["A.b"], "timeout": 5}), ("load_workflow", {"workflow": {}})]


@pytest.mark.parametrize(
    ("positional", "named", "named_in_error"),
    [
        ((), {}, "needs fields"),
        ((["a"], 1), {}, "by position"),
        ((["a"],), {"field": 1}, "field is not one"),
        ((["a"],), {"fields": []}, "fields is given twice"),
    ],
)
def test_a_method_refuses_unknown_parameters(
    positional: tuple[Any, ...], named: dict[str, Any], named_in_error: str
) -> None:
    commands = Commands(lambda name, data: pytest.fail("it was sent"))
    with pytest.raises(TypeError, match=named_in_error):
        commands.get_fields(*positional, **named)


def test_help_contains_the_declaration() -> None:
    method = Commands(lambda *_: None).get_fields
    lines = (inspect.getdoc(method) or "").splitlines()
    assert lines[0] in COMMANDS["get_fields"].doc
    # Each parameter is on a line of its own, which says whether it may be left out.
    assert [line for line in lines if line.startswith("fields:")]
    assert [line for line in lines if line.startswith("webui (optional):")]


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: [*inspect.signature(one).parameters] for name, one in found if not name.startswith("_")}

    sync, aio = methods(Client), methods(AsyncClient)
    # The iterator of AsyncClient ends with the caller's time-out, so it has no `timeout`.
    assert sync.pop("events") == [*aio.pop("events"), "timeout"]
    assert sync == aio


def test_every_error_of_the_server_ends_the_command_line_with_a_code_of_its_kind() -> None:
    for code, status in error_codes().items():
        number = exit_code(client.UiapiError(code, "", status=status))
        assert number in EXIT_CODES and (number != 1 or status in (405, 429, 500, 507, 423)), code


def test_the_version_is_pyprojects_everywhere() -> None:
    assert client.__version__ == VERSION == generate.version()
    assert generate.SERVER_VERSION.read_text() == generate.server_version()


def test_a_new_version_is_copied_from_pyproject_to_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "version", lambda: "7.8.9")
    assert 'VERSION = "7.8.9"\nPROTOCOL' in generate.server_version()
    assert json.loads(generate.table())["version"] == "7.8.9"


def test_server_client_and_page_have_the_same_protocol_version() -> None:
    page = re.search(
        r"^export const PROTOCOL = (\d+);$", (generate.ROOT / "web/connection/transport.js").read_text(), re.MULTILINE
    )
    assert page and int(page[1]) == client_socket.PROTOCOL == PROTOCOL
