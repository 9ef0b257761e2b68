"""What a worker of a farm does with a prompt whose sweep is cancelled while the prompt is on its way to ComfyUI."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from comfyui_uiapi.client.farm.comfyui.connection import ComfyUI, Refused
from comfyui_uiapi.client.farm.job import Job
from comfyui_uiapi.client.farm.machine import Machine
from comfyui_uiapi.client.protocol.address import Address

JOB = Job(sweep_id="s", connection=1, index=0, prompt_id="p", prompt={})


class Slow(ComfyUI):
    """A ComfyUI that a prompt reaches once `arrives` is set.

    Attributes:
        sent: set when a prompt is on its way.
        queued: the IDs in its queue.
        refuses: whether it refuses prompts.
    """

    def __init__(self) -> None:
        super().__init__(Address.of("http://127.0.0.1:1", None))
        self.sent, self.arrives = asyncio.Event(), asyncio.Event()
        self.queued: set[str] = set()
        self.refuses = False

    async def queue(self, prompt_id: str, prompt: Mapping[str, Any], workflow: Mapping[str, Any] | None) -> str:
        self.sent.set()
        await self.arrives.wait()
        if self.refuses:
            raise Refused({})
        self.queued.add(prompt_id)
        return prompt_id

    async def withdraw(self, prompt_id: str) -> None:
        self.queued.discard(prompt_id)


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_prompt_on_its_way_is_removed_before_its_sweep_counts_as_cancelled(refuses: bool) -> None:
    place = Slow()
    place.refuses = refuses
    machine = Machine(place)
    with machine.working(JOB) as work:
        sending = asyncio.create_task(work.queue(place, {}))
        await place.sent.wait()
        cancelling = asyncio.create_task(machine.cancel("s", 1))
        while not work.is_cancelled():  # noqa: ASYNC110 - it sets no event
            await asyncio.sleep(0)
        place.arrives.set()
        await asyncio.wait({sending, cancelling})
        assert await cancelling == 1 and place.queued == set()
        if refuses:
            with pytest.raises(Refused):
                await sending
        else:
            assert await sending


async def test_a_prompt_whose_sweep_was_cancelled_is_not_sent_any_more() -> None:
    place = Slow()
    place.arrives.set()
    machine = Machine(place)
    with machine.working(JOB) as work:
        await machine.cancel("s", 1)
        assert not await work.queue(place, {})
    with machine.working(JOB) as later:
        assert not await later.queue(place, {})
    assert not place.sent.is_set()
