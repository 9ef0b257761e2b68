"""Warnings about texts that the page rewrites for a run: they match the page's own export."""

from __future__ import annotations

from typing import Any

from ....harness.browser.graphs import node, ui
from ..conftest import Send

DYNAMIC = ["a red cube", "a // b", "http://example.org/a", "/* all */ it", r"\{a\}", "{only}", "a } b", "ends \\"]
WORKFLOW = ui(
    [
        node(1, "LabText", "Dynamic", [""]),
        node(2, "StringConcatenate", "Plain", ["", "", ""]),
        node(3, "SaveImage", "Save", ["x"]),
        node(4, "EmptyImage", "Canvas", [64, 32, 1, 0]),
    ]
)


async def test_a_text_that_the_page_rewrites_is_warned_about_with_what_will_run(send: Send) -> None:
    await send("load_workflow", workflow=WORKFLOW)
    for text in DYNAMIC:
        warnings = (await send("set_fields", fields=[["Dynamic.text", text]]))["Dynamic.text"]["warnings"]
        runs = await exported(send, "1", "text")
        if runs == text:
            assert warnings == []
        else:
            [warning] = warnings
            assert f'uses "{escaped(runs)}" instead' in warning


async def test_a_choice_is_warned_about_wherever_it_is_set(send: Send, attempt: Send) -> None:
    await send("load_workflow", workflow=WORKFLOW)
    text = "{red|blue} cube // or ball"
    written = await send("set_fields", fields=[["Dynamic.text", text], ["Plain.string_a", text]])
    assert "drawn at random and removes the comments" in only(written["Dynamic.text"])
    assert written["Plain.string_a"]["warnings"] == []
    assert await exported(send, "1", "text") in ("red cube ", "blue cube ")
    assert await exported(send, "2", "string_a") == text
    added = await send("add_node", type="LabText", fields=[["text", text]])
    assert "drawn at random" in only(added["set"]["text"])
    batched = await send("batch", commands=[{"command": "set_fields", "data": {"fields": [["Dynamic.text", text]]}}])
    assert "drawn at random" in only(batched["results"][0]["Dynamic.text"])
    ran = await send("run", fields=[["Dynamic.text", text]], workflow=shown(), wait=False)
    assert "drawn at random" in only(ran["set"]["Dynamic.text"])


async def test_placeholders_in_a_files_name_are_warned_about_with_what_they_are_now(send: Send) -> None:
    await send("load_workflow", workflow=WORKFLOW)
    written = await send("set_fields", fields=[["Save.filename_prefix", "x-%Canvas.width%"]])
    assert await exported(send, "3", "filename_prefix") == "x-64"
    assert 'now it would be "x-64"' in only(written["Save.filename_prefix"])
    written = await send("set_fields", fields=[["Save.filename_prefix", "x_%batch_num%"]])
    assert written["Save.filename_prefix"]["warnings"] == []


def shown() -> dict[str, Any]:
    """A workflow that shows a text, in API format."""
    return {
        "1": {"class_type": "LabText", "inputs": {"text": ""}, "_meta": {"title": "Dynamic"}},
        "2": {"class_type": "LabShowText", "inputs": {"text": ["1", 0]}},
    }


async def exported(send: Send, ident: str, name: str) -> str:
    """The value of an input in the page's export."""
    value: str = (await send("get_workflow_api"))["output"][ident]["inputs"][name]
    return value


def only(written: dict[str, Any]) -> str:
    """The one warning of a write."""
    [warning] = written["warnings"]
    return str(warning)


def escaped(text: str) -> str:
    """A text inside the quotes of JSON."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
