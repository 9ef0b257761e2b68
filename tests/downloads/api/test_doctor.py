"""The doctor over HTTP: its diagnosis, and that its fixes do what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.policy.rules import Rule
from comfyui_uiapi.bridge.protocol.command_spec import Kind
from comfyui_uiapi.tests.bridge.conftest import Server
from comfyui_uiapi.tests.downloads.conftest import finished
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.models.model_sites import workflow

SIZE = 200_000


class Loader:
    """Any node type."""


@pytest.fixture(autouse=True)
def node_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Comfy, "node_classes", property(lambda self: {"Loader": Loader}))


async def diagnosed(server: Server, asked: dict[str, Any] | None = None) -> dict[str, Any]:
    status, body = await server.post("doctor", {} if asked is None else {"workflow": asked})
    assert status == 200, body
    found: dict[str, Any] = body["response"]
    return found


async def test_the_fixes_make_a_workflow_ready(server: Server, host: Host, tmp_path: Path) -> None:
    for name in "ab":
        host.offer(f"/{name}", model_bytes(SIZE))
    wanted = workflow(*((f"{name}.safetensors", "vae", host.url(f"/{name}")) for name in "ab"))
    found = await diagnosed(server, wanted)
    assert (found["ready"], found["left"]) == (False, 0)
    assert [(one["name"], one["state"], one["size"]) for one in found["models"]] == [
        (f"{name}.safetensors", "found", SIZE) for name in "ab"
    ]
    assert [disk["next"] for disk in found["disks"]] == [None]
    assert found["models"][0]["fix"]["data"] == {"only": ["a.safetensors"]}
    [fix] = found["fixes"]
    status, body = await server.post(fix["command"], {**fix["data"], "workflow": wanted})
    assert status == 200 and (await finished(server, body["download_id"]))["status"] == "completed"
    found = await diagnosed(server, wanted)
    assert (found["ready"], found["fixes"], found["left"]) == (True, [], 0)
    assert [one["state"] for one in found["models"]] == ["present", "present"]


async def test_a_model_that_no_command_can_fix_has_a_next_step(server: Server, tmp_path: Path) -> None:
    (tmp_path / "models/loras/web.safetensors").write_bytes(b"<html>log in</html>")
    found = await diagnosed(server, workflow(("unknown.safetensors", "vae", None), ("web.safetensors", "loras", None)))
    unknown, damaged = found["models"]
    assert (unknown["state"], damaged["state"], found["left"]) == ("unknown", "damaged", 2)
    assert "give its URL" in unknown["next"] and "page" in damaged["next"]
    assert [unknown["fix"], damaged["fix"]] == [None, None]


async def test_a_node_type_that_is_missing_keeps_a_workflow_from_being_ready(server: Server) -> None:
    found = await diagnosed(server, {"nodes": [{"id": 1, "type": "Blur"}, {"id": 2, "type": "Loader"}], "links": []})
    assert [(one["type"], one["count"], one["fix"]) for one in found["nodes"]] == [("Blur", 1, None)]
    assert found["nodes"][0]["next"] and (found["ready"], found["left"]) == (False, 1)


async def test_without_a_workflow_the_open_one_is_examined(server: Server) -> None:
    tab = await server.tab()
    tab.on("get_workflow", {"workflow": {"workflow": workflow(("x.safetensors", "vae", None)), "output": {}}})
    found = await diagnosed(server)
    assert [one["name"] for one in found["models"]] == ["x.safetensors"]


async def test_the_persons_rule_for_downloads_holds_for_the_fixes(server: Server, host: Host) -> None:
    host.offer("/x", model_bytes(SIZE))
    wanted = workflow(("x.safetensors", "vae", host.url("/x")))
    tab = await server.tab(capabilities=["panel", "watch"])
    tab.on("approve", {"allowed": True})
    await server.bridge.approvals.decide(rules={Kind.DOWNLOAD: Rule.ALWAYS})
    found = await diagnosed(server, wanted)
    assert (found["fixes"], found["left"]) == ([], 1)
    assert "The person at the browser decides" in found["models"][0]["next"]
    # Allowed once, this program needs no further word.
    await server.bridge.approvals.decide(rules={Kind.DOWNLOAD: Rule.ONCE})
    assert (await diagnosed(server, wanted))["left"] == 0
    await server.bridge.approvals.decide(rules={Kind.DOWNLOAD: Rule.REFUSE})
    status, body = await server.post("doctor", {"workflow": wanted})
    assert (status, body["code"]) == (403, "refused_by_person")
