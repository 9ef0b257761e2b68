"""The commands run, validate, stop and watch of the command line, and the files they write."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client.cli import app
from comfyui_uiapi.client.cli.terminal import Terminal
from comfyui_uiapi.client.transport import event_thread
from comfyui_uiapi.tests.client.conftest import PNG
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.programs.installed_client import environment

from .conftest import Uiapi


@pytest.fixture
def makes(scripted: Scripted) -> Callable[..., None]:
    """Sets the output files of a run, as "subfolder/name"."""

    def make(*names: str) -> None:
        files = [
            {"node_id": "3", "filename": name.rpartition("/")[2], "url": f"/view?filename={name}"} for name in names
        ]
        answer = {"prompt_id": "p1", "execution_time": 1.5, "outputs": files}
        scripted.streams["run"] = lambda frame: [{"status": "ok", "response": answer}]
        scripted.answers["view"] = lambda request: web.Response(text=request.query["filename"])

    return make


def on_disk(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


# -- run --------------------------------------------------------------------------------------------------------


async def test_a_run_without_output_prints_the_urls_of_its_files(
    scripted: Scripted, talk: Uiapi, makes: Callable[..., None]
) -> None:
    makes("a.png")
    ended = await talk("run", "A.b=1", "--webui", "7", "--timeout", "60")
    assert (ended.code, ended.out) == (0, f"{scripted.url}/view?filename=a.png\nDone in 1.50 s.\n")
    assert scripted.frames[0]["data"] == {"fields": [["A.b", 1]], "timeout": 60.0, "webui": 7}
    assert scripted.seen == []


async def test_files_of_one_name_from_two_nodes_are_both_kept(
    talk: Uiapi, makes: Callable[..., None], place: Path
) -> None:
    makes("a/img_1_.png", "b/img_1_.png")
    ended = await talk("run", "-o", str(place), "--json")
    assert on_disk(place) == {"img_1_.png": "a/img_1_.png", "img_1__2.png": "b/img_1_.png"}
    assert json.loads(ended.out)["saved"] == [str(place / "img_1_.png"), str(place / "img_1__2.png")]


async def test_files_of_an_earlier_run_are_kept(talk: Uiapi, makes: Callable[..., None], place: Path) -> None:
    for run in ("first", "second"):
        makes(f"{run}/a.png")
        assert (await talk("run", "-o", str(place))).code == 0
    assert on_disk(place) == {"a.png": "first/a.png", "a_2.png": "second/a.png"}


async def test_a_name_with_a_slash_at_its_end_is_a_folder(talk: Uiapi, makes: Callable[..., None], place: Path) -> None:
    makes("a.png", "b.png")
    assert (await talk("run", "-o", f"{place}/new/er/")).code == 0
    assert on_disk(place / "new" / "er") == {"a.png": "a.png", "b.png": "b.png"}


async def test_a_file_has_the_given_name_and_the_suffix_of_its_format(
    talk: Uiapi, makes: Callable[..., None], place: Path
) -> None:
    makes("a.png", "b.mp4", "c.PNG")
    ended = await talk("run", "-o", str(place / "out.png"))
    assert on_disk(place) == {"out.png": "a.png", "out_2.mp4": "b.mp4", "out_3.png": "c.PNG"}
    assert ended.out.splitlines()[0] == f"Saved {place / 'out.png'}"
    makes("d.jpeg")
    await talk("run", "-o", str(place / "out.jpg"))
    assert on_disk(place)["out.jpg"] == "d.jpeg"


async def test_a_picture_is_converted_to_the_suffix_that_was_named_or_keeps_its_own(
    scripted: Scripted, talk: Uiapi, makes: Callable[..., None], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    makes("a.png")
    scripted.answers["view"] = lambda _: web.Response(body=PNG)
    assert (await talk("run", "-o", str(place / "out.jpg"))).out.splitlines()[0] == f"Saved {place / 'out.jpg'}"
    assert (place / "out.jpg").read_bytes().startswith(b"\xff\xd8")
    monkeypatch.setitem(sys.modules, "PIL", None)
    ended = await talk("run", "-o", str(place / "other.jpg"))
    assert ended.code == 0 and "pip install pillow" in ended.err
    assert ended.out.splitlines()[0] == f"Saved {place / 'other.png'}" and (place / "other.png").read_bytes() == PNG


async def test_a_value_that_a_run_does_not_use_as_it_is_is_a_warning(scripted: Scripted, talk: Uiapi) -> None:
    changed = {"A.width": {"requested": 99999, "value": 16384, "warnings": ["99999 is more than 16384."]}}
    answer = {"prompt_id": "p1", "execution_time": 1.5, "outputs": [], "set": changed}
    scripted.streams["run"] = lambda frame: [{"status": "ok", "response": answer}]
    ended = await talk("run", "A.width=99999")
    assert (ended.out, ended.err) == ("Done in 1.50 s.\n", "Warning: A.width: 99999 is more than 16384.\n")
    ended = await talk("run", "A.width=99999", "--json")
    assert json.loads(ended.out)["set"] == changed and ended.err == ""


async def test_a_file_that_was_named_is_replaced(talk: Uiapi, makes: Callable[..., None], place: Path) -> None:
    makes("a.png")
    (place / "out.png").write_text("before")
    await talk("run", "-o", str(place / "out.png"))
    assert on_disk(place) == {"out.png": "a.png"}


async def test_a_folder_that_is_named_with_a_slash_is_created_with_those_around_it(
    talk: Uiapi, makes: Callable[..., None], place: Path
) -> None:
    makes("a.png")
    for _ in range(2):
        await talk("run", "-o", f"{place}/new/inner/")
    assert on_disk(place / "new" / "inner") == {"a.png": "a.png"}


@pytest.mark.parametrize("output", ["none/a.png", "file/a.png", "file/"])
async def test_an_invalid_output_path_is_an_error_before_anything_runs(
    scripted: Scripted, talk: Uiapi, makes: Callable[..., None], place: Path, output: str
) -> None:
    makes("a.png")
    (place / "file").write_text("")
    ended = await talk("run", "-o", f"{place}/{output}")
    assert ended.code != 0 and "choose another path" in ended.err and "Traceback" not in ended.err
    assert scripted.frames == []


async def test_a_run_without_output_to_save_is_an_error(
    scripted: Scripted, talk: Uiapi, makes: Callable[..., None], place: Path
) -> None:
    makes()
    ended = await talk("run", "-o", str(place / "a.png"))
    assert ended.code == 8 and "SaveImage" in ended.err and on_disk(place) == {}
    assert (await talk("run")).out == "Done in 1.50 s.\n"


async def test_a_run_whose_file_is_gone_gives_a_script_its_prompt(
    scripted: Scripted, talk: Uiapi, makes: Callable[..., None], place: Path
) -> None:
    makes("a.png")
    scripted.answers["view"] = web.Response(status=404)
    ended = await talk("run", "-o", str(place), "--json")
    error = json.loads(ended.err)
    assert ended.code == 4 and error["code"] == "not_found" and error["details"]["prompt_id"] == "p1"


async def test_a_refused_run_ends_with_its_code(scripted: Scripted, talk: Uiapi) -> None:
    failed = {"status": "error", "code": "execution_failed", "error": "KSampler: no model."}
    scripted.streams["run"] = lambda frame: [failed]
    ended = await talk("run")
    assert (ended.code, ended.out, ended.err) == (8, "", "KSampler: no model.\n")


async def test_a_timeout_ends_with_nine(scripted: Scripted, talk: Uiapi) -> None:
    late = {"status": "error", "code": "timeout", "error": "The run took too long."}
    scripted.streams["run"] = lambda frame: [late]
    assert (await talk("run")).code == 9
    scripted.answers["get_fields"] = web.json_response({**late, "code": "tab_slow"}, status=504)
    assert (await talk("get", "a")).code == 9


# -- Ctrl-C -----------------------------------------------------------------------------------------------------


async def test_watching_ends_after_its_timeout_with_the_subscription(
    scripted: Scripted, talk: Uiapi, eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, say = [0.0], Terminal.say

    def say_for_an_hour(terminal: Terminal, text: str) -> None:
        say(terminal, text)
        now[0] += 3600

    monkeypatch.setattr(event_thread, "monotonic", lambda: now[0])
    monkeypatch.setattr(Terminal, "say", say_for_an_hour)
    watching = asyncio.ensure_future(talk("watch", "webui_*", "--timeout", "3600"))
    await eventually(lambda: "subscribe" in scripted.commands())
    await scripted.say({"type": "event", "event": "webui_1", "request": scripted.frames[0]["id"], "data": {"n": 1}})
    assert (await watching).out == 'webui_1  {"n": 1}\n'
    assert scripted.frames[0]["data"] == {"events": ["webui_*"], "paths": []}


@pytest.mark.parametrize(
    ("text", "ends", "sent"),
    [("/etc/hostname", 7, None), ("[]", 7, None), ('\ufeff{"1": {}}', 0, {"1": {}}), (' \n{"1": {}}', 0, {"1": {}})],
)
async def test_standard_input_is_a_workflow_and_never_the_name_of_one(
    scripted: Scripted, talk: Uiapi, text: str, ends: int, sent: dict[str, Any] | None
) -> None:
    scripted.answers["load_workflow"] = {"message": "Loaded."}
    assert (await talk("load", "-", stdin=text)).code == ends
    assert [body["workflow"] for body in scripted.bodies] == ([] if sent is None else [sent])


@pytest.mark.parametrize("words", [["status", "--url"], ["--url", "", "status"], ["--url= ", "status"]])
async def test_an_empty_url_is_not_replaced_by_the_default(uiapi: Uiapi, words: list[str]) -> None:
    assert (await uiapi(*words)).code == 2


async def test_invalid_utf8_is_refused(scripted: Scripted, talk: Uiapi) -> None:
    ended = await talk("set", os.fsdecode(b"a=\xff"))
    assert ended.code == 7 and "invalid UTF-8" in ended.err and scripted.seen == []


async def test_without_mcp_it_says_what_to_install(scripted: Scripted, place: Path) -> None:
    known = environment(place, scripted.url)
    (place / "path" / "mcp.py").write_text("raise ModuleNotFoundError('no mcp', name='mcp')")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uiapi", "mcp", env=known, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert (
        process.returncode == 1
        and said == b'This command needs mcp: pip install "comfyui-uiapi[mcp]", or pip install mcp.\n'
    )


# -- what reaches a terminal ------------------------------------------------------------------------------------

HOSTILE = "\x1b]52;c;ZXZpbA==\x07 \x9b31m [red]x[/nope] :fire: \x7f \ud83d a\tb"


async def test_titles_cannot_control_the_terminal(scripted: Scripted, talk: Uiapi) -> None:
    plain = "?]52;c;ZXZpbA==? ?31m [red]x[/nope] :fire: ? ? a"
    nodes = [{"path": HOSTILE, "type": "T", "widgets": [{"name": "w", "value": HOSTILE}]}]
    scripted.answers |= {
        "get_fields": lambda request: web.json_response({"status": "ok", "response": {"a": HOSTILE, "b": HOSTILE}}),
        "query_fields": {"nodes": nodes},
        "load_workflow": {"message": HOSTILE},
        "set_fields": web.json_response({"status": "error", "code": "unknown_path", "error": HOSTILE}, status=404),
    }
    outputs = [
        (await talk("get", "a")).out,
        (await talk("get", "a", "b")).out,
        (await talk("query")).out,
        (await talk("load", "-", stdin="{}")).out,
        (await talk("set", "a=1")).err,
    ]
    for text in outputs:
        assert plain in text and not {*text} & {*"\x1b\x07\x9b\x7f\ud83d"}


async def test_a_script_gets_the_same_titles_complete_and_in_ascii(scripted: Scripted, talk: Uiapi) -> None:
    scripted.answers["get_fields"] = {"a": HOSTILE}
    out = (await talk("get", "a", "--json")).out
    assert json.loads(out) == HOSTILE and out.isascii() and out.strip().isprintable()
    scripted.answers["get_fields"] = {"a": "größer"}
    assert (await talk("get", "a", "--json")).out == '"größer"\n'


async def test_a_progress_bar_shows_the_node_that_runs(
    scripted: Scripted, talk: Uiapi, makes: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    makes("a.png")
    answer = scripted.streams["run"]
    event = {"type": "event", "event": "executing", "data": {"node": "[/x]\x1b[2J"}}
    scripted.streams["run"] = lambda frame: [{**event, "request": frame["id"]}, *answer(frame)]
    monkeypatch.setenv("FORCE_COLOR", "1")
    ended = await talk("run")
    assert ended.code == 0 and "node [/x]?[2J" in ended.err


async def test_completions_contain_no_paths_with_characters_special_in_a_shell(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = ["x\\$(touch PWNED)", "`id`", "a;b", "a'b", 'a"b', "a\nb", "a\x1b", "Größe 2", "A[1]", "O/I"]
    scripted.answers["query_fields"] = {"nodes": [{"path": title, "widgets": [{"name": "w"}]} for title in titles]}
    monkeypatch.setenv("COMFYUI_URL", scripted.url)
    assert await asyncio.to_thread(app.paths, "") == ["Größe 2.w", "A[1].w", "O/I.w"]


async def test_a_run_that_waits_for_approval_says_so_also_when_piped(scripted: Scripted, talk: Uiapi) -> None:
    answer = {"prompt_id": "p1", "execution_time": 1.5, "outputs": []}
    scripted.streams["run"] = lambda frame: [
        {"type": "event", "event": "waiting_for_person", "request": frame["id"], "data": {"reason": "approval"}},
        {"status": "ok", "response": answer},
    ]
    ended = await talk("run")
    assert ended.code == 0 and ended.err == "Waiting for the person at the ComfyUI tab to approve this.\n"


async def test_a_number_for_a_text_field_is_sent_as_text_and_the_workflow_is_opened_once(
    scripted: Scripted, talk: Uiapi, tmp_path: Path
) -> None:
    (tmp_path / "w.json").write_text('{"1": {}}')
    wrong = {"status": "error", "code": "invalid", "error": "no", "details": {"path": "A.text", "expected": "string"}}
    done = {"status": "ok", "response": {"prompt_id": "p1", "execution_time": None, "outputs": []}}
    left = [wrong, done]
    scripted.streams["run"] = lambda frame: [left.pop(0)]
    assert (await talk("run", "A.text=123", "B.n=7", "-w", str(tmp_path / "w.json"))).code == 0
    first, second = (frame["data"] for frame in scripted.frames)
    assert (first["fields"], "workflow" in first) == ([["A.text", 123], ["B.n", 7]], True)
    assert (second["fields"], "workflow" in second) == ([["A.text", "123"], ["B.n", 7]], False)


async def test_a_field_that_takes_no_text_is_refused_after_one_request(scripted: Scripted, talk: Uiapi) -> None:
    wrong = {"path": "A.n", "expected": "number"}
    body = {"status": "error", "code": "invalid", "error": "A.n takes a number.", "details": wrong}
    scripted.answers["set_fields"] = lambda request: web.json_response(body, status=422)
    ended = await talk("set", "A.n=true")
    assert (ended.code, ended.err, len(scripted.seen)) == (7, "A.n takes a number.\n", 1)


async def test_an_invalid_workflow_ends_with_eight_and_its_reasons(scripted: Scripted, talk: Uiapi) -> None:
    errors = {"3": {"class_type": "KSampler", "errors": [{"message": "Too large", "details": "cfg"}]}}
    found = {"valid": False, "error": {}, "node_errors": errors, "missing_node_types": ["Odd"], "warnings": []}
    scripted.answers["validate"] = found
    ended = await talk("validate")
    assert ended.code == 8
    assert ended.out == "The node type Odd is not installed.\n#3 (KSampler) was not run: Too large: cfg\n"
    scripted.answers["validate"] = {**found, "valid": True, "node_errors": {}, "missing_node_types": []}
    ended = await talk("validate")
    assert (ended.code, ended.out) == (0, "The workflow is valid.\n")


async def test_stop_ends_the_run_and_with_all_also_those_that_wait(scripted: Scripted, talk: Uiapi) -> None:
    scripted.answers |= {"interrupt": {"interrupted": ["p1"]}, "queue_clear": {"cancelled": ["p2"]}}
    assert (await talk("stop")).out == "Stopping p1.\n"
    scripted.seen.clear()
    assert (await talk("stop", "--all")).out == "Removed p2 from the queue.\nStopping p1.\n"
    assert [request.path for request in scripted.seen] == ["/uiapi/queue_clear", "/uiapi/interrupt"]
    scripted.answers["interrupt"] = {"interrupted": []}
    assert (await talk("stop")).out == "Nothing runs.\n"


async def test_the_queue_and_the_steps_undone_are_shown(scripted: Scripted, talk: Uiapi) -> None:
    waiting = [{"prompt_id": "p2", "number": 2, "nodes": 5}]
    scripted.answers |= {"queue": {"running": [], "waiting": waiting}, "undo": {"done": 2}}
    assert (await talk("queue")).out.splitlines()[1].split() == ["waiting", "p2", "5"]
    assert (await talk("undo", "2")).out == "Undid 2 steps.\n" and scripted.bodies[-1] == {"steps": 2}
