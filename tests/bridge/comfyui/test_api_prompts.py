"""Tests of API exports with nodes of unknown type, and with NaN and Infinity."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.comfyui.api_prompts import is_api_node, unknown_needed, without_idle
from comfyui_uiapi.bridge.protocol.codec import decode_object, decode_objects
from comfyui_uiapi.common.errors import UiapiError


class Output:
    OUTPUT_NODE = True


CLASSES = {"SaveImage": Output, "EmptyImage": object, "ImageInvert": object}
MISSING: dict[str, Any] = {
    "inputs": {"UNKNOWN": "other.safetensors"},
    "class_type": None,
    "_meta": {"title": "Lost"},
}


def export(images: str) -> dict[str, Any]:
    """A picture, a node of unknown type that uses it, and a result that uses the named node."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64}},
        "29:8": {**MISSING, "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "ImageInvert", "inputs": {"image": ["29:8", 0]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": [images, 0]}},
    }


def test_a_node_of_unknown_type_that_no_output_needs_is_left_out_of_a_run() -> None:
    prompt, idle = without_idle(export("1"), CLASSES)
    assert idle == ["29:8"] and sorted(prompt) == ["1", "3", "4"]
    assert unknown_needed(prompt) is None


def test_a_node_of_unknown_type_that_an_output_needs_is_named() -> None:
    prompt, idle = without_idle(export("3"), CLASSES)
    refusal = unknown_needed(prompt)
    assert idle == [] and refusal is not None
    assert (refusal.code, refusal.details) == ("invalid", {"nodes": ["29:8"]})
    assert 'node #29:8 "Lost"' in refusal.message


def test_a_prompt_of_known_types_stays_as_it_is() -> None:
    prompt = {"1": {"class_type": "NotInstalled", "inputs": {"image": ["7", 0]}}, "2": {"class_type": []}}
    assert without_idle(prompt, CLASSES) == (prompt, [])


@pytest.mark.parametrize(
    ("node", "known"),
    [
        ({"class_type": "A"}, True),
        ({"class_type": None, "inputs": {}}, True),
        ({"inputs": {}, "_meta": {}}, True),
        ({"inputs": {}}, False),
        ({"class_type": 3}, False),
        ({"class_type": "A", "inputs": []}, False),
        ("A", False),
    ],
)
def test_a_node_of_an_export_is_recognized_by_its_form(node: Any, known: bool) -> None:
    assert is_api_node(node) is known


NAN = '{"1": {"class_type": "EmptyImage", "is_changed": [NaN], "inputs": {"a": -Infinity, "b": [Infinity, "NaN"]}}}'
READ = {"1": {"class_type": "EmptyImage", "is_changed": [None], "inputs": {"a": None, "b": [None, "NaN"]}}}


def test_numbers_that_json_has_not_are_null_in_a_workflow_as_in_the_page() -> None:
    assert decode_object(f'{{"workflow": {NAN}}}') == {"workflow": READ}
    assert decode_object(f'{{"workflow": {NAN}}}'.encode()) == {"workflow": READ}
    frame = f'{{"type": "request", "id": "r", "command": "load_workflow", "data": {{"workflow": {NAN}}}}}'
    assert decode_object(frame)["data"] == {"workflow": READ}
    assert decode_objects(f"[{frame}]")[0]["data"] == {"workflow": READ}


@pytest.mark.parametrize(
    "text", ['{"fields": [["a", NaN]]}', '{"workflow": {"a": NaN}, "name": Infinity}', '{"workflow": NaN', "[NaN]"]
)
def test_numbers_that_json_has_not_are_refused_elsewhere(text: str) -> None:
    with pytest.raises(UiapiError) as caught:
        decode_object(text)
    assert caught.value.code == "malformed"


async def test_a_workflow_with_nan_reaches_the_tab_as_json_with_null(server: Any) -> None:
    tab = await server.tab()
    seen: list[Any] = []

    def answer(data: Any) -> Any:
        seen.append(data["workflow"])
        return {"loaded": True, "message": "Loaded."}

    tab.on("load_workflow", answer)
    headers = {"Content-Type": "application/json"}
    body = f'{{"workflow": {NAN}}}'
    async with server.session.post(server.url("/uiapi/load_workflow"), data=body, headers=headers) as response:
        assert (response.status, seen) == (200, [READ]), await response.text()


async def test_a_run_without_a_tab_leaves_out_unneeded_nodes_with_a_warning(server: Any, queued: Any) -> None:
    status, body = await server.post("run", {"workflow": export("1"), "wait": False})
    assert (status, sorted(queued[0])) == (200, ["1", "3", "4"])
    assert 'node #29:8 "Lost"' in body["response"]["warnings"][0]


async def test_a_run_without_a_tab_that_needs_a_node_of_unknown_type_is_refused_by_its_name(
    server: Any, queued: Any
) -> None:
    status, body = await server.post("run", {"workflow": export("3"), "wait": False})
    assert (status, body["code"], queued) == (422, "invalid", [])
    assert 'node #29:8 "Lost"' in body["error"]


async def test_validate_names_a_node_of_unknown_type_only_where_an_output_needs_it(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Any] = []

    async def validate(self: Comfy, prompt_id: str, prompt: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        checked.append(sorted(prompt))
        return True, None, {}

    monkeypatch.setattr(Comfy, "validate", validate)
    body = (await server.post("validate", {"workflow": export("1")}))[1]["response"]
    assert (body["valid"], checked, body["missing_node_types"]) == (True, [["1", "3", "4"]], [])
    assert "#29:8" in body["warnings"][0]
    body = (await server.post("validate", {"workflow": export("3")}))[1]["response"]
    assert (body["valid"], len(checked), body["missing_node_types"]) == (False, 1, [])
    assert 'node #29:8 "Lost"' in body["error"]["message"]


@pytest.fixture(autouse=True)
def classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Comfy, "node_classes", CLASSES)


@pytest.fixture
async def queued(server: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The prompt that was queued."""
    seen: list[Any] = []

    async def queue_prompt(self: Comfy, prompt: dict[str, Any], targets: list[str] | None = None) -> dict[str, Any]:
        seen.append(prompt)
        return {"prompt_id": "p1", "number": 1, "node_errors": {}}

    monkeypatch.setattr(Comfy, "queue_prompt", queue_prompt)
    return seen
