"""Checks answers of a running server against the documented forms."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from comfyui_uiapi.common.errors import STATUS
from comfyui_uiapi.tests.harness.comfy.workflows import picture

# Sends one command and returns its HTTP status (None over the websocket) and its envelope.
SendRequest = Callable[..., Coroutine[Any, Any, tuple[int | None, dict[str, Any]]]]

NUMBER = (int, float)
NODE = {"id": str, "type": str, "title": str, "inputs": [str], "outputs": [str]}
WRITTEN = {"requested": object, "value": object, "warnings": list}
PROMPT = {"workflow": {"nodes": [dict]}, "output": dict}
FILE = {"node_id": str, "title": str, "filename": str, "subfolder": str, "type": str, "url": str}
QUEUED = {"prompt_id": str, "number": NUMBER, "node_errors": dict}

# Every graph route but those that a person answers: a request that fits `picture`, and the form of its answer.
GRAPH: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "load_workflow": ({"workflow": picture()}, {"loaded": bool, "message": str}),
    "get_workflow": ({}, {"response": {"workflow": PROMPT}}),
    "get_workflow_api": ({}, {"response": {"output": {"1": {"class_type": str, "inputs": dict}}}}),
    "get_fields": ({"fields": ["Canvas.width"]}, {"response": {"Canvas.width": int}}),
    "set_fields": ({"fields": [["Canvas.width", 40]]}, {"response": {"Canvas.width": WRITTEN}}),
    "set_connection": (
        {"field": ["Canvas.outputs[0]", "Result.inputs[0]"]},
        {"response": {"from": {"path": str}, "to": {"path": str}, "type": "IMAGE"}},
    ),
    "query_fields": ({}, {"response": {"nodes": [NODE]}}),
    "clear_nonexistant_models": ({}, {"message": str, "cleared_count": int, "cleared_fields": list}),
    "execute": ({}, {"response": QUEUED}),
    "run": ({}, {"response": {**QUEUED, "status": "success", "outputs": [FILE], "execution_time": NUMBER}}),
}


async def succeed(send_request: SendRequest, command: str, body: Any = None, **form: Any) -> dict[str, Any]:
    """Send a request that must succeed, check its envelope against the form, and return it."""
    status, envelope = await send_request(command, body)
    assert status in (None, 200), envelope
    fits(envelope, {"status": "ok", **form}, command)
    return envelope


async def fail(send_request: SendRequest, code: str, command: str, body: Any = None) -> dict[str, Any]:
    """Send a request that must fail with this code in the error envelope, and return its details."""
    status, envelope = await send_request(command, body)
    assert status in (None, STATUS[code]), envelope
    fits(envelope, {"status": "error", "error": str, "code": code}, command)
    assert envelope["error"][-1:] in ".!?" and "\n" not in envelope["error"], "not one sentence"
    assert envelope.keys() <= {"status", "error", "code", "details"}
    return dict(envelope.get("details", {}))


def fits(value: Any, form: Any, place: str) -> None:
    """Check a value against a form: a type (or several), a dict of forms by key, a list of one form, or a literal."""
    if isinstance(form, dict):
        assert isinstance(value, dict) and form.keys() <= value.keys(), f"{place}: {value!r}"
        for key, inner in form.items():
            fits(value[key], inner, f"{place}.{key}")
    elif isinstance(form, list):
        assert isinstance(value, list), f"{place}: {value!r}"
        for index, item in enumerate(value):
            fits(item, form[0], f"{place}[{index}]")
    elif isinstance(form, (type, tuple)):
        # True is a number in Python, but not in JSON.
        number = form is int or form == NUMBER
        assert isinstance(value, form) and not (number and isinstance(value, bool)), f"{place}: {value!r}"
    else:
        assert value == form, f"{place}: {value!r}"
