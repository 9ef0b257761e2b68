"""Outputs and errors in ComfyUI's history, as the farm reads them."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui import outputs as server
from comfyui_uiapi.client.farm.comfyui.history import error_of, may_run_elsewhere, outputs_of, refusal_of

NODES = {
    "1": {"class_type": "SaveImage", "inputs": {}, "_meta": {"title": "Result"}},
    "2": {"class_type": "ShowText", "inputs": {}},
}


def entry(outputs: dict[str, Any], *messages: Any, status: str = "success") -> dict[str, Any]:
    return {
        "prompt": [0, "id", NODES, {}, ["1"]],
        "outputs": outputs,
        "status": {"status_str": status, "messages": [*messages]},
    }


@pytest.mark.parametrize(
    "outputs",
    [
        {"1": {"images": [{"filename": "a b.png", "subfolder": "x", "type": "temp"}], "animated": [True]}},
        {"1": {"gifs": [{"filename": "a.mp4", "format": "video/h264-mp4"}]}, "2": {"text": ["a", "b"]}},
        {"2": {"text": ["one", 2, None, {"a": 1}]}},
        {"2": {"text": ["w", "o", "r", "d"]}},
        {"1": {"result": ["3d\\model.GLB", None, "no model"]}},
        {"1": None, "2": {"text": "bare"}, "9": {"images": []}},
    ],
)
def test_the_farm_reads_outputs_as_the_server_does(outputs: dict[str, Any]) -> None:
    assert outputs_of(entry(outputs)) == server.outputs_of(entry(outputs))


def test_the_error_of_a_node_is_one_sentence() -> None:
    data = {"node_id": 1, "node_type": "SaveImage", "exception_message": "Disk is full.\nMore"}
    error = error_of(entry({}, ["execution_error", data], status="error"), "id")
    assert error is not None
    assert (error["code"], error["message"]) == ("execution_failed", "Result (#1) failed: Disk is full.")
    assert error_of(entry({}), "id") is None


def test_an_interrupted_prompt_is_no_failure_of_a_node() -> None:
    error = error_of(entry({}, ["execution_interrupted", {}], status="error"), "id")
    assert error is not None and error["code"] == "execution_interrupted"


def refused(*kinds: str, general: str = "prompt_outputs_failed_validation") -> dict[str, Any]:
    errors = [{"type": kind, "message": "Value not in list", "details": "name"} for kind in kinds]
    nodes = {"1": {"class_type": "Loader", "errors": errors}} if kinds else {}
    return {"error": {"type": general, "message": "Prompt outputs failed validation"}, "node_errors": nodes}


@pytest.mark.parametrize(
    ("answer", "elsewhere"),
    [
        (refused("value_not_in_list"), True),
        (refused("value_not_in_list", "value_bigger_than_max"), False),
        (refused(general="prompt_no_outputs"), False),
        (refused(general="missing_node_type"), True),
        ({"error": "ComfyUI returned HTTP 500"}, False),
    ],
)
def test_only_lists_and_node_types_differ_between_machines(answer: dict[str, Any], elsewhere: bool) -> None:
    assert may_run_elsewhere(answer) is elsewhere


def test_a_refusal_names_the_nodes_and_their_reasons() -> None:
    assert refusal_of(refused("value_not_in_list"))["message"] == (
        "ComfyUI would not run this: #1 (Loader): Value not in list: name."
    )
    assert refusal_of(refused())["message"] == "ComfyUI would not run this: Prompt outputs failed validation."
