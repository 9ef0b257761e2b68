"""The commands plan and download of the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

from .conftest import Uiapi

PLAN = {
    "verdict": "blocked",
    "totals": {"download": 1, "bytes": 2_000_000},
    "models": [
        {"name": "a.safetensors", "directory": "vae", "action": "blocked", "size": 2_000_000,
         "origin": "templates", "reason": {"message": "Log in first."}},
        {"name": "b.safetensors", "directory": "loras", "action": "present", "size": None, "reason": None},
    ],
}  # fmt: skip


async def test_a_plan_shows_its_obstacles(scripted: Scripted, talk: Uiapi, place: Path) -> None:
    scripted.answers["plan_downloads"] = PLAN
    (place / "w.json").write_text('\ufeff{"1": {}}', "utf-8")
    ended = await talk("plan", "--workflow", str(place / "w.json"))
    assert [line.split() for line in ended.out.splitlines()] == [
        ["model", "folder", "size", "from"],
        ["a.safetensors", "vae", "blocked", "2", "MB", "templates", "Log", "in", "first."],
        ["b.safetensors", "loras", "present", "?"],
        ["1", "to", "download,", "2", "MB:", "blocked."],
    ]
    assert scripted.bodies[-1] == {"workflow": {"1": {}}}
    assert json.loads((await talk("plan", "--json")).out) == PLAN


async def test_a_plan_with_a_search_shows_what_was_found_and_which_hosts_failed(
    scripted: Scripted, talk: Uiapi
) -> None:
    url = "https://huggingface.co/o/r/resolve/main/a.safetensors"
    found = {"url": url, "size": 2_000_000, "licence": "mit", "why": "It has the name."}
    lost = {"name": "a.safetensors", "directory": "vae", "action": "no_url", "size": None, "reason": None}
    failures = [{"host": "civitai.com", "code": "rate_limited", "message": "civitai.com limits the rate of requests."}]
    search = {"requests": 3, "complete": False, "failures": failures}
    scripted.answers["plan_downloads"] = {**PLAN, "models": [{**lost, "candidates": [found]}], "search": search}
    ended = await talk("plan", "--search")
    shown = " ".join(ended.out.split())
    assert f"a.safetensors {url} 2 MB mit It has the name." in shown
    assert "Not everything was searched: civitai.com limits" in shown
    assert scripted.bodies[-1] == {"search": True}
    await talk("plan", "--accept-found")
    assert scripted.bodies[-1] == {"accept": "found"}


def needs(scripted: Scripted, *names: str) -> None:
    """Sets the models that the workflow needs."""
    models = [{"name": name, "directory": "loras"} for name in names]
    scripted.answers["analyze_workflow"] = lambda request: web.json_response(
        {"status": "ok", "response": {"models": models}}
    )


def downloading(scripted: Scripted, *states: dict[str, Any]) -> None:
    left = [*states]
    scripted.answers |= {
        "download_models": {"download_id": "d1"},
        "d1": lambda request: web.json_response(left.pop(0) if len(left) > 1 else left[0]),
    }


HALF = {"status": "downloading", "bytes": 1, "total": 2}
BEGUN = {"status": "downloading", "completed": False, "progress": {"a": HALF}}
FAILED = {"status": "error", "error": "Log in."}
THERE = {"status": "success", "path": "/m/a"}


async def test_a_download_is_shown_with_the_paths_of_its_models(scripted: Scripted, talk: Uiapi) -> None:
    downloading(scripted, BEGUN, {"status": "completed", "completed": True, "progress": {"a": THERE}})
    needs(scripted, "a")
    ended = await talk("download", "a=https://h/a")
    assert ended.code == 0 and ended.out.splitlines()[1].split() == ["a", "success", "/m/a"]
    assert {"download_table": {"a": "https://h/a"}} in scripted.bodies


async def test_a_download_passes_on_what_is_wanted_of_searches(scripted: Scripted, talk: Uiapi) -> None:
    downloading(scripted, {"status": "completed", "completed": True, "progress": {}})
    assert (await talk("download", "--search")).code == 0
    assert (await talk("download", "--accept-found")).code == 0
    assert [body for body in scripted.bodies if body] == [{"search": True}, {"accept": "found"}]


@pytest.mark.parametrize(
    ("state", "ends", "says"),
    [
        ({"status": "paused", "completed": False, "progress": {}}, 1, "download_resume"),
        ({"status": "cancelled", "completed": True, "progress": {}}, 1, "cancelled"),
        ({"status": "completed", "completed": True, "progress": {"a": THERE, "b": {"status": "cancelled"}}}, 1, "b"),
        ({"status": "error", "completed": True, "progress": {"a": FAILED}}, 8, "Log in."),
        ({"status": "error", "completed": True, "error": "No room.", "progress": {}}, 8, "No room."),
    ],
)
async def test_an_incomplete_download_is_an_error(
    scripted: Scripted, talk: Uiapi, state: dict[str, Any], ends: int, says: str
) -> None:
    downloading(scripted, state)
    ended = await talk("download")
    assert ended.code == ends and says in ended.err and ended.out == ""


async def test_a_download_that_takes_too_long_is_cancelled(scripted: Scripted, talk: Uiapi) -> None:
    downloading(scripted, BEGUN)
    assert (await talk("download", "--timeout", "0.01")).code == 9
    assert scripted.seen[-1].path == "/uiapi/download_cancel" and scripted.bodies[-1] == {"download_id": "d1"}


# -- watch and words --------------------------------------------------------------------------------------------


async def test_a_url_of_a_model_may_follow_the_option_url(scripted: Scripted, talk: Uiapi) -> None:
    downloading(scripted, {"status": "completed", "completed": True, "progress": {"a": THERE}})
    needs(scripted, "a")
    assert (await talk("download", "--url", "a=https://h/a?x=1")).code == 0
    assert {"download_table": {"a": "https://h/a?x=1"}} in scripted.bodies


async def test_a_model_that_the_workflow_does_not_need_is_an_error_before_anything_is_downloaded(
    scripted: Scripted, talk: Uiapi
) -> None:
    needs(scripted, "detail.safetensors")
    ended = await talk("download", "details.safetensors=https://h/a")
    assert ended.code == 4 and "Did you mean detail.safetensors?" in ended.err
    assert [request.path for request in scripted.seen] == ["/uiapi/analyze_workflow"]


async def test_a_download_that_waits_for_a_url_says_so_once_also_when_piped(scripted: Scripted, talk: Uiapi) -> None:
    waits = {"status": "waiting_for_url", "completed": False, "progress": {"a": {"status": "waiting_for_url"}}}
    downloading(scripted, waits, waits, {"status": "completed", "completed": True, "progress": {"a": THERE}})
    ended = await talk("download")
    assert ended.code == 0 and ended.err.count("Waiting for a URL of a in the ComfyUI tab") == 1
