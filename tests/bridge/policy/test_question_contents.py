"""What a question to the person shows of a request."""

from __future__ import annotations

from comfyui_uiapi.bridge.policy import questions
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS


def test_a_question_shows_every_edit_with_its_data() -> None:
    rename = {"node": "Canvas", "title": "Sky"}
    batch = COMMANDS["batch"]
    parts = [
        {"command": "set_fields", "data": {"fields": [["Canvas.width", 640]]}},
        {"command": "set_node", "data": rename},
    ]
    write, edit = questions.shown_writes(batch, batch.parse({"commands": parts}))["writes"]
    assert write == {"path": "Canvas.width", "value": "640"}
    assert edit == {"path": "set_node", "value": '{"node":"Canvas","title":"Sky"}', "edit": True}
    alone = COMMANDS["set_node"]
    assert questions.shown_writes(alone, alone.parse(rename))["writes"] == [edit]
