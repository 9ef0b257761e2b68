"""Tests of what the garbage collector examines: nothing that exists since the start, and no JSON that is decoded."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi import server
from comfyui_uiapi.bridge.app.bridge import Bridge
from comfyui_uiapi.bridge.protocol.codec import decode_object, decode_objects
from comfyui_uiapi.common.garbage import no_collection, spare_startup_objects
from comfyui_uiapi.downloads.api.lazy_loader import LazyDownloads


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    """The objects of the other tests are examined again afterwards."""
    yield
    gc.unfreeze()


class Collections:
    """Counts the collections while it is entered."""

    def __enter__(self) -> Collections:
        self.count = 0
        gc.callbacks.append(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, _: object) -> None:
        self.count += phase == "start"


class Loop:
    """Garbage that only a collection frees."""

    def __init__(self) -> None:
        self.own = self


def examined() -> int:
    """How many objects a full collection examines."""
    return len(gc.get_objects())


def test_objects_that_exist_since_the_start_are_not_examined_and_garbage_among_them_is_freed_before() -> None:
    with no_collection():
        garbage = Loop()
        freed = weakref.ref(garbage)
        del garbage
        before = examined()
        spare_startup_objects()
        assert examined() < before / 10 and freed() is None


async def test_comfyui_starts_to_serve_with_its_objects_excluded_from_collections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    async def start(_: Bridge) -> None:
        order.append("bridge")

    monkeypatch.setattr(Bridge, "start", start)
    monkeypatch.setattr(LazyDownloads, "__init__", lambda self, bridge: None)
    monkeypatch.setattr(server, "spare_startup_objects", lambda: order.append("objects"))
    prompt_server: Any = SimpleNamespace(app=web.Application(), routes=web.RouteTableDef())
    server.setup(prompt_server)
    await prompt_server.app.on_startup[-1](prompt_server.app)
    assert order == ["bridge", "objects"]


@pytest.mark.parametrize("decode", [decode_object, decode_objects])
def test_decoding_a_graph_of_thousands_of_objects_does_not_cause_one_collection_after_the_other(decode: Any) -> None:
    nodes = [{"id": number, "inputs": [], "outputs": [{"links": [number]}]} for number in range(5000)]
    text, broken = json.dumps({"nodes": nodes}), json.dumps({"workflow": {"nodes": nodes}, "x": float("nan")})
    with Collections() as collections:
        assert decode(text)
        with pytest.raises(Exception, match="valid JSON"):
            decode(broken)
    # One after each text, when the next object is created.
    assert collections.count <= 3 and gc.isenabled()


def test_collections_that_are_off_stay_off() -> None:
    gc.disable()
    try:
        with no_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
