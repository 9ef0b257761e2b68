"""What becomes of a command on its way: whom it is carried out for, what is noted of it, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.bridge.errors import UiapiError
from comfyui_uiapi.bridge.registry import Webuis
from comfyui_uiapi.bridge.waiting import outcome

from .conftest import Executor, House, Person

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
QUEUED = {"prompt_id": "p1", "number": 1, "node_errors": {}}


async def test_all_that_is_waited_for_is_answered_when_comfyui_ends(
    house: House, person: Person, executor: Executor, eventually: Eventually
) -> None:
    person.on("execute", QUEUED)
    executor.put()
    await person.ask("panel_decide", rules={"change": "once", "load": "always"})
    asked = {
        command: asyncio.create_task(house.post(command, data))
        for command, data in (
            ("run", {"idempotency_key": "k"}),
            ("get_workflow", {}),
            ("set_fields", {"fields": [["a", 1]]}),
            ("load_workflow", {"workflow": {"nodes": []}, "idempotency_key": "l"}),
        )
    }

    def under_way() -> bool:
        commands = [frame["command"] for frame in person.requests]
        return "get_workflow" in commands and commands.count("approve") == 2 and len(house.bridge.runs._runs) == 1

    await eventually(under_way)
    await house.bridge.close()
    answers = {command: await asyncio.wait_for(task, 5) for command, task in asked.items()}
    # What the tab had begun may have been done; the rest was not.
    assert {command: body["code"] for command, (_, body) in answers.items()} == {
        "run": "shutting_down",
        "get_workflow": "client_disconnected",
        "set_fields": "shutting_down",
        "load_workflow": "shutting_down",
    }
    assert answers["run"][1]["details"] == {"prompt_id": "p1"}


async def test_a_task_of_the_bridge_that_is_ended_leaves_nobody_without_an_answer() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    waiting, leaving = (asyncio.create_task(outcome(task)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled() and not task.done()
    task.cancel()
    with pytest.raises(UiapiError, match="ComfyUI is stopping"):
        await waiting


async def test_once_comfyui_ends_nobody_waits_for_a_tab_any_more() -> None:
    webuis = Webuis()
    webuis.close()
    for wait in (False, True):
        with pytest.raises(UiapiError) as caught:
            webuis.find(wait=wait)
        assert (caught.value.code, caught.value.status) == ("shutting_down", 503)
