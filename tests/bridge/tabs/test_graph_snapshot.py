"""query_fields from a snapshot, tested with the same cases as the tab's own answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
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
