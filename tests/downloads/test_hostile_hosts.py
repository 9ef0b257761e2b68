"""What a host sends that means harm, or makes no sense: said in a sentence, kept out of everything else, and over."""

from __future__ import annotations

import asyncio

import pytest
from comfyui_uiapi.downloads import web
from comfyui_uiapi.tests.downloads.conftest import Room
from comfyui_uiapi.tests.downloads.host import Host

# -- what never ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 404 No\r\nContent-Length: 100000\r\n\r\n"])
async def test_an_answer_that_trickles_is_given_up_although_it_is_never_silent(
    room: Room, host: Host, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(web, "ANSWER_TIMEOUT", 0.5)
    host.offer("/x.safetensors", trickle=beginning)
    entry = await asyncio.wait_for(room.fetch("x.safetensors", host.url("/x.safetensors")), 20)
    assert (entry["status"], entry["code"]) == ("error", "source_failed"), entry
    assert "slow" in entry["error"]
