"""A warning of the server is a UiapiWarning at the caller's line, and in the result, in both clients alike."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.client import AsyncClient, Client, UiapiWarning
from comfyui_uiapi.client.common.results import run_of
from comfyui_uiapi.tests.client.conftest import Blocking, Invoke, of_client
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

CLAMPED = {"A.width": {"requested": 99999, "value": 16384, "warnings": ["99999 is more than 16384."]}}
NODE_ERRORS = {"3": {"class_type": "KSampler", "errors": [{"message": "Too large", "details": "cfg"}]}}
RAN = {"prompt_id": "p1", "outputs": [], "set": CLAMPED, "warnings": ["Left out."], "node_errors": NODE_ERRORS}
SAID = ["Left out.", "A.width: 99999 is more than 16384.", "#3 (KSampler) was not run: Too large: cfg"]


@pytest.fixture
def warning(scripted: Scripted) -> Scripted:
    """A ComfyUI that warns about everything."""
    scripted.answers |= {"set_fields": CLAMPED, "run": RAN, "load_workflow": {"message": "", "warnings": ["Odd."]}}
    scripted.streams["run"] = lambda frame: [{"status": "ok", "response": RAN}]
    return scripted


async def test_a_value_that_was_changed_is_a_warning_and_in_the_result(warning: Scripted, invoke: Invoke) -> None:
    with pytest.warns(UiapiWarning, match="A.width: 99999 is more than 16384") as noted:
        written = await invoke("set", "A.width", 99999)
    assert written == CLAMPED["A.width"] and len(of_client(noted)) == 1
    with pytest.warns(UiapiWarning, match="A.width"):
        await invoke("set", {"A.width": 99999})


@pytest.mark.parametrize("listens", [False, True])
async def test_deviations_of_a_run_are_warnings_and_in_the_result(
    warning: Scripted, invoke: Invoke, listens: bool
) -> None:
    more: dict[str, Any] = {"on_event": lambda event: None} if listens else {}
    with pytest.warns(UiapiWarning) as noted:
        done = await invoke("run", {"A.width": 99999}, **more)
    assert done.warnings == SAID == [str(one.message) for one in of_client(noted)]


async def test_nodes_that_a_page_could_not_load_are_a_warning(warning: Scripted, invoke: Invoke) -> None:
    with pytest.warns(UiapiWarning, match=r"Odd\."):
        assert (await invoke("load", {}))["warnings"] == ["Odd."]


async def test_a_warning_has_the_line_of_the_caller(warning: Scripted, blocking: Blocking) -> None:
    with Client(warning.url) as client:

        def subscript() -> None:
            client["A.width"] = 99999

        for call in (subscript, lambda: client.set("A.width", 99999), lambda: client.run()):
            with pytest.warns(UiapiWarning) as noted:
                await blocking(call)
            assert {Path(one.filename).name for one in of_client(noted)} == {Path(__file__).name}
    async with AsyncClient(warning.url) as async_client:
        with pytest.warns(UiapiWarning) as noted:
            await async_client.set("A.width", 99999)
        assert Path(of_client(noted)[0].filename).name == Path(__file__).name


async def test_a_program_can_make_warnings_errors_or_silence_them(warning: Scripted, invoke: Invoke) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UiapiWarning)
        with pytest.raises(UiapiWarning):
            await invoke("set", "A.width", 99999)
        warnings.simplefilter("ignore", UiapiWarning)
        await invoke("set", "A.width", 99999)


def test_a_run_without_warnings_has_none() -> None:
    assert run_of({"prompt_id": "p1", "outputs": [{"text": "warnings", "node_id": "1"}]}).warnings == []
