"""The plan of the rooms: every import that it forbids is reported in one sentence with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_uiapi.tests.tools.lint.architecture import PLAN, Plan, imports

ROOMS = Plan(
    {
        "low": (),
        "high": ("low",),
        "high/top": ("low", "high"),
        "web/common": (),
        "web/ui": ("web/common",),
        "web": ("web/common", "web/ui"),
    }
)
# One file in each room, with every import that the plan allows.
FILES = {
    "low/errors.py": "import os\n",
    "high/door.py": "from ..low.errors import Failed\n",
    "high/top/roof.py": "from ...low import errors\nfrom .. import door\n",
    "web/common/dom.js": "/* */\n",
    "web/ui/panel.js": 'import { dom } from "../common/dom.js";\n',
    "web/uiapi.js": 'import { app } from "../../scripts/app.js";\nimport { panel } from "./ui/panel.js";\n',
}


def problems(root: Path, changed: dict[str, str | None], plan: Plan = ROOMS) -> list[str]:
    """Returns the problems in the tree of FILES, with some files changed, added or (None) removed."""
    for name, content in {**FILES, **changed}.items():
        if content is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
    return [*plan.problems(root)]


def test_imports_that_the_plan_allows_are_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, {}) == []


@pytest.mark.parametrize(
    "text",
    [
        "from ..high import door\n",
        "from ..high.door import Door\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..high import door\n",
        "def late():\n    from ..high.door import Door\n",
        "import importlib\ndoor = importlib.import_module('..high.door', __package__)\n",
        "import asyncio, importlib\nasyncio.to_thread(importlib.import_module, '..high.door', __package__)\n",
    ],
)
def test_an_import_of_a_room_above_is_forbidden_wherever_it_stands(tmp_path: Path, text: str) -> None:
    line = text.count("\n")
    assert problems(tmp_path, {"low/errors.py": text, "high/door.py": ""}) == [
        f"low/errors.py:{line}: imports high/door.py, but low may import no other room; "
        "move the shared code to a lower room, or pass it as an argument."
    ]


def test_the_sentence_names_the_rooms_that_may_be_imported(tmp_path: Path) -> None:
    [found] = problems(tmp_path, {"high/door.py": "from .top.roof import Roof\n", "high/top/roof.py": ""})
    assert "high/door.py:1: imports high/top/roof.py, but high may import only low;" in found


@pytest.mark.parametrize(
    "text",
    [
        'import { panel } from "../ui/panel.js";\n',
        'import {\n  panel,\n} from "../ui/panel.js";\n',
        'import "../ui/panel.js";\n',
        'export { panel } from "../ui/panel.js";\n',
        'export const late = () => import("../ui/panel.js");\n',
    ],
)
def test_a_script_that_imports_a_room_above_is_found(tmp_path: Path, text: str) -> None:
    [found] = problems(tmp_path, {"web/common/dom.js": f"/* */\n{text}", "web/ui/panel.js": "/* */\n"})
    assert found.startswith("web/common/dom.js:2: imports web/ui/panel.js, but web/common may import no other room")


def test_a_scripts_types_and_texts_are_no_imports(tmp_path: Path) -> None:
    text = '/** @type {import("../ui/panel.js").Panel} */\nexport const name = "./ui/panel.js";\n'
    assert problems(tmp_path, {"web/common/dom.js": text}) == []


def test_only_the_entry_imports_what_the_page_serves(tmp_path: Path) -> None:
    [found] = problems(tmp_path, {"web/common/dom.js": 'import { api } from "../../../scripts/api.js";\n'})
    assert found.startswith(
        "web/common/dom.js:1: imports ../scripts/api.js, which is outside of all rooms; only web/uiap"
    )


def test_files_of_one_room_that_import_each_other_in_a_circle_are_named_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {
            "low/errors.py": "from .codes import CODES\n",
            "low/codes.py": "from . import texts\n",
            "low/texts.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .errors import Failed\n",
            "web/ui/panel.js": 'import { log } from "./log.js";\n',
            "web/ui/log.js": 'import { panel } from "./panel.js";\n',
        },
    )
    assert found == [
        f"{circle}: import each other in a circle; move the shared code into another file."
        for circle in (
            "low/codes.py → low/texts.py → low/errors.py → low/codes.py",
            "web/ui/log.js → web/ui/panel.js → web/ui/log.js",
        )
    ]


def test_a_package_that_names_its_own_modules_is_no_circle(tmp_path: Path) -> None:
    assert (
        problems(tmp_path, {"low/__init__.py": "from . import errors\n", "low/codes.py": "from . import errors\n"})
        == []
    )


def test_code_in_a_folder_without_a_place_in_the_plan_is_found(tmp_path: Path) -> None:
    [found] = problems(tmp_path, {"high/new/thing.py": "from ...low import errors\n"})
    assert found.startswith("high/new: is not a room; add it")


def test_a_room_without_code_is_found(tmp_path: Path) -> None:
    [found] = problems(tmp_path, {"high/top/roof.py": None})
    assert found.startswith("high/top: contains no code; remove it")


def test_a_file_apart_from_its_folder_is_held_to_its_own_room(tmp_path: Path) -> None:
    allowed = {"base": (), "low": ("base",), "high": ("base", "low"), "high/top": ("low", "high")}
    plan = Plan({**ROOMS.allowed, **allowed}, {"high/names.py": "base"})
    assert problems(tmp_path, {"high/names.py": "", "low/errors.py": "from ..high.names import NAMES\n"}, plan) == []
    [found] = problems(tmp_path, {"high/names.py": "from .door import Door\n"}, plan)
    assert found.startswith("high/names.py:1: imports high/door.py, but base may import no other room")


def test_a_plan_whose_rooms_may_import_each_other_is_refused() -> None:
    plan = Plan({"a": ("b", "nowhere"), "b": ("c",), "c": ("a",)})
    assert [*plan.errors()] == [
        "a: may import nowhere, which is not a room; correct the table in tests/tools/lint/architecture.py.",
        "a → b → c → a: may import each other in a circle; remove an arrow from the table in "
        "tests/tools/lint/architecture.py.",
    ]


def test_our_own_plan_has_no_circle_and_no_unknown_room() -> None:
    assert [*PLAN.errors()] == []
    assert set(PLAN.apart.values()) <= set(PLAN.allowed)


def test_imports_are_found_in_our_own_code() -> None:
    root = Path(__file__).resolve().parents[3]
    assert {found.target for found in imports(root, "web/uiapi.js")} >= {"web/commands.js", "../scripts/app.js"}
    assert "bridge/__init__.py" not in {found.target for found in imports(root, "server.py")}
