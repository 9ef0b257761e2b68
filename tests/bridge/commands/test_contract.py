"""Tests that Python's tab commands and the page's commands are the same."""

from __future__ import annotations

import re
from pathlib import Path

from comfyui_uiapi import server  # noqa: F401 - importing declares every command
from comfyui_uiapi.bridge.commands.editing import BATCHABLE
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.bridge.protocol.subscriptions import TAB_EVENTS

WEB = Path(__file__).resolve().parents[3] / "web"


def entries(text: str, constant: str) -> set[str]:
    """Return the keys of an object that a file exports under that name, one per line."""
    body = re.search(rf"const {constant} = \{{\n(.*?)\n\}};", text, re.S)
    assert body is not None, constant
    return set(re.findall(r"^  (?:async )?([a-z_]+)\s*[:(,]", body[1], re.M))


def test_every_command_of_the_tab_has_its_entry_in_the_page_and_every_entry_its_declaration() -> None:
    text = (WEB / "commands.js").read_text()
    declared = {command.name for command in COMMANDS.values() if command.tab}
    assert entries(text, "commands") | entries(text, "edits") == declared


def test_the_person_is_shown_that_somebody_waits_for_them_during_each_command_that_opens_a_dialog() -> None:
    text = (WEB / "commands.js").read_text()
    imported = re.findall(r'^import \{ (.*?) \} from "\./ui/\S+_dialog\.js"', text, re.M)
    dialogs = {name for names in imported for name in names.split(", ")}
    body = text[text.index("const commands = {") :]
    starts = [*re.finditer(r"^  (?:async )?([a-z_]+)\s*[:(,]", body, re.M)]
    ends = [*(start.start() for start in starts[1:]), len(body)]
    asking = {
        start[1]
        for start, end in zip(starts, ends, strict=True)
        if dialogs & set(re.findall(r"\w+(?=\()", body[start.start() : end]))
    }
    assert len(dialogs) >= 4 and asking == {command.name for command in COMMANDS.values() if command.asks}


def test_the_edits_of_a_batch_are_the_same_on_both_sides() -> None:
    assert entries((WEB / "commands.js").read_text(), "edits") == BATCHABLE


def test_the_page_sends_only_events_that_the_server_passes_on() -> None:
    source = "\n".join(path.read_text() for path in WEB.rglob("*.js"))
    assert {event for event in TAB_EVENTS if f'"{event}"' in source} == TAB_EVENTS
