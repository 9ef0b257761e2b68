"""Numbers that the page cannot read are refused, and never become null on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest

LARGE = ["1e400", "-1e400", "1" + "0" * 400, '{"strength": 1e400}', "[[1, 1e400]]"]
BODIES = {
    "set_fields": '{"fields": [["T.v", %s]]}',
    "run": '{"fields": [["T.v", %s]]}',
    "add_node": '{"type": "T", "fields": [["v", %s]]}',
    "batch": '{"commands": [{"command": "set_fields", "data": {"fields": [["T.v", %s]]}}]}',
    "sweep": '{"grid": {"T.v": [1, %s]}}',
    "export_prompts": '{"variations": [[["T.v", 1]], [["T.v", %s]]]}',
}


async def post(server: Any, command: str, body: str) -> tuple[str, str]:
    headers = {"Content-Type": "application/json"}
    async with server.session.post(server.url(f"/uiapi/{command}"), data=body, headers=headers) as response:
        answer = await response.json()
    return answer["code"], answer["error"]


@pytest.mark.parametrize("number", LARGE, ids=["float", "negative", "integer", "object", "list"])
@pytest.mark.parametrize("command", BODIES)
async def test_a_number_that_the_page_cannot_read_is_refused(server: Any, command: str, number: str) -> None:
    tab = await server.tab(capabilities=["sweep", "batch"])
    code, sentence = await post(server, command, BODIES[command] % number)
    assert code == "invalid" and "1.8e308" in sentence
    assert tab.requests == []


@pytest.mark.parametrize("body", ['{"node": "#1", "pos": [1e400, 0]}', '{"node": "#1", "size": [0, -1e400]}'])
async def test_a_place_that_is_infinitely_far_is_refused(server: Any, body: str) -> None:
    tab = await server.tab()
    assert (await post(server, "set_node", body))[0] == "invalid"
    assert tab.requests == []


async def test_the_largest_numbers_arrive(server: Any) -> None:
    tab = await server.tab()
    tab.on("set_fields", {})
    values = [1.7e308, -1.7e308, 2**64, {"a": [1e-320]}]
    await server.post("set_fields", {"fields": [[f"T.v{at}", value] for at, value in enumerate(values)]})
    assert [value for _, value in json.loads(json.dumps(tab.requests[0]["data"]["fields"]))] == values
