"""query_fields from a snapshot, tested with the same cases as the tab's own answers."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui.picture_store import digests_in
from comfyui_uiapi.bridge.protocol.codec import decode_objects
from comfyui_uiapi.bridge.tabs import graph_snapshot
from comfyui_uiapi.bridge.tabs.graph_snapshot import Snapshot
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.tests import harness

TABLE: dict[str, Any] = json.loads((Path(harness.__path__[0]) / "query_cases.json").read_text("utf-8"))
NODES = {node["id"]: node for node in TABLE["nodes"]}


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_a_snapshot_selects_the_same_nodes_as_a_tab(case: dict[str, Any]) -> None:
    snapshot = Snapshot.of({"workflow": {}, "output": {}, "nodes": TABLE["nodes"]})
    assert snapshot is not None
    if "code" in case:
        with pytest.raises(UiapiError) as refused:
            snapshot.answer("query_fields", case["query"])
        assert refused.value.code == case["code"]
        return
    answer = snapshot.answer("query_fields", case["query"])
    found = answer.pop("nodes")
    assert {"ids": [node["id"] for node in found], **answer} == {
        key: case[key] for key in ("ids", "total", "next_offset") if key in case
    }
    for node in found:
        assert sorted(node) == case["keys"] if "keys" in case else node == NODES[node["id"]]


def test_a_large_graph_is_not_decoded_until_it_is_read_and_then_only_the_part_that_is_read() -> None:
    nodes = [{"id": str(number), "widgets": [{"name": "w", "value": number}]} for number in range(2000)]
    parts = {"workflow": {"nodes": nodes}, "output": {node["id"]: {"inputs": {}} for node in nodes}, "nodes": nodes}
    frame = json.dumps({"type": "event", "event": "snapshot", "data": {key: json.dumps(parts[key]) for key in parts}})
    gc.collect()
    before = len(gc.get_objects())
    snapshot = Snapshot.of(decode_objects(frame)[0]["data"])
    assert snapshot is not None and len(gc.get_objects()) - before < 100
    assert snapshot.answer("get_workflow_api", {}) == {"output": parts["output"]}
    assert len(gc.get_objects()) - before < len(nodes) * 3
    assert snapshot.answer("get_fields", {"fields": ["#7.w"]}) == {"#7.w": 7}
    assert snapshot.answer("get_workflow", {})["workflow"] == {key: parts[key] for key in ("workflow", "output")}


@pytest.mark.parametrize("cut", range(-60, 10, 7))
def test_a_name_in_the_text_of_a_graph_is_found_wherever_that_is_cut(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    digest = "0123456789abcdef"
    text = json.dumps({"nodes": ["x" * 5000, f"INPUT_Photo \N{CAMERA}_{digest}.png", "y" * 5000]}, ensure_ascii=False)
    monkeypatch.setattr(graph_snapshot, "PIECE", len(text[: text.index("INPUT")].encode()) - cut)
    snapshot = Snapshot.of({"workflow": text, "output": "{}", "nodes": "[]"})
    assert snapshot is not None and digests_in(snapshot.texts()) == {digest}
