"""Downloads of a web app, which end with its permission, over HTTP and with a scripted tab."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.tests.bridge.conftest import Person, Server, tab_of_person
from comfyui_uiapi.tests.downloads.conftest import finished
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.models.model_sites import workflow
from comfyui_uiapi.tests.harness.programs.web_app import APP, SCRIPT, allow

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
HEADERS = {"Origin": APP, **SCRIPT}


@pytest.fixture
async def panel(server: Server) -> Person:
    """A tab with a panel, whose person has allowed the web app and agrees to all downloads."""
    tab = await tab_of_person(server)
    tab.on("approve", {"allowed": True})
    await allow(server, tab)
    return tab


def states(server: Server) -> dict[str, str]:
    """The state of each model that is downloaded."""
    service = server.bridge.downloads.service  # type: ignore[union-attr]
    return {name: entry["status"] for run in service.listed().values() for name, entry in run["progress"].items()}


def wanted(host: Host, *names: str) -> dict[str, Any]:
    return {"workflow": workflow(*((name, "loras", host.url(f"/{name}")) for name in names))}


@pytest.mark.parametrize("how", ["refused", "forgotten"])
async def test_what_a_web_app_downloads_is_paused_with_its_permission_and_the_person_can_resume_it(
    server: Server, panel: Person, host: Host, eventually: Eventually, how: str
) -> None:
    open_gate = asyncio.Event()
    for name in ("several.safetensors", "single.safetensors", "own.safetensors"):
        host.offer(f"/{name}", model_bytes(200_000), held=open_gate)
    status, several = await server.post("download_models", wanted(host, "several.safetensors"), headers=HEADERS)
    assert status == 200, several
    single = asyncio.create_task(server.post("download_model", host.wanted("single.safetensors"), headers=HEADERS))
    await eventually(lambda: [*states(server).values()] == ["downloading"] * 2)
    _, own = await server.post("download_models", wanted(host, "own.safetensors"))
    if how == "refused":
        await panel.send("panel_web_app", origin=APP, decision="refuse")
    else:
        await panel.send("panel_forget_web_app", origin=APP)
    assert (await single)[1]["code"] == "web_app_refused"
    await eventually(lambda: [*states(server).values()].count("paused") == 2)
    assert states(server)["own.safetensors"] != "paused"
    open_gate.set()
    assert (await finished(server, own["download_id"]))["status"] == "completed"
    assert states(server)["several.safetensors"] == states(server)["single.safetensors"] == "paused"
    answer = await panel.send("download_resume", download_id=several["download_id"])
    assert answer["status"] == "ok"
    assert (await finished(server, several["download_id"]))["status"] == "completed"


async def test_a_file_that_another_program_downloads_too_goes_on_for_that_one(
    server: Server, panel: Person, host: Host, eventually: Eventually
) -> None:
    open_gate = asyncio.Event()
    host.offer("/shared.safetensors", model_bytes(200_000), held=open_gate)
    await server.post("download_models", wanted(host, "shared.safetensors"), headers=HEADERS)
    _, own = await server.post("download_models", wanted(host, "shared.safetensors"))
    await eventually(lambda: host.asked("/shared.safetensors"))
    await panel.send("panel_web_app", origin=APP, decision="refuse")
    open_gate.set()
    assert (await finished(server, own["download_id"]))["status"] == "completed"
