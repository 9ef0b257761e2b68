"""Random requests to a running server are answered as its OpenAPI document says, and in time.

`python3 dev.py test --fuzz` sends ten thousand requests, each time others; without it a few of each kind, always the
same.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import schemathesis
from comfyui_uiapi import server  # noqa: F401 - importing declares every command
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.tests.harness.browser.tab import Chromium, Tab
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.tools import build
from comfyui_uiapi.tests.tools.demo import WORKFLOW
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

# The frontend shows nothing of what is checked here, so one will do.
pytestmark = pytest.mark.parametrize("frontend", [build.FRONTENDS[0]], indirect=True, scope="session")

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# How many examples of all commands together, and how many of each kind (fitting, and not) in a usual test run.
MANY, FEW = 10_000, 4
# Seconds after which an answer counts as missing.
HANGS = 120.0
# Longer request lines are refused by the HTTP server before this package sees them.
MAX_TARGET = 8000
# In this order: once pages that do not exist have said hello and goodbye, the tab is no longer what it was.
ROUTES = sorted(
    (command for command in COMMANDS.values() if command.route),
    key=lambda command: "client_id" in command.own_fields and command.method == "POST",
)

# The demo's workflow with pictures that take no time.
SMALL = {**WORKFLOW, "1": {**WORKFLOW["1"], "inputs": {**WORKFLOW["1"]["inputs"], "width": 16, "height": 16}}}

# Nobody sits at this page, so it says no at once: to the frontend's own questions, and to those of ours.
DECLINE = """() => {
    const {dialog} = app.extensionManager
    dialog.confirm = async () => false
    dialog.prompt = async () => null
    const show = dialog.showExtensionDialog
    dialog.showExtensionDialog = options => {
        const shown = show.call(dialog, options)
        setTimeout(shown.closeDialog)
        return shown
    }
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def target(
    frontend: str, browser: Chromium, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Tab, Any]]:
    """A tab of a ComfyUI of its own, and the server's document."""
    with ComfyProcess(tmp_path_factory.mktemp("fuzz"), frontend=frontend) as comfy:
        tab = await browser.open(comfy)
        await tab.page.evaluate(DECLINE)
        url = f"{comfy.url}/uiapi/openapi.json"
        yield tab, await asyncio.to_thread(schemathesis.openapi.from_url, url)
        await tab.close()


@pytest.fixture(scope="module")
def examples(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Hypothesis' settings for one command and one kind of request."""
    fuzz = request.config.getoption("--fuzz")
    return {
        "max_examples": -(-MANY // (2 * len(ROUTES))) if fuzz else FEW,
        "derandomize": not fuzz,
        "phases": [Phase.generate, Phase.shrink] if fuzz else [Phase.generate],
    }


@pytest.mark.parametrize("command", ROUTES, ids=lambda command: command.name)
async def test_whatever_is_sent_is_answered_as_documented(
    target: tuple[Tab, Any], examples: dict[str, Any], command: Any
) -> None:
    tab, schema = target
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": SMALL})
    await asyncio.to_thread(send_all, schema, command.name, examples)


def send_all(schema: Any, name: str, examples: dict[str, Any]) -> None:
    """Send examples of one command, those its schema allows and others, and check each answer."""
    operations = [found.ok() for found in schema.get_all_operations()]
    [operation] = [one for one in operations if one.definition.raw["operationId"] == name]
    for mode in GenerationMode:

        @given(operation.as_strategy(generation_mode=mode))
        @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), **examples)
        def send(case: Any) -> None:
            assume(len(case.formatted_path) + len(urllib.parse.urlencode(case.query or {})) < MAX_TARGET)
            answerable(case)
            response = case.call(timeout=HANGS)
            case.validate_response(response, checks=CHECKS)
            if response.status_code != 200:
                documented = operation.definition.raw["responses"][str(response.status_code)]["description"]
                assert response.json()["code"] in documented.split(", ")

        send()


def answerable(case: Any) -> None:
    """Leave out what would rightly end in a timeout: too little time, or more work than is waited for."""
    for part in (case.body, case.query):
        if isinstance(part, dict):
            if isinstance(part.get("timeout"), (int, float)) and part["timeout"] < HANGS:
                part["timeout"] = HANGS
            if isinstance(part.get("batch_count"), (int, float)) and part["batch_count"] > 3:
                part["batch_count"] = 3


async def test_the_tab_is_still_there_after_all_that(target: tuple[Tab, Any]) -> None:
    tab, _ = target
    assert tab.errors == []
    answer = await asyncio.to_thread(
        tab.comfy.post, "/uiapi/get_fields", {"fields": [], "wait_for_webui": True, "timeout": HANGS}
    )
    assert answer["status"] == "ok", answer
    assert "Traceback" not in tab.comfy.log_text()
