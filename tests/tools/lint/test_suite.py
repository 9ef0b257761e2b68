"""The rules for the layout of tests/: each one that is broken is reported in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_uiapi.tests.tools.lint.suite import problems

ROOMS = ("bridge", "bridge/tabs", "web/ui")
# A tree that keeps every rule.
FILES = {
    "tests/bridge/tabs/test_tab.py": "from aiohttp.test_utils import TestServer\nfrom ...harness import wire\n",
    "tests/web/ui/dialogs.test.mjs": "",
    "tests/harness/wire.py": "",
}


def found(root: Path, changed: dict[str, str | None]) -> list[str]:
    """Returns the problems in the tree of FILES, with some files changed, added or (None) removed."""
    for name, content in {**FILES, **changed}.items():
        if content is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
    return [*problems(root, ROOMS)]


def test_tests_that_mirror_the_rooms_are_no_problem(tmp_path: Path) -> None:
    assert found(tmp_path, {}) == []


def test_a_room_without_tests_is_reported(tmp_path: Path) -> None:
    changed = {"tests/web/ui/dialogs.test.mjs": None, "tests/web/ui/helper.py": ""}
    assert found(tmp_path, changed) == ["web/ui: has no tests; add some to tests/web/ui/."]


def test_tests_of_the_same_name_are_reported_once(tmp_path: Path) -> None:
    assert found(tmp_path, {"tests/e2e/test_tab.py": ""}) == [
        "tests/bridge/tabs/test_tab.py and tests/e2e/test_tab.py: have the same name; rename one."
    ]


@pytest.mark.parametrize(
    "text",
    [
        "from .test_tab import graph\n",
        "from . import test_tab\n",
        "from comfyui_uiapi.tests.bridge.tabs.test_tab import graph\n",
        "def late():\n    from .test_tab import graph\n",
    ],
)
def test_an_import_of_another_test_module_is_reported(tmp_path: Path, text: str) -> None:
    [sentence] = found(tmp_path, {"tests/bridge/tabs/test_more.py": text})
    line = text.count("\n")
    assert sentence.startswith(f"tests/bridge/tabs/test_more.py:{line}: imports test_tab; move what both need")


@pytest.mark.parametrize(
    "wait",
    [
        "await asyncio.wait_for(asked, 5)",
        "await asyncio.wait_for(asked, timeout=29.9)",
        "frame = await program.receive_json(timeout=5)",
        "subprocess.run(words, timeout=20)",
    ],
)
def test_a_wait_that_fails_on_a_busy_machine_is_reported(tmp_path: Path, wait: str) -> None:
    [sentence] = found(tmp_path, {"tests/harness/more.py": f"async def test_a():\n    {wait}\n"})
    assert sentence.startswith("tests/harness/more.py:2: waits only ") and sentence.endswith("wait at least 30 s.")


@pytest.mark.parametrize(
    "wait",
    [
        "await asyncio.wait_for(asked, 60)",
        "await asyncio.wait_for(asked, PATIENCE)",
        "await program.receive_json(timeout=None)",
        "answer = await client.call(timeout=0.1)",
        "with pytest.raises(asyncio.TimeoutError):\n        await program.receive(timeout=0.05)",
    ],
)
def test_a_patient_wait_and_one_in_vain_are_no_problem(tmp_path: Path, wait: str) -> None:
    assert found(tmp_path, {"tests/harness/more.py": f"async def test_a():\n    {wait}\n"}) == []
