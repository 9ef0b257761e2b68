"""Random field paths on graphs with random names lead to one field or are refused with an error sentence."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.tests.tools import build
from hypothesis import given, settings
from hypothesis import strategies as st

SCRIPT = Path(__file__).with_name("paths.mjs")
CODES = ("invalid", "unknown_path", "ambiguous_path")
NAMES = st.sampled_from(
    ["KSampler", "ksampler", "seed", "text", "value", "a.b", "a/b", "a[1]", '"q"', "#3", "Ä b", "", " ", ".", "\\"]
) | st.text(max_size=4)
# Widgets always have a name; empty names, and names that differ only in case, are not generated.
WIDGETS = st.dictionaries(NAMES.filter(str.strip), st.integers(), max_size=3)
INNER = st.lists(st.tuples(NAMES, NAMES, WIDGETS), max_size=3)
NODES: st.SearchStrategy[list[Any]] = st.lists(
    st.tuples(NAMES, NAMES, WIDGETS) | st.tuples(NAMES, st.just(""), st.just({}), INNER), max_size=4
)
MARKS = st.sampled_from([".", "/", "[0]", "[1]", ".inputs[0]", '"', "#1", ":"])
PATHS = st.lists(NAMES | MARKS, max_size=5).map("".join)


@pytest.fixture
def resolver() -> Iterator[subprocess.Popen[str]]:
    """web/paths/paths.js in the Node.js that Playwright ships."""
    [node] = build.VENV.glob("lib/python3*/site-packages/playwright/driver/node")
    process = subprocess.Popen(  # noqa: S603 - our own script
        [node, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    with process:
        yield process
        process.kill()


def test_any_path_leads_to_a_field_or_is_refused_and_every_proposed_path_works(
    examples: settings, resolver: subprocess.Popen[str]
) -> None:
    requests, answers = resolver.stdin, resolver.stdout
    assert requests is not None and answers is not None

    @examples
    @given(NODES, PATHS)
    def holds(nodes: list[Any], path: str) -> None:
        requests.write(json.dumps({"nodes": nodes, "path": path}) + "\n")
        requests.flush()
        answer = json.loads(answers.readline())
        assert "crash" not in answer, answer["crash"]
        assert answer["astray"] == [] and answer["offered"] == []
        found = answer["found"]
        assert "field" in found or (found["code"] in CODES and found["said"])

    holds()
