"""Calls that outlast their answer, and the tools that only this server has."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client import AsyncClient, UiapiError
from comfyui_uiapi.client.mcp.calls import MAX_KEPT, Calls
from comfyui_uiapi.client.mcp.server import server as mcp_server
from comfyui_uiapi.client.mcp.work import Work
from comfyui_uiapi.tests.client.conftest import PNG
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from mcp import Client as Agent

FILE = {"node_id": "3", "filename": "a.png", "url": "/view?filename=a.png"}
RAN = {"status": "ok", "response": {"prompt_id": "p1", "outputs": [FILE]}}


@pytest.fixture
async def work(scripted: Scripted) -> AsyncIterator[Work]:
    """The tools of a local agent on a scripted server, which answers a command on the websocket when `say` does."""
    scripted.streams |= {name: lambda _: [] for name in ("run", "load_workflow")}
    scripted.answers["view"] = lambda _: web.Response(body=PNG)
    async with AsyncClient(scripted.url, reconnect=0) as client:
        calls = Calls(client)
        yield Work(calls, local=True)
        await calls.close()


async def event(scripted: Scripted, heard_by: str, name: str, **data: Any) -> None:
    await scripted.say({"type": "event", "request": heard_by, "event": name, "data": data})


async def until(check: Callable[[], Awaitable[Any]]) -> Any:
    """Wait until a check returns something, and return it."""

    async def repeat() -> Any:
        while not (found := await check()):  # noqa: ASYNC110 - the state of a call sets no event
            await asyncio.sleep(0)
        return found

    return await asyncio.wait_for(repeat(), 60)


async def sent(scripted: Scripted, command: str) -> str:
    """Wait for the frame of a command and return its id."""

    async def found() -> Any:
        return next((str(frame["id"]) for frame in scripted.frames if frame["command"] == command), None)

    return str(await until(found))


async def test_a_long_run_is_answered_with_a_ticket_and_later_with_its_pictures(scripted: Scripted, work: Work) -> None:
    [first] = await work.carry_out("run", {"wait": 0})
    known = json.loads(str(first))
    assert known["state"] == "under way" and "run_status" in known["next"]
    request = await sent(scripted, "run")
    await scripted.say({"type": "response", "id": request, **RAN})
    text, picture = await work.carry_out("run_status", {"ticket": known["ticket"]})
    assert json.loads(str(text))["prompt_id"] == "p1" and picture == (PNG, "image/png")
    # The answer may be lost on its way to the agent, which then asks again.
    assert await work.carry_out("run_status", {"ticket": known["ticket"]}) == [text, picture]
    assert scripted.commands().count("run") == 1


async def test_the_state_of_a_run_names_the_node_the_step_and_shows_the_preview(scripted: Scripted, work: Work) -> None:
    [first] = await work.carry_out("run", {"wait": 0})
    ticket = json.loads(str(first))["ticket"]
    request = await sent(scripted, "run")
    await event(scripted, request, "executing", node="3", title="Sampler", node_type="KSampler", prompt_id="p1")
    await event(scripted, request, "progress", node="3", value=5, max=20, prompt_id="p1")
    await event(scripted, request, "preview", node="3", mime="image/png", data=base64.b64encode(PNG).decode())

    async def shown() -> Any:
        parts = await work.carry_out("run_status", {"ticket": ticket, "wait": 0})
        return parts if len(parts) == 2 else None

    text, picture = await until(shown)
    assert "Sampler: step 5 of 20" in text and picture == (PNG, "image/png")


@pytest.mark.parametrize("command", ["run", "load_workflow"])
async def test_a_question_to_the_person_is_named_instead_of_a_time_out(
    scripted: Scripted, work: Work, command: str
) -> None:
    asking = asyncio.create_task(work.carry_out(command, {} if command == "run" else {"workflow": {}}))
    request = await sent(scripted, command)
    heard_by = request if command == "run" else await sent(scripted, "subscribe")
    await event(scripted, heard_by, "waiting_for_person", command=command, reason="approval", request=request)

    async def asked() -> bool:
        return "asked to allow" in str(await work.carry_out("run_status", {}))

    await until(asked)
    await scripted.say({"type": "response", "id": request, **RAN})
    await asking


async def test_a_call_whose_agent_has_given_up_goes_on_and_can_be_found(scripted: Scripted, work: Work) -> None:
    asking = asyncio.create_task(work.carry_out("run", {}))
    request = await sent(scripted, "run")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    [known] = json.loads(str((await work.carry_out("run_status", {}))[0]))["calls"]
    await scripted.say({"type": "response", "id": request, **RAN})
    text, _ = await work.carry_out("run_status", {"ticket": known["ticket"]})
    assert json.loads(str(text))["prompt_id"] == "p1"


async def test_an_error_after_the_ticket_is_answered_as_an_error(scripted: Scripted, work: Work) -> None:
    [first] = await work.carry_out("run", {"wait": 0})
    request = await sent(scripted, "run")
    failed = {"status": "error", "code": "execution_failed", "error": "Sampler failed."}
    await scripted.say({"type": "response", "id": request, **failed})
    with pytest.raises(UiapiError, match="Sampler failed"):
        await work.carry_out("run_status", {"ticket": json.loads(str(first))["ticket"]})


async def test_each_of_many_calls_at_once_has_its_own_revision(scripted: Scripted, work: Work) -> None:
    def answer(request: web.Request) -> dict[str, Any]:
        [path] = scripted.bodies[-1]["fields"]
        return {"revision": f"of {path}", path: 1}

    scripted.answers["get_fields"] = answer
    wanted = [f"Node.{number}" for number in range(20)]
    answers = await asyncio.gather(*(work.carry_out("get_fields", {"fields": [path]}) for path in wanted))
    for path, [part] in zip(wanted, answers, strict=True):
        assert json.loads(str(part))[path] == 1 and json.loads(str(part))["revision"] == f"of {path}"


async def test_progress_is_sent_to_an_agent_that_asks_for_it(scripted: Scripted, work: Work) -> None:
    news: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        news.append((progress, message))

    async with Agent(mcp_server(work)) as agent:
        asking = asyncio.create_task(agent.call_tool("run", {}, progress_callback=note))
        request = await sent(scripted, "run")
        await event(scripted, request, "progress", node="3", value=1, max=2, prompt_id="p1")

        async def arrived() -> bool:
            return bool(news)

        await until(arrived)
        await scripted.say({"type": "response", "id": request, **RAN})
        assert not (await asking).is_error
    assert news == [(1, "node 3: step 1 of 2")]


async def test_the_oldest_results_make_room(scripted: Scripted, work: Work) -> None:
    tickets = []
    for _ in range(MAX_KEPT + 5):
        call = work.calls.begin("undo", lambda _: asyncio.sleep(0, ["done"]))
        await call.task
        tickets.append(call.ticket)
    assert len(work.calls.states()) == MAX_KEPT + 1
    with pytest.raises(UiapiError, match="No call has this ticket"):
        await work.carry_out("run_status", {"ticket": tickets[0]})


@pytest.mark.parametrize("wait", [-1, 51, "long", True])
async def test_an_agent_waits_at_most_fifty_seconds(work: Work, wait: Any) -> None:
    with pytest.raises(UiapiError, match="from 0 to 50"):
        await work.carry_out("run", {"wait": wait})


async def test_an_output_is_shown_and_nothing_else_is_fetched(scripted: Scripted, work: Work) -> None:
    assert await work.carry_out("view_output", {"url": "/view?filename=a.png"}) == [(PNG, "image/png")]
    assert "no picture" in str(await work.carry_out("view_output", {"url": "/view?filename=a.mp4"}))
    before = len(scripted.seen)
    for url in ("/uiapi/model_urls", "http://elsewhere/view?filename=a.png", "//elsewhere/view?filename=a.png", None):
        with pytest.raises(UiapiError, match="begins with /view"):
            await work.carry_out("view_output", {"url": url})
    assert len(scripted.seen) == before


async def test_a_file_of_this_machine_is_uploaded_for_a_local_agent_only(
    scripted: Scripted, work: Work, tmp_path: Path
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(PNG)
    await work.carry_out("upload", {"field": "Load.image", "path": str(picture)})
    [[path, value]] = next(frame for frame in scripted.frames if frame["command"] == "set_fields")["data"]["fields"]
    assert path == "Load.image" and base64.b64decode(value["data"]) == PNG
    remote = Work(work.calls, local=False)
    for arguments, says in (
        ({"field": "Load.image", "path": str(picture)}, "send data instead"),
        ({"field": "Load.image"}, "one of path and data"),
    ):
        with pytest.raises(UiapiError, match=says):
            await remote.carry_out("upload", arguments)
    with pytest.raises(UiapiError, match="absolute path"):
        await work.carry_out("upload", {"field": "Load.image", "path": "a.png"})
