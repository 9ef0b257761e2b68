"""The command line: its output for people and scripts, and its exit codes."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.client.cli.arguments import Writes, assignment, hoisted
from comfyui_uiapi.client.common.errors import UiapiError
from comfyui_uiapi.tests.client.conftest import PNG, Ended

Uiapi = Callable[..., Awaitable[Ended]]

NODES = [
    {
        "id": "1",
        "type": "EmptyImage",
        "title": "Canvas",
        "inputs": [],
        "outputs": ["IMAGE"],
        "path": "Canvas",
        "widgets": [{"name": "width", "type": "number", "value": 64}, {"name": "[b]", "type": "text", "value": "a\nb"}],
    }
]


REST = [["requests", "0"], ["downloads", "0"]]


def written(data: dict[str, Any]) -> dict[str, Any]:
    return {path: {"requested": value, "value": value, "warnings": ["careful"]} for path, value in data["fields"]}


@pytest.fixture
async def tab(server: Any) -> Any:
    """A tab that responds to most commands."""
    tab = await server.tab()
    tab.on("get_fields", lambda data: {path: 64 for path in data["fields"]})
    tab.on("set_fields", written)
    tab.on("query_fields", {"nodes": NODES})
    tab.on("get_workflow", {"workflow": {"workflow": {"nodes": []}, "output": {"1": {}}}})
    tab.on("load_workflow", {"loaded": True, "message": "The page shows it."})
    return tab


# -- what is shown ----------------------------------------------------------------------------------------------


async def test_a_person_reads_values_and_tables_and_a_script_json(tab: Any, uiapi: Uiapi) -> None:
    assert (await uiapi("get", "Canvas.width")).out == "64\n"
    assert json.loads((await uiapi("--json", "get", "Canvas.width")).out) == 64
    assert [line.split() for line in (await uiapi("get", "a", "b")).out.splitlines()] == [
        ["field", "value"],
        ["a", "64"],
        ["b", "64"],
    ]
    assert json.loads((await uiapi("get", "a", "b", "--json")).out) == {"a": 64, "b": 64}


async def test_a_field_is_listed_with_its_path_value_and_node(tab: Any, uiapi: Uiapi) -> None:
    ended = await uiapi("query", "CANVAS")
    assert [line.split() for line in ended.out.splitlines()[1:]] == [
        ["Canvas.width", "64", "EmptyImage"],
        ["Canvas.[b]", "a", "b", "EmptyImage"],
    ]
    assert json.loads((await uiapi("query", "width", "--json")).out) == [
        {"path": "Canvas.width", "type": "EmptyImage", "value": 64}
    ]
    assert "'nothing'" in (await uiapi("query", "nothing")).out


async def test_written_values_are_shown_with_their_warnings(tab: Any, uiapi: Uiapi) -> None:
    ended = await uiapi("set", "a=1")
    assert ended.out.splitlines()[1].split() == ["a", "1"] and ended.err == "Warning: a: careful\n"
    fields = json.loads((await uiapi("set", "a=1", 'b="2"', "c=two", "d=[1]", "e==", "--json")).out)
    assert [one["value"] for one in fields.values()] == [1, "2", "two", [1], "="]
    assert "a" in json.loads((await uiapi("set", "-", "--json", stdin='{"a": null}')).out)


async def test_a_picture_is_sent_by_its_file(tab: Any, uiapi: Uiapi, tmp_path: Path, server: Any) -> None:
    (tmp_path / "p.png").write_bytes(PNG)
    shown = (await uiapi("set", f"Photo.image=@{tmp_path / 'p.png'}")).out
    [stored] = await asyncio.to_thread(lambda: [*Path(server.folders.get_input_directory()).iterdir()])
    assert stored.name.startswith("INPUT_Photo_") and stored.name in shown and stored.read_bytes() == PNG


async def test_a_workflow_is_loaded_and_saved(tab: Any, uiapi: Uiapi, tmp_path: Path) -> None:
    assert (await uiapi("save", str(tmp_path / "w.json"))).code == 0
    assert json.loads((tmp_path / "w.json").read_text()) == {"nodes": []}
    assert json.loads((await uiapi("save", "--api")).out) == {"1": {}}
    assert (await uiapi("load", str(tmp_path / "w.json"))).out == "The page shows it.\n"
    assert (await uiapi("load", "-", "--name", "n", stdin="{}")).code == 0
    assert tab.requests[-1]["data"] == {"workflow": {}, "name": "n"}


async def test_connections_are_shown(tab: Any, uiapi: Uiapi) -> None:
    lines = (await uiapi("status")).out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ComfyUI", lines[0].split()[1]],
        ["versions", "uiapi"],
        ["tab", str(tab.client_id)],
        *REST,
    ]
    assert json.loads((await uiapi("status", "--json")).out)["active_clients"] == 1
    assert json.loads((await uiapi("webuis", "--json")).out)[0]["id"] == tab.client_id


async def test_a_tab_can_be_addressed_wherever_the_option_stands(tab: Any, server: Any, uiapi: Uiapi) -> None:
    other = await server.tab()
    other.on("get_fields", {"a": "other"})
    assert (await uiapi("get", "a", "--webui", str(other.client_id))).out == "other\n"


async def test_any_command_can_be_called_by_its_name(tab: Any, uiapi: Uiapi) -> None:
    assert json.loads((await uiapi("call", "get_fields", '{"fields": ["a"]}')).out) == {"a": 64}
    assert json.loads((await uiapi("call", "get_fields", "-", stdin='{"fields": ["a"]}')).out) == {"a": 64}
    assert "Read fields" in (await uiapi("commands")).out and "Paths" in (await uiapi("commands", "get_fields")).out


async def test_a_batch_is_read_from_a_file_or_from_standard_input(tab: Any, uiapi: Uiapi, tmp_path: Path) -> None:
    change = {"kind": "widget", "path": "a", "value": 1}
    tab.on("batch", lambda data: {"results": [], "applied": not data["dry_run"], "changes": [change]})
    edits = json.dumps([{"command": "set_fields", "data": {"fields": [["a", 1]]}}])
    (tmp_path / "b.json").write_text(edits)
    assert "widget" in (await uiapi("batch", "-", "--dry-run", stdin=edits)).out
    assert json.loads((await uiapi("batch", str(tmp_path / "b.json"), "--json")).out)["applied"] is True


async def test_the_canvas_is_written_as_a_picture(tab: Any, uiapi: Uiapi, tmp_path: Path) -> None:
    tab.on("screenshot", {"png": "aGVsbG8=", "width": 1, "height": 1})
    assert (await uiapi("shot", str(tmp_path / "s.png"), "Canvas")).code == 0
    assert (tmp_path / "s.png").read_bytes() == b"hello" and tab.requests[-1]["data"] == {"nodes": ["Canvas"]}


async def test_the_canvas_has_the_format_of_its_suffix(tab: Any, uiapi: Uiapi, tmp_path: Path) -> None:
    tab.on("screenshot", {"png": base64.b64encode(PNG).decode(), "width": 1, "height": 1})
    ended = await uiapi("shot", str(tmp_path / "s.jpg"))
    assert ended.out == f"Saved {tmp_path / 's.jpg'}\n" and (tmp_path / "s.jpg").read_bytes().startswith(b"\xff\xd8")


async def test_events_are_shown_as_they_happen(server: Any, uiapi: Uiapi, eventually: Any) -> None:
    watching = asyncio.ensure_future(uiapi("watch", "webui_*", "--count", "2", "--json"))
    await eventually(lambda: len(server.bridge.subscriptions) == 1)
    for name in ("webui_1", "output", "webui_2"):
        server.bridge.publish(name, {"n": 1})
    lines = [json.loads(line) for line in (await watching).out.splitlines()]
    assert lines == [{"event": "webui_1", "data": {"n": 1}}, {"event": "webui_2", "data": {"n": 1}}]
    assert (await uiapi("watch", "--timeout", "0.01")).out == ""


async def test_texts_of_a_workflow_are_never_read_as_markup(server: Any, uiapi: Uiapi) -> None:
    tab = await server.tab()
    tab.on("get_fields", lambda data: {path: "[red]x[/nope]" for path in data["fields"]})
    assert (await uiapi("get", "a")).out == "[red]x[/nope]\n"
    assert "[red]x[/nope]" in (await uiapi("get", "a", "b")).out


# -- how it ends ------------------------------------------------------------------------------------------------


async def answer(tab: Any, code: str, message: str) -> None:
    frame = await tab.next()
    await tab.respond(frame["id"], status="error", code=code, error=message, details={"nearest": ["A.b"]})


@pytest.mark.parametrize(
    ("code", "ends"),
    [("unknown_path", 4), ("ambiguous_path", 6), ("invalid", 7), ("execution_failed", 8), ("tab_failed", 10)],
)
async def test_an_error_ends_with_the_exit_code_of_its_kind(server: Any, uiapi: Uiapi, code: str, ends: int) -> None:
    tab = await server.tab()
    asking = asyncio.ensure_future(uiapi("get", "a"))
    await answer(tab, code, "Try [A.b] instead.")
    ended = await asking
    assert (ended.code, ended.out, ended.err) == (ends, "", "Try [A.b] instead.\n")


async def test_a_script_gets_the_error_as_json(server: Any, uiapi: Uiapi) -> None:
    tab = await server.tab()
    asking = asyncio.ensure_future(uiapi("get", "a", "--json"))
    await answer(tab, "unknown_path", "no")
    assert json.loads((await asking).err) == {
        "status": "error",
        "error": "no",
        "code": "unknown_path",
        "details": {"nearest": ["A.b"]},
    }


async def test_without_a_tab_or_a_server_it_ends_with_three(uiapi: Uiapi) -> None:
    assert (await uiapi("get", "a")).code == 3
    nobody = await uiapi("--url", "http://127.0.0.1:1", "status")
    assert nobody.code == 3 and "COMFYUI_URL" in nobody.err


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        (["nonsense"], 2),
        (["get"], 2),
        (["set", "novalue"], 7),
        (["load", "no-such-file.json"], 7),
        (["call", "get_fields", "{"], 7),
        (["call", "get_fields", "[]"], 2),
        (["commands", "nonsense"], 4),
        (["call", "nonsense"], 4),
    ],
)
async def test_a_wrong_argument_ends_with_an_error(uiapi: Uiapi, words: list[str], ends: int) -> None:
    ended = await uiapi(*words)
    assert ended.code == ends and ended.err and "Traceback" not in ended.err


# -- words ------------------------------------------------------------------------------------------------------


def test_common_options_are_accepted_anywhere_before_two_dashes() -> None:
    assert hoisted(["get", "a", "--json", "--url", "u"]) == ["--json", "--url", "u", "get", "a"]
    assert hoisted(["get", "--", "--json"]) == ["get", "--", "--json"]
    assert hoisted(["get", "--url=u", "a"]) == ["--url=u", "get", "a"]


@pytest.mark.parametrize(
    ("word", "pair"),
    [
        ("a.b=1=2", ("a.b", "1=2")),
        ('"a=b".c=d', ('"a=b".c', "d")),
        ("a=", ("a", "")),
        ("a=line\nline", ("a", "line\nline")),
    ],
)
def test_a_path_ends_at_the_first_equals_sign_outside_quotes(word: str, pair: tuple[str, str]) -> None:
    assert assignment(word) == pair


@pytest.mark.parametrize("word", ["a", "=a", ""])
def test_an_argument_that_assigns_nothing_is_refused(word: str) -> None:
    with pytest.raises(UiapiError):
        Writes([word])


def test_without_typer_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('no typer', name='typer')")
    (tmp_path / "uiapi").symlink_to(Path(__file__).parents[3] / "client")
    command = [sys.executable, "-m", "uiapi", "status"]
    done = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 1 and "pip install typer rich" in done.stderr
