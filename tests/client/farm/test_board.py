"""What the scheduler of a farm remembers about prompts."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.client.farm import board
from comfyui_uiapi.client.farm.board import Board

AT: dict[str, Any] = {"url": "http://gpu1:8188", "host": "gpu1", "sweep": ("s", 1)}


async def test_only_one_of_two_tasks_for_the_same_prompt_may_begin_it() -> None:
    known = Board()
    assert await known.claimed("p") is None
    assert await known.claim("p", **AT, by="first", before=None) == "mine"
    assert await known.claim("p", **AT, by="second", before=None) == "taken"
    claim = await known.claimed("p")
    assert claim is not None and claim["by"] == "first" and claim["url"] == AT["url"]
    # It was looked for where the first one began it, and has to be run again.
    assert await known.claim("p", **AT, by="second", before="first") == "mine"
    assert await known.claim("p", **AT, by="third", before="first") == "taken"


async def test_a_worker_that_has_not_heard_the_answer_may_ask_again() -> None:
    known = Board()
    for _ in range(2):
        assert await known.claim("p", **AT, by="first", before=None) == "mine"
        await known.lose("p", by="first")
    claim = await known.claimed("p")
    assert claim is not None and claim["lost"] == 1


async def test_machines_that_are_lost_with_a_prompt_are_counted_over_its_tasks() -> None:
    known = Board()
    await known.lose("unknown", by="a")
    for before, by in ((None, "a"), ("a", "b"), ("b", "c")):
        assert await known.claim("p", **AT, by=by, before=before) == "mine"
        await known.lose("p", by=by)
    claim = await known.claimed("p")
    assert claim is not None and claim["lost"] == 3


async def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "MAX_CLAIMS", 3)
    known = Board()
    for number in range(5):
        await known.claim(str(number), **AT, by="x", before=None)
    assert [await known.claimed(str(number)) is not None for number in range(5)] == [False, False, True, True, True]


async def test_input_files_are_dropped_with_their_client() -> None:
    known = Board()
    for client in ("mine", "theirs"):
        known.add_client(None, client)
    await known.put_file("mine", "a.png", b"a")
    await known.put_file("theirs", "a.png", b"a")
    await known.put_file("mine", "b.png", b"b")
    known.remove_client(None, "mine")
    assert await known.get_file("a.png") == b"a" and await known.get_file("b.png") is None
    await known.drop_files("theirs", ["a.png"])
    assert await known.get_file("a.png") is None


async def test_a_file_that_comes_after_its_client_has_left_is_not_kept() -> None:
    known = Board()
    known.add_client(None, "mine")
    known.remove_client(None, "mine")
    await known.put_file("mine", "a.png", b"a")
    assert await known.get_file("a.png") is None
