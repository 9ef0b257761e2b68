"""Tests of commands on node types and the queue, which need no tab."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui.node_catalog import Catalogue


class Blur:
    CATEGORY, RETURN_TYPES, DESCRIPTION = "image/filters", ("IMAGE",), "Softens a picture."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"image": ("IMAGE",), "radius": ("INT", {"default": 3, "min": 1, "max": 31})},
            "optional": {"kind": (["box", "gauss"],), "mask": ("MASK", {"tooltip": "Where."})},
        }


class Save:
    CATEGORY, RETURN_TYPES, OUTPUT_NODE = "image", (), True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",)}}


class Broken:
    RETURN_TYPES = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        raise RuntimeError("a custom node that cannot describe itself")


CLASSES = {"Blur": Blur, "Save": Save, "Broken": Broken}
TITLES = {"Save": "Save Image"}


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    from comfyui_uiapi.bridge.comfyui.adapter import Comfy

    monkeypatch.setattr(Comfy, "node_classes", CLASSES)
    monkeypatch.setattr(Comfy, "node_titles", TITLES)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["Blur", "Save"]),
        ({"query": "save image"}, ["Save"]),
        ({"query": "softens"}, ["Blur"]),
        ({"query": "image"}, ["Save", "Blur"]),
        ({"category": "Image"}, ["Blur", "Save"]),
        ({"category": "image/filters"}, ["Blur"]),
        ({"category": "ima"}, []),
        ({"takes": "mask"}, ["Blur"]),
        ({"gives": "IMAGE"}, ["Blur"]),
        ({"query": "nothing like it"}, []),
    ],
)
def test_node_types_are_found_by_words_category_and_types(asked: dict[str, str], expected: list[str]) -> None:
    assert [kind.name for kind in Catalogue().search(CLASSES, TITLES, **asked)] == expected


def test_a_class_without_a_hash_or_a_title_that_is_no_text_is_found_like_any_other() -> None:
    equal = type("Equal", (type,), {"__eq__": lambda cls, other: True, "__hash__": None})
    classes = {**CLASSES, "Odd": equal("Odd", (Save,), {}), "Nameless": Save}
    titles: dict[str, Any] = {"Odd": 5, "Nameless": None}
    assert [kind.name for kind in Catalogue().search(classes, titles)] == ["Odd", "Blur", "Nameless", "Save"]


@pytest.mark.usefixtures("nodes")
async def test_a_node_type_is_described_with_ranges_and_choices(server: Any) -> None:
    status, body = await server.post("node_info", {"type": "Blur"})
    inputs = {item["name"]: item for item in body["response"]["inputs"]}
    assert status == 200 and body["response"]["outputs"] == [{"name": "IMAGE", "type": "IMAGE"}]
    assert inputs["radius"] == {"name": "radius", "type": "INT", "required": True, "default": 3, "min": 1, "max": 31}
    assert (inputs["kind"]["type"], inputs["kind"]["options"], inputs["kind"]["required"]) == (
        "COMBO",
        ["box", "gauss"],
        False,
    )


@pytest.mark.usefixtures("nodes")
async def test_a_node_type_that_fails_to_describe_itself_is_named_in_the_error(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    status, body = await server.post("node_info", {"type": "Broken"})
    assert (status, body["code"], body["details"]["exception_type"]) == (422, "execution_failed", "RuntimeError")
    assert "Broken" in body["error"] and "Traceback" in caplog.text


@pytest.mark.usefixtures("nodes")
async def test_an_unknown_node_type_is_a_404_with_the_nearest(server: Any) -> None:
    status, body = await server.post("node_info", {"type": "blur"})
    assert (status, body["code"], body["details"]["nearest"]) == (404, "unknown_node_type", ["Blur"])


@pytest.mark.usefixtures("nodes")
async def test_the_search_is_limited_and_returns_the_total(server: Any) -> None:
    _status, body = await server.post("search_nodes", {"limit": 1})
    assert (len(body["response"]["nodes"]), body["response"]["total"]) == (1, 2)


async def test_the_queue_is_listed_in_the_order_it_will_run(server: Any) -> None:
    queue = server.comfy.prompt_queue
    queue.running = [(1, "now", {"1": {}}, {}, [])]
    queue.waiting = [(3, "last", {}, {}, []), (2, "next", {}, {}, [])]
    _status, body = await server.get("queue")
    assert [item["prompt_id"] for item in body["response"]["waiting"]] == ["next", "last"]
    assert body["response"]["running"] == [{"prompt_id": "now", "number": 1, "nodes": 1}]


async def test_a_prompt_that_does_not_run_cannot_be_interrupted(server: Any) -> None:
    status, body = await server.post("interrupt", {"prompt_id": "other"})
    assert (status, body["code"]) == (409, "conflict")
    assert (await server.post("interrupt"))[1]["response"] == {"interrupted": []}


@pytest.mark.parametrize("workflow", [{"1": []}, {"1": {"inputs": []}}, {"nodes": []}, {"1": {"class_type": []}}])
async def test_a_workflow_in_another_format_is_refused_before_comfyui_gets_it(server: Any, workflow: Any) -> None:
    status, body = await server.post("validate", {"workflow": workflow})
    assert (status, body["code"]) == (422, "invalid")
