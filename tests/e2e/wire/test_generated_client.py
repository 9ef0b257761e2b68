"""A client generated from the OpenAPI document by a public generator drives a real tab."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import comfyui_uiapi.server  # noqa: F401 - importing declares every command
import pytest
from comfyui_uiapi.bridge.api.openapi import document, document_text
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.programs.program import Program
from comfyui_uiapi.tests.tools.demo import WORKFLOW


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The package that openapi-python-client makes."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(document_text())
    # Its own formatting of what it wrote is not what is tested here.
    (folder / "config.json").write_text(json.dumps({"post_hooks": []}))
    words = ["generate", "--path", "openapi.json", "--config", "config.json", "--meta", "none"]
    words += ["--output-path", "generated_uiapi", "--fail-on-warning"]
    command = [sys.executable, "-m", "openapi_python_client", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("generated_uiapi")
    finally:
        sys.path.remove(str(folder))


def test_every_command_is_generated(generated: Any) -> None:
    package = Path(generated.__file__).parent
    found = {path.stem for path in package.glob("api/*/*.py")} - {"__init__"}
    named = {item["operationId"] for verbs in document()["paths"].values() for item in verbs.values()}
    assert found == named and "get_fields" in found


async def test_it_gets_and_sets_a_field(generated: Any, tab: Tab, program: Program) -> None:
    await program.ok("load_workflow", {"workflow": WORKFLOW})
    api, models = (importlib.import_module(f"generated_uiapi.{name}") for name in ("api", "models"))
    read = importlib.import_module(f"{api.__name__}.read.get_fields")
    change = importlib.import_module(f"{api.__name__}.drive.set_fields")
    async with generated.Client(base_url=tab.comfy.url) as client:
        answer = await read.asyncio(client=client, body=models.GetFields(fields=["Canvas.width"]))
        before = answer.response["Canvas.width"]
        written = await change.asyncio(client=client, body=models.SetFields(fields=[["Canvas.width", before + 16]]))
        assert written.response["Canvas.width"].value == before + 16
        refused = await read.asyncio(client=client, body=models.GetFields(fields=[""]))
        assert isinstance(refused, models.Error) and refused.code == "invalid"
    assert await program.ok("get_fields", {"fields": ["Canvas.width"]}) == {"Canvas.width": before + 16}
