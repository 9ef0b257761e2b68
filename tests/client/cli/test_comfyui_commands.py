"""The commands of the command line about ComfyUI itself."""

from __future__ import annotations

import json

from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

from .conftest import Uiapi

MEMORY = {
    "devices": [{"name": "cuda:0 Test", "type": "cuda", "index": 0, "vram_total": 8 * 2**30, "vram_free": 2**30}],
    "ram_total": 16 * 2**30,
    "ram_free": 2**30,
}
SYSTEM = {**MEMORY, "comfyui_version": "0.9", "os": "Linux", "queue_running": 1, "queue_waiting": 2}


def answers(scripted: Scripted, command: str, response: object) -> None:
    scripted.answers[command] = {"response": response}


async def test_system_shows_versions_memory_and_queue(scripted: Scripted, talk: Uiapi) -> None:
    answers(scripted, "system", SYSTEM)
    ended = await talk("system")
    for words in (("comfyui", "0.9"), ("cuda", "of"), ("memory", "free"), ("queue", "1 running, 2 waiting")):
        assert any(all(word in line for word in words) for line in ended.out.splitlines()), words
    assert json.loads((await talk("system", "--json")).out) == SYSTEM


async def test_free_says_what_was_done(scripted: Scripted, talk: Uiapi) -> None:
    answers(scripted, "free_memory", {**MEMORY, "freed": False, "after": ["p1"], "message": "Later."})
    ended = await talk("free", "--keep-cache")
    assert ended.out == "Later.\n"
    assert scripted.bodies[-1] == {"cache": False}


async def test_refresh_shows_which_lists_have_changed(scripted: Scripted, talk: Uiapi) -> None:
    changed = {"type": "Loader", "input": "name", "added": ["a.safetensors"], "removed": [], "total": 1, "fields": []}
    answers(scripted, "refresh_models", {"refreshed": True, "changed": [changed]})
    assert "Loader.name" in (await talk("refresh")).out
    answers(scripted, "refresh_models", {"refreshed": True, "changed": []})
    assert (await talk("refresh")).out == "Nothing has changed.\n"


async def test_logs_prints_the_lines(scripted: Scripted, talk: Uiapi) -> None:
    answers(scripted, "logs", {"lines": [{"time": "t", "text": "one"}, {"time": "t", "text": "two"}], "total": 2})
    assert (await talk("logs", "--lines", "2")).out == "one\ntwo\n"


async def test_templates_are_listed_and_opened(scripted: Scripted, talk: Uiapi) -> None:
    one = {"name": "flux", "title": "Flux", "pack": None, "category": "Image"}
    answers(scripted, "list_templates", {"templates": [one], "total": 1})
    assert "Flux" in (await talk("templates", "flux", "image")).out
    assert scripted.bodies[-1]["query"] == "flux image"
    scripted.answers["open_template"] = {"loaded": True, "message": "Shown.", "missing_models": [{"name": "a.gguf"}]}
    ended = await talk("template", "flux")
    assert ended.out == "Shown.\nThe model a.gguf is missing.\nDownload them with: uiapi download\n"
