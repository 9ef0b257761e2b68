"""A client that a public generator makes from the document works: the document says what is so, in words it knows."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.openapi import document, document_text


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
    assert found == named


async def test_it_gets_and_sets_a_field(generated: Any, house: Any) -> None:
    held = {"Canvas.width": 64}

    def write(data: dict[str, Any]) -> dict[str, Any]:
        held.update(data["fields"])
        return {path: {"requested": value, "value": held[path], "warnings": []} for path, value in data["fields"]}

    tab = await house.tab()
    tab.on("get_fields", lambda data: {path: held[path] for path in data["fields"]})
    tab.on("set_fields", write)
    api, models = (importlib.import_module(f"generated_uiapi.{name}") for name in ("api", "models"))
    read = importlib.import_module(f"{api.__name__}.read.get_fields")
    change = importlib.import_module(f"{api.__name__}.drive.set_fields")
    async with generated.Client(base_url=house.url("").rstrip("/")) as client:
        answer = await read.asyncio(client=client, body=models.GetFields(fields=["Canvas.width"]))
        assert answer.response["Canvas.width"] == 64
        written = await change.asyncio(client=client, body=models.SetFields(fields=[["Canvas.width", 80]]))
        assert written.response["Canvas.width"].value == 80 == held["Canvas.width"]
        refused = await read.asyncio(client=client, body=models.GetFields(fields=[""]))
        assert isinstance(refused, models.Error) and refused.code == "invalid"
