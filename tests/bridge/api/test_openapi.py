"""Tests of the OpenAPI document and its HTML page: complete, consistent with the declarations, and access-checked."""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import tomllib
from comfyui_uiapi.bridge.api import http
from comfyui_uiapi.bridge.api.docs.page import page
from comfyui_uiapi.bridge.api.openapi import document, document_path
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.common.errors import STATUS
from comfyui_uiapi.common.version import VERSION
from jsonschema_rs import meta
from pydantic import TypeAdapter

ROUTES = [command for command in COMMANDS.values() if command.route]


async def test_the_complete_document_is_served(server: Any) -> None:
    status, body = await server.get("openapi.json")
    assert status == 200 and body == document()


async def test_a_page_from_elsewhere_gets_neither_document_nor_page(server: Any) -> None:
    for path in ("openapi.json", "docs"):
        for headers, code in (
            ({"Origin": "https://elsewhere.example"}, "waiting_for_person"),
            ({"Sec-Fetch-Site": "cross-site"}, "cross_origin"),
        ):
            status, body = await server.get(path, headers=headers)
            assert (status, body["code"]) == (403, code)


def test_every_command_is_in_the_document_once() -> None:
    found = [item["operationId"] for verbs in document()["paths"].values() for item in verbs.values()]
    assert sorted(found) == sorted(command.name for command in ROUTES)


def test_nothing_the_server_alone_may_ask_of_a_tab_is_in_the_document() -> None:
    hidden = [command.name for command in COMMANDS.values() if not command.route]
    assert not [name for name in hidden if f"/uiapi/{name}" in document()["paths"]]


@pytest.mark.parametrize("command", ROUTES, ids=lambda command: command.name)
def test_a_documented_error_has_the_status_of_the_table(command: Any) -> None:
    responses = document()["paths"][document_path(command)][command.method.lower()]["responses"]
    refusals = {int(status): one["description"].split(", ") for status, one in responses.items() if status != "200"}
    statuses = {code: status for status, codes in refusals.items() for code in codes}
    assert statuses == {code: STATUS[code] for code in command.codes}


@pytest.mark.parametrize("command", [one for one in ROUTES if one.example], ids=lambda command: command.name)
def test_an_example_is_a_request_the_command_takes_and_an_answer_it_may_give(command: Any) -> None:
    request, answer = command.example
    command.parse(request)
    TypeAdapter(command.response_type).validate_python(answer)


def test_every_reference_leads_somewhere() -> None:
    def references(part: Any) -> Any:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            part = list(part.values())
        if isinstance(part, list):
            for item in part:
                yield from references(item)

    known = document()["components"]["schemas"]
    assert {reference.rpartition("/")[2] for reference in references(document())} <= set(known)


def test_every_schema_is_one() -> None:
    for schema in document()["components"]["schemas"].values():
        meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert VERSION == project["version"] == document()["info"]["version"]


class Reader(HTMLParser):
    """Collects the resources an HTML page loads, and checks that its tags are nested correctly."""

    VOID = frozenset({"meta", "link", "br", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loaded += [str(value) for name, value in attributes if name in ("src", "srcset", "data")]
        self.loaded += [tag] if tag in ("iframe", "object", "img") else []
        links = [str(value) for name, value in attributes if (tag, name) == ("link", "href")]
        self.loaded += [address for address in links if address != "data:,"]
        self.ids += [str(value) for name, value in attributes if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_lists_every_command_and_loads_nothing(server: Any) -> None:
    async with server.session.get(server.url("/uiapi/docs")) as response:
        assert response.status == 200 and response.content_type == "text/html"
        reader = Reader()
        reader.feed(await response.text())
    assert reader.open == [] and reader.loaded == []
    assert len(reader.ids) == len(set(reader.ids))
    assert {command.name for command in ROUTES} <= set(reader.ids)
    assert "url(" not in page() and "@import" not in page()


async def test_making_the_document_does_not_stall_other_requests(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    def slowly() -> str:
        server.comfy.loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), server.comfy.loop).result(60)
        return "{}"

    handler = http.page_handler(server.bridge, slowly, "application/json")
    request: Any = type("Request", (), {"headers": {}})()
    asking = asyncio.ensure_future(handler(request))
    await asyncio.wait_for(begun.wait(), 60)
    assert (await server.get("webuis"))[0] == 200 and not asking.done()
    go_on.set()
    answer: Any = await asking
    assert answer.text == "{}"
