"""The subcommand doctor: its table, its exit codes, and what --fix sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

from .conftest import Uiapi

LONG = f"Log in at {'very-long-name.' * 8}example, accept the licence of the model, and set a token in the settings."


def model(name: str, state: str, step: str | None, fix: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "directory": "loras", "state": state, "size": None, "next": step, "fix": fix, **more}


DOWNLOAD = {"command": "download_models", "data": {"only": ["a.safetensors"]}}
RELINK = {"command": "relink_models", "data": {}}
ILL = {
    "ready": False,
    "nodes": [{"type": "Blur", "count": 2, "next": "Install Blurs with ComfyUI-Manager.", "fix": None}],
    "models": [
        model("a.safetensors", "found", "Download it from hf.co.", DOWNLOAD, size=2_000_000),
        model("b.safetensors", "relink", "Set its widgets to s/b.safetensors.", RELINK),
        model("c.safetensors", "gated", LONG),
        model("d.safetensors", "present", None),
    ],
    "disks": [{"next": None}, {"next": "Free 2.00 GB on the disk of /models."}],
    "fixes": [RELINK, DOWNLOAD],
    "left": 2,
}
WELL = {"ready": True, "nodes": [], "models": [model("a.safetensors", "present", None)], "disks": [], "fixes": []}


async def test_every_lack_is_listed_with_its_next_step_in_full(
    scripted: Scripted, talk: Uiapi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    scripted.answers["doctor"] = ILL
    ended = await talk("doctor")
    assert (ended.code, ended.err) == (8, "")
    assert [line.split() for line in ended.out.splitlines()] == [
        ["missing", "node", "count", "next", "step"],
        ["Blur", "2", *"Install Blurs with ComfyUI-Manager.".split()],
        ["model", "folder", "state", "size", "next", "step"],
        ["a.safetensors", "loras", "found", "2", "MB", *"Download it from hf.co.".split()],
        ["b.safetensors", "loras", "relink", *"Set its widgets to s/b.safetensors.".split()],
        ["c.safetensors", "loras", "gated", *LONG.split()],
        ["d.safetensors", "loras", "present"],
        "Free 2.00 GB on the disk of /models.".split(),
        "Missing: 2 can be fixed with uiapi doctor --fix, 2 need a person.".split(),
    ]
    assert scripted.bodies == [{}]


async def test_a_workflow_that_lacks_nothing_is_a_success(scripted: Scripted, talk: Uiapi, place: Path) -> None:
    (place / "w.json").write_text('{"1": {}}', "utf-8")
    scripted.answers["doctor"] = WELL
    ended = await talk("doctor", str(place / "w.json"))
    assert ended.code == 0 and ended.out.splitlines()[-1] == "Nothing is missing."
    assert scripted.bodies == [{"workflow": {"1": {}}}]
    assert json.loads((await talk("doctor", "--json")).out) == WELL


async def test_fix_sends_every_fix_and_examines_again(scripted: Scripted, talk: Uiapi, place: Path) -> None:
    (place / "w.json").write_text('{"1": {}}', "utf-8")
    found = [ILL, WELL]
    scripted.answers |= {
        "doctor": lambda request: web.json_response({"status": "ok", "response": found.pop(0)}),
        "download_models": {"download_id": "d1"},
        "d1": {"status": "completed", "completed": True, "progress": {"a": {"status": "success", "path": "/m/a"}}},
    }
    ended = await talk("doctor", str(place / "w.json"), "--fix")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "Nothing is missing.")
    sent = [request.path.rpartition("/")[2] for request in scripted.seen]
    assert sent == ["doctor", "relink_models", "download_models", "d1", "doctor"]
    assert scripted.bodies[2] == {"only": ["a.safetensors"], "workflow": {"1": {}}}


async def test_a_fix_that_fails_leaves_the_others_and_is_reported(scripted: Scripted, talk: Uiapi) -> None:
    failed = {"a": {"status": "error", "error": "The host is down."}}
    refused = {"status": "error", "code": "conflict", "error": "The graph is busy."}
    scripted.answers |= {
        "doctor": ILL,
        "relink_models": web.json_response(refused, status=409),
        "download_models": {"download_id": "d1"},
        "d1": {"status": "error", "completed": True, "progress": failed},
    }
    ended = await talk("doctor", "--fix")
    assert ended.code == 8 and ended.out.splitlines()[-1].startswith("Missing: ")
    assert ended.err == "Warning: The graph is busy.\nWarning: The host is down.\n"
    scripted.answers["relink_models"] = web.json_response(refused, status=409)
    assert json.loads((await talk("doctor", "--fix", "--json")).out)["failures"] == [
        "The graph is busy.",
        "The host is down.",
    ]
