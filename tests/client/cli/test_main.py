"""Names and options that a person may get wrong, and the help of every subcommand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import typer
from aiohttp import web
from comfyui_uiapi.client.cli.app import app
from comfyui_uiapi.client.cli.main import QUICK, add_subcommands
from comfyui_uiapi.client.cli.workflow_commands import examples, files
from comfyui_uiapi.client.common.command_table import version
from comfyui_uiapi.tests.client.conftest import Ended
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.programs.installed_client import environment

Uiapi = Callable[..., Awaitable[Ended]]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["staus"], 2, "Did you mean 'status'"),
        (["get_fields"], 2, "uiapi call get_fields"),
        (["--url", "http://h", "get_fields"], 2, "uiapi call get_fields"),
        (["commands", "set_field"], 4, "Did you mean set_fields?"),
        (["watch", "outptu"], 7, "Did you mean output?"),
        (["watch", "webuis_*"], 7, "webui_connected"),
        (["shot", "canvas.mp4"], 7, "canvas.png"),
        (["set", "Prompt"], 7, "PATH=VALUE"),
    ],
)
async def test_a_wrong_name_is_an_error_that_names_the_right_one(
    scripted: Scripted, uiapi: Uiapi, words: list[str], code: int, says: str
) -> None:
    ended = await uiapi(*words)
    assert ended.code == code and scripted.seen == []
    assert says in ended.err


async def test_an_unknown_command_of_the_server_is_answered_with_the_nearest(scripted: Scripted, uiapi: Uiapi) -> None:
    await scripted.stop()
    ended = await uiapi("call", "get_feilds")
    assert ended.code == 4 and "Did you mean get_fields?" in ended.err


async def test_the_version_is_printed_without_a_server(uiapi: Uiapi) -> None:
    assert (await uiapi("--version")).out == f"uiapi {version()}\n"


@pytest.mark.parametrize("name", QUICK)
async def test_a_quick_subcommand_is_in_the_only_module_that_it_imports(place: Path, name: str) -> None:
    loaded = (
        f"import sys\nfrom uiapi.cli import main\nmain.add_subcommands({name!r})\n"
        f"names = [one.name or one.callback.__name__ for one in main.app.registered_commands]\n"
        f"assert {name!r} in names, names\nslow = {{'rich', 'asyncio', 'aiohttp'}} & {{*sys.modules}}\n"
        "assert not slow, slow\n"
        "print(sum(one.startswith('uiapi.cli.') and one.endswith(('_commands', '_command')) for one in sys.modules))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", loaded, env=environment(place, "http://127.0.0.1:9"), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert said == b"1\n"


async def test_the_help_of_the_command_line_lists_every_subcommand(uiapi: Uiapi) -> None:
    add_subcommands()
    said = (await uiapi("--help")).out
    assert all(f" {name} " in said for name in typer.main.get_group(app).commands)


def test_the_help_of_every_subcommand_has_an_example() -> None:
    add_subcommands()
    commands = typer.main.get_group(app).commands
    for name, command in commands.items():
        assert (command.epilog or "").startswith(f"Example: uiapi {name}"), name


async def test_a_loaded_workflow_is_named_after_its_file(scripted: Scripted, uiapi: Uiapi, tmp_path: Path) -> None:
    (tmp_path / "portrait.v2.json").write_text("{}")
    scripted.answers["load_workflow"] = {"loaded": True, "message": "Loaded."}
    await uiapi("--url", scripted.url, "load", str(tmp_path / "portrait.v2.json"))
    await uiapi("--url", scripted.url, "load", str(tmp_path / "portrait.v2.json"), "--name", "other")
    assert [body["name"] for body in scripted.bodies] == ["portrait.v2", "other"]


async def test_a_workflow_that_comes_with_the_client_is_loaded_by_its_name(scripted: Scripted, uiapi: Uiapi) -> None:
    scripted.answers["load_workflow"] = {"loaded": True, "message": "Loaded."}
    await uiapi("--url", scripted.url, "load", "--example", "canvas")
    assert (scripted.bodies[-1]["name"], scripted.bodies[-1]["workflow"]["1"]["class_type"]) == ("canvas", "EmptyImage")
    ended = await uiapi("load", "--example", "canvs")
    assert ended.code == 4 and "Did you mean canvas? The examples are canvas, photo, upscale." in ended.err
    assert (await uiapi("load")).code == (await uiapi("load", "a.json", "--example", "canvas")).code == 2
    assert examples("c") == ["canvas"]


def test_workflow_files_and_folders_are_completed(tmp_path: Path) -> None:
    for name in ("a.json", "ab.txt", ".hidden.json"):
        (tmp_path / name).write_text("")
    (tmp_path / "abc").mkdir()
    assert files(f"{tmp_path}/a") == [f"{tmp_path}/a.json", f"{tmp_path}/abc/"]
    assert files(f"{tmp_path}/") == [f"{tmp_path}/a.json", f"{tmp_path}/abc/"]
    assert files(f"{tmp_path}/none/x") == []


async def test_the_status_names_the_tab_or_says_how_to_open_one(scripted: Scripted, uiapi: Uiapi) -> None:
    known = {"pending_requests": 0, "active_downloads": 1, "pending_downloads": 2, "server_uptime": 90061.0}
    scripted.answers["connection_status"] = {**known, "webui_connected": False}
    lines = (await uiapi("--url", scripted.url, "status")).out.splitlines()
    assert lines[0].split() == ["ComfyUI", f"{scripted.url},", "running", "for", "1", "day", "1", "hour"]
    assert "2 waiting" in lines[3] and lines[-1] == f"No tab is connected: open {scripted.url} in a browser."
    tab = {"id": 3, "browser": "Chrome", "frontend_version": "1.2", "workflow_name": "w", "is_main": True}
    scripted.answers["connection_status"] = {**known, "webui_connected": True}
    scripted.answers["webuis"] = lambda request: web.json_response({"status": "ok", "response": [tab]})
    lines = (await uiapi("--url", scripted.url, "status")).out.splitlines()
    assert lines[1].rstrip().split(maxsplit=2) == ["tab", "3", "w (Chrome, frontend 1.2), the main tab"]
