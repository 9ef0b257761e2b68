"""Tests of missing_nodes: which types are missing, and which pack has each."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.comfyui.missing_nodes import described, missing_types
from comfyui_uiapi.bridge.comfyui.node_packs import NODE_MAP as NODE_MAP_FILE
from comfyui_uiapi.bridge.comfyui.node_packs import PACK_LIST as PACK_LIST_FILE
from comfyui_uiapi.bridge.comfyui.node_packs import _lists
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.common.errors import UiapiError

HTML = "<img src=x onerror=alert(1)>"
BLUR, FACE, GIT = "Blur", "FaceDetailer", "https://github.com/someone/"
NODE_MAP = {
    f"{GIT}Face-Pack": [[FACE, "Shared"], {"title_aux": "Face Pack"}],
    f"{GIT}Other-Pack": [["Shared"], {"title_aux": "Other Pack", "nodename_pattern": r" \(other\)$"}],
    "registered-pack": [["Registered"], {"title_aux": "Registered Pack"}],
}
PACKS = {
    "custom_nodes": [
        {"id": "face-pack", "title": "Face Pack", "reference": f"{GIT}Face-Pack", "files": [f"{GIT}Face-Pack"]},
        {"title": "Other Pack", "files": [f"{GIT}Other-Pack"], "preemptions": ["Shared"]},
    ]
}


def node(node_id: Any, kind: Any, **more: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, **more}


@pytest.fixture(autouse=True)
def classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Comfy, "node_classes", {BLUR: type(BLUR, (), {})})


@pytest.fixture
def packs(server: Any, tmp_path: Path) -> Path:
    """The folder of the packs."""
    return tmp_path / "custom_nodes"


@pytest.fixture
def manager(packs: Path) -> None:
    """ComfyUI-Manager in custom_nodes, with its lists."""
    write_lists(packs / "ComfyUI-Manager", NODE_MAP, PACKS)


def write_lists(folder: Path, node_map: Any, packs: Any = None) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "extension-node-map.json").write_text(json.dumps(node_map))
    (folder / "custom-node-list.json").write_text(json.dumps(packs or {"custom_nodes": []}))


async def missing(server: Any, *nodes: Any, **workflow: Any) -> list[dict[str, Any]]:
    status, body = await server.post("missing_nodes", {"workflow": {"nodes": [*nodes], **workflow}})
    assert status == 200, body
    types: list[dict[str, Any]] = body["response"]["types"]
    return types


async def the_pack(server: Any, *nodes: Any) -> dict[str, Any]:
    [found] = await missing(server, *nodes)
    pack: dict[str, Any] = found["packs"][0]
    return pack


async def test_the_missing_types_are_listed_with_their_nodes_also_those_in_subgraphs(server: Any) -> None:
    inner = {"id": "sub", "nodes": [node(3, FACE, title="Inner"), node(4, BLUR)]}
    nodes = [node(1, BLUR), node(2, FACE, title="Outer"), node(12, "sub"), node(13, "Note"), node(14, "workflow>old")]
    groups = {"groupNodes": {"old": {"nodes": [{"type": "Lost", "index": 0}]}}}
    face, lost = sorted(
        await missing(server, *nodes, definitions={"subgraphs": [inner]}, extra=groups), key=lambda one: one["type"]
    )
    assert face["nodes"] == [{"id": "2", "title": "Outer"}, {"id": "12:3", "title": "Inner"}]
    assert (lost["type"], lost["nodes"]) == ("Lost", [{"id": "14:0", "title": None}])


async def test_a_workflow_in_api_format_is_read_as_well_also_nodes_without_a_type(server: Any) -> None:
    prompt = {
        "1": {"class_type": FACE, "inputs": {}, "_meta": {"title": "Face"}},
        "2": {"class_type": BLUR, "inputs": {}},
        "3": {"inputs": {}, "_meta": {"title": "Gone"}},
    }
    _status, body = await server.post("missing_nodes", {"workflow": prompt})
    face, untyped = body["response"]["types"]
    assert (face["type"], face["nodes"]) == (FACE, [{"id": "1", "title": "Face"}])
    assert (untyped["type"], untyped["nodes"][0]["title"]) == (None, "Gone") and "export it again" in untyped["how"]


async def test_without_comfyui_manager_the_workflow_itself_names_the_pack(server: Any) -> None:
    properties = {"cnr_id": "face-pack", "ver": "1.2.0"}
    pack = await the_pack(server, node(1, FACE, properties=properties))
    assert (pack["id"], pack["version"], pack["origin"], pack["state"]) == ("face-pack", "1.2.0", "workflow", "missing")
    [found] = await missing(server, node(1, FACE, properties={"aux_id": "someone/Face-Pack", "ver": "abc"}))
    assert found["packs"][0]["repository"] == f"{GIT}Face-Pack"
    assert found["how"] == f"Install Face-Pack from {GIT}Face-Pack into custom_nodes, or with ComfyUI-Manager."
    [unnamed] = await missing(server, node(1, FACE))
    assert unnamed["packs"] == [] and f'Search for "{FACE}" in ComfyUI-Manager' in unnamed["how"]


async def test_a_missing_node_of_comfyui_itself_asks_for_an_update_of_comfyui(server: Any) -> None:
    [found] = await missing(server, node(1, "NewSampler", properties={"cnr_id": "comfy-core", "ver": "9.9"}))
    assert found["how"] == "This is one of ComfyUI's own nodes; update ComfyUI."


@pytest.mark.usefixtures("manager")
async def test_the_lists_of_comfyui_manager_name_the_packs_of_a_type(server: Any) -> None:
    pack = await the_pack(server, node(1, FACE))
    assert (pack["id"], pack["title"], pack["origin"]) == (None, "Face Pack", "manager")
    [shared] = await missing(server, node(1, "Shared"))
    assert [one["title"] for one in shared["packs"]] == ["Other Pack", "Face Pack"]
    assert (await the_pack(server, node(1, "Blur (other)")))["title"] == "Other Pack"
    assert (await the_pack(server, node(1, "Registered")))["id"] == "registered-pack"


@pytest.mark.usefixtures("manager")
async def test_the_pack_that_the_workflow_names_is_completed_from_the_lists_and_named_once(server: Any) -> None:
    [found] = await missing(server, node(1, FACE, properties={"cnr_id": "face-pack"}))
    [pack] = found["packs"]
    assert (pack["title"], pack["repository"], pack["origin"]) == ("Face Pack", f"{GIT}Face-Pack", "workflow")


@pytest.mark.usefixtures("manager")
async def test_newer_lists_in_the_cache_of_comfyui_manager_are_read_and_reread_when_they_change(
    server: Any, tmp_path: Path
) -> None:
    assert (await the_pack(server, node(1, FACE)))["title"] == "Face Pack"
    cache = tmp_path / "user" / "__manager" / "cache"
    cache.mkdir(parents=True)
    newer = cache / "123_extension-node-map.json"
    newer.write_text(json.dumps({f"{GIT}New-Pack": [["Newest"], {"title_aux": "New Pack"}]}))
    assert (await the_pack(server, node(1, "Newest")))["title"] == "New Pack"


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v2/manager/queue/task", "tasks"),
        ("/v2/manager/queue/batch", "batch"),
        ("/manager/queue/install", "queue"),
        ("/other", None),
    ],
)
async def test_the_kind_of_comfyui_manager_is_recognised_by_its_routes(server: Any, path: str, api: str | None) -> None:
    server.comfy.routes.post(path)(lambda request: None)
    _status, body = await server.post("missing_nodes", {"workflow": {"nodes": [node(1, FACE)]}})
    assert body["response"]["manager"] == api


async def test_a_type_that_the_page_makes_itself_is_not_missing(server: Any) -> None:
    tab = await server.tab()
    tab.on("get_workflow", {"workflow": {"workflow": {"nodes": [node(1, FACE), node(2, "SetNode")]}, "output": {}}})
    tab.on("page_types", lambda data: {"types": [one for one in data["types"] if one == "SetNode"]})
    _status, body = await server.post("missing_nodes")
    assert [one["type"] for one in body["response"]["types"]] == [FACE] and body["response"]["page_asked"] is True
    assert body["status"] == "ok"


async def test_without_a_page_the_answer_says_that_none_was_asked(server: Any) -> None:
    _status, body = await server.post("missing_nodes", {"workflow": {"nodes": [node(1, "SetNode")]}})
    assert body["response"]["page_asked"] is False and body["response"]["total"] == 1
    tab = await server.tab()
    tab.refuse("page_types", "tab_failed")
    _status, body = await server.post("missing_nodes", {"workflow": {"nodes": [node(1, "SetNode")]}})
    assert body["response"]["page_asked"] is False


async def installed(server: Any, packs: Path, folder: str = "Face_Pack", project: str = "") -> dict[str, Any]:
    (packs / folder).mkdir(parents=True, exist_ok=True)
    if project:
        (packs / folder / "pyproject.toml").write_text(f'[project]\nname = "{project}"\n')
    [found] = await missing(server, node(1, FACE, properties={"cnr_id": "face-pack"}))
    return found


async def test_an_installed_pack_is_said_to_be_disabled_not_loaded_or_too_old(
    server: Any, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "disabled" in (await installed(server, packs, ".disabled/face-pack@1_0_0"))["how"]
    assert "restart ComfyUI" in (await installed(server, packs, "renamed", "face-pack"))["how"]
    loaded = SimpleNamespace(LOADED_MODULE_DIRS={"Face_Pack": str(packs / "Face_Pack")})
    monkeypatch.setitem(sys.modules, "nodes", loaded)
    found = await installed(server, packs)
    assert found["packs"][0]["state"] == "loaded" and "does not have this node; update it" in found["how"]


async def test_a_pack_that_failed_to_import_is_said_so_with_the_error_from_the_log(
    server: Any, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = f"Cannot import {packs / 'Face_Pack'} module for custom nodes: No module named 'cv2'\n"
    logged = [{"m": "something else\n"}, {"m": None}, {"t": "now", "m": message}]
    monkeypatch.setitem(sys.modules, "app.logger", SimpleNamespace(logs=logged))
    server.bridge.packs.keep_errors()
    logged.clear()
    pack = (found := await installed(server, packs))["packs"][0]
    assert (pack["state"], pack["error"]) == ("failed", "No module named 'cv2'")
    assert "could not import it (No module named 'cv2')" in found["how"]


async def test_the_errors_that_newer_versions_and_comfyui_manager_keep_are_used(
    server: Any, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"custom_nodes:Face_Pack": {"module_path": str(packs / "Face_Pack"), "error": "boom"}, "odd": 5}
    monkeypatch.setitem(sys.modules, "nodes", SimpleNamespace(LOADED_MODULE_DIRS={}, NODE_STARTUP_ERRORS=kept))
    assert (await installed(server, packs))["packs"][0]["error"] == "boom"
    kept.clear()
    collected = {"Face_Pack": {"msg": "Traceback\n  File\nValueError: bad\n"}}
    monkeypatch.setitem(sys.modules, "cm_global", SimpleNamespace(error_dict=collected))
    assert (await installed(server, packs))["packs"][0]["error"] == "ValueError: bad"
    collected.clear()
    monkeypatch.setitem(sys.modules, str(packs / "Face_Pack").replace(".", "_x_"), SimpleNamespace())
    pack = (await installed(server, packs))["packs"][0]
    assert (pack["state"], pack["error"]) == ("failed", None)


@pytest.mark.parametrize(
    "properties",
    [
        [],
        {"cnr_id": HTML, "aux_id": f"a/b/{HTML}", "ver": HTML},
        {"cnr_id": 5, "aux_id": ["a/b"], "ver": {}},
        {"cnr_id": "../../etc", "aux_id": "../.."},
        {"cnr_id": "x" * 101, "aux_id": "javascript:alert(1)"},
    ],
)
async def test_a_name_that_cannot_be_one_of_a_pack_is_ignored(server: Any, properties: Any) -> None:
    [found] = await missing(server, node(1, FACE, properties=properties))
    assert all(HTML not in json.dumps(pack) and ":" not in str(pack["id"]) for pack in found["packs"])
    assert not any(str(pack["repository"]).startswith("javascript") for pack in found["packs"])


@pytest.mark.parametrize(
    "node_map",
    [
        [],
        {"a": 5, "b": [], "c": [5], "d": [[5, None, {}], 7], "": [["x"]]},
        {GIT: [[FACE], {"title_aux": 5, "nodename_pattern": "("}], "x" * 1000: [[FACE]]},
        {GIT: [[FACE, "x" * 1000], []]},
        "not a list at all",
    ],
)
async def test_lists_of_another_form_are_survived(server: Any, packs: Path, node_map: Any) -> None:
    write_lists(
        packs / "comfyui-manager", node_map, {"custom_nodes": [5, {}, {"files": [5]}, {"id": 3, "files": ["/"]}]}
    )
    assert [one["type"] for one in await missing(server, node(1, FACE))] == [FACE]
    (packs / "comfyui-manager" / "extension-node-map.json").write_text("{")
    assert [one["type"] for one in await missing(server, node(1, FACE))] == [FACE]


def test_a_hundred_thousand_nodes_and_packs_give_a_short_answer_and_more_nodes_are_refused(tmp_path: Path) -> None:
    write_lists(tmp_path, {f"{GIT}{i}": [["Odd 0", *(f"Odd {i}.{j}" for j in range(100))]] for i in range(1000)})
    nodes = [node(i, f"Odd {i % 2}", properties={"cnr_id": f"pack-{i}"} if i % 2 else {}) for i in range(100_000)]
    lists = _lists(*(json.loads((tmp_path / name).read_text()) for name in (NODE_MAP_FILE, PACK_LIST_FILE)))
    types = [described(one, lists, [], manager=False) for one in missing_types({"nodes": nodes}, {BLUR})]
    assert [(len(one["nodes"]), one["count"], len(one["packs"])) for one in types] == [(100, 50_000, 10)] * 2
    with pytest.raises(UiapiError, match="more than 100000 nodes"):
        missing_types({"nodes": [*nodes, node(0, BLUR)]}, {BLUR})


async def test_at_most_a_thousand_types_are_listed_and_all_are_counted(server: Any) -> None:
    _status, body = await server.post(
        "missing_nodes", {"workflow": {"nodes": [node(i, f"Odd {i}") for i in range(1200)]}}
    )
    assert (len(body["response"]["types"]), body["response"]["total"]) == (1000, 1200)


async def test_subgraphs_that_contain_themselves_or_unfold_without_end_are_bounded(server: Any) -> None:
    loop = {"id": "a", "nodes": [node(1, "a"), node(2, FACE)]}
    [found] = await missing(server, node(1, "a"), definitions={"subgraphs": [loop]})
    assert found["count"] == 1
    chain = [{"id": f"g{i}", "nodes": [node(j, f"g{i + 1}") for j in range(10)]} for i in range(30)]
    body = {"nodes": [node(1, "g0")], "definitions": {"subgraphs": chain}}
    status, answer = await server.post("missing_nodes", {"workflow": body})
    assert (status, answer["code"]) == (413, "too_large")


@pytest.mark.usefixtures("manager")
async def test_lists_are_parsed_only_once_and_not_at_all_without_a_missing_type(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from comfyui_uiapi.bridge.comfyui import node_packs

    parsed: list[Any] = []
    lists = node_packs._lists

    def counted(*files: Any) -> Any:
        parsed.append(files)
        return lists(*files)

    monkeypatch.setattr(node_packs, "_lists", counted)
    assert await missing(server, node(1, BLUR)) == [] and parsed == []
    await missing(server, node(1, FACE))
    await missing(server, node(1, FACE))
    assert len(parsed) == 1


def test_no_command_installs_packs_or_restarts_comfyui() -> None:
    root = Path(__file__).resolve().parents[3]
    python = [path for room in ("bridge", "downloads", "client") for path in (root / room).rglob("*.py")]
    naming = {path.name for path in python if re.search(r"manager/(queue|reboot)", path.read_text())}
    # It only looks whether these routes are there.
    assert naming == {"node_packs.py"}
    assert not any(re.search("install|restart|reboot", name) for name in COMMANDS)
