"""Tests of the output nodes to which a run without a tab is limited."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui.targets import output_targets
from comfyui_uiapi.common.errors import UiapiError


class Step:
    OUTPUT_NODE = False


class Save:
    OUTPUT_NODE = True


CLASSES = {"Step": Step, "Save": Save}


def node(kind: str, title: str, *origins: str) -> dict[str, Any]:
    return {
        "class_type": kind,
        "inputs": {f"in{at}": [origin, 0] for at, origin in enumerate(origins)},
        "_meta": {"title": title},
    }


PROMPT = {
    "1": node("Step", "Make"),
    "2": node("Step", "Blur", "1"),
    "3": node("Save", "Far", "2"),
    "4": node("Save", "Near", "1"),
    "5": node("Step", "Dead end"),
    "6": node("Save", "Twin"),
    "7": node("Save", "Twin"),
}


@pytest.mark.parametrize(
    ("paths", "ids"),
    [(["Far"], ["3"]), (["#4"], ["4"]), (["4", "near"], ["4"]), (["Twin[1]"], ["7"]), (['"Far"', "#6"], ["3", "6"])],
)
def test_output_nodes_are_found_by_title_and_id(paths: list[str], ids: list[str]) -> None:
    assert output_targets(PROMPT, CLASSES, paths) == ids


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("Make", "invalid", 'node #4 "Near", node #3 "Far"'),
        ("Blur", "invalid", 'node #3 "Far"'),
        ("Dead end", "invalid", "no output node lies behind it"),
        ("Twin", "ambiguous_path", "#6, #7"),
        ("Nothing", "unknown_node", "'Nothing'"),
    ],
)
def test_another_target_is_refused_with_the_output_nodes_behind_it(path: str, code: str, words: str) -> None:
    with pytest.raises(UiapiError) as refused:
        output_targets(PROMPT, CLASSES, [path])
    assert refused.value.code == code
    assert words in refused.value.message
