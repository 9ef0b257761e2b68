"""The examples of the reference at /uiapi/docs."""

from __future__ import annotations

import ast
import json
import shlex
from typing import Any

import pytest
from comfyui_uiapi.bridge.api.docs.page import page
from comfyui_uiapi.bridge.api.docs.samples import curl, javascript, python, sample
from comfyui_uiapi.bridge.api.docs.schema_tables import table
from comfyui_uiapi.bridge.api.docs.topics import TOPICS
from comfyui_uiapi.bridge.api.openapi import document
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS

ROUTES = [command for command in COMMANDS.values() if command.route]
HOSTILE = {"fields": [["It's </script><b>.width", None], ['"', True], ["$(id)", 1e300]]}


def test_each_command_stands_in_one_topic() -> None:
    listed = [name for names in TOPICS.values() for name in names]
    assert sorted(listed) == sorted(command.name for command in ROUTES)


@pytest.mark.parametrize("command", [one for one in ROUTES if one.method == "POST"], ids=lambda one: one.name)
def test_the_smallest_request_of_each_command_is_accepted(command: Any) -> None:
    doc = document()
    body = doc["paths"][f"/uiapi/{command.path}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    sent = command.example[0] if command.example else sample(body, doc["components"]["schemas"])
    # Commands with alternatives, such as one node or a whole workflow, ask for one of them in a sentence.
    try:
        command.parse(json.loads(json.dumps(sent)))
    except Exception as error:
        assert "required" not in str(error)


def test_the_python_example_sends_exactly_the_request() -> None:
    [_, block] = ast.parse(python("set_fields", HOSTILE)).body
    call = next(node for node in ast.walk(block) if isinstance(node, ast.Call) and len(node.args) == 2)
    assert [ast.literal_eval(argument) for argument in call.args] == ["set_fields", HOSTILE]


def test_the_curl_example_sends_exactly_the_request() -> None:
    words = shlex.split(curl("POST", "/uiapi/set_fields", HOSTILE))
    assert words[:3] == ["curl", "http://127.0.0.1:8188/uiapi/set_fields", "--json"]
    assert json.loads(words[3]) == HOSTILE


def test_the_javascript_example_holds_the_request_as_a_literal() -> None:
    text = javascript("POST", "/uiapi/set_fields", HOSTILE)
    literal = text.partition("JSON.stringify(")[2].rpartition("),\n});")[0]
    assert json.loads(literal) == HOSTILE


def test_a_type_inside_itself_is_shown_once() -> None:
    components = {"Tree": {"properties": {"children": {"type": "array", "items": {"$ref": "#/c/Tree"}}}}}
    shown = "".join(table({"$ref": "#/c/Tree"}, components))
    assert shown.count("<summary>Tree</summary>") == 1


def test_the_page_ends_its_script_only_once() -> None:
    assert page().count("</script>") == 1
