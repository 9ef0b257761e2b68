"""What is generated of the JavaScript client is up to date, and its types hold for a program in TypeScript."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from comfyui_uiapi.tests.tools.generators import javascript
from comfyui_uiapi.tests.tools.lint.checks import node

ADVICE = "run python3 dev.py generate and commit what it writes"
PROGRAM = """
import { connect, UiapiError } from "comfyui-uiapi";

const comfy = await connect("http://127.0.0.1:8188", { name: "a program" });
const values: { [path: string]: unknown } = await comfy.call("get_fields", { fields: ["A.b"] });
const { files } = await comfy.run({ fields: { "A.b": 1 }, onEvent: (event) => console.log(event.name) });
const blob: Blob | undefined = files[0].blob;
for await (const item of comfy.sweep({ "A.b": [1, 2] })) console.log(item.index, item.images.length, values, blob);
const code = (error: unknown): string => (error instanceof UiapiError ? error.code : "");
// @ts-expect-error a parameter that the command does not have
await comfy.call("get_fields", { field: ["A.b"] });
// @ts-expect-error a command that does not exist
await comfy.call("get_feilds", {});
export { code };
"""


def test_the_table_and_the_version_are_what_the_declarations_say() -> None:
    assert javascript.TABLE.read_text() == javascript.table(), ADVICE
    assert javascript.PACKAGE.read_text() == javascript.package(), ADVICE


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Newly made types."""
    folder = tmp_path_factory.mktemp("types")
    javascript.write_types(folder)
    return folder


def test_the_types_are_what_the_declarations_and_the_code_say(types: Path) -> None:
    made = {path.name: path.read_text() for path in types.iterdir()}
    assert {path.name: path.read_text() for path in javascript.TYPES.iterdir()} == made, ADVICE


def test_a_typescript_program_is_checked_against_the_commands(types: Path, tmp_path: Path) -> None:
    package = tmp_path / "node_modules" / "comfyui-uiapi"
    package.parent.mkdir()
    package.symlink_to(javascript.SOURCE, target_is_directory=True)
    (tmp_path / "program.ts").write_text(PROGRAM)
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext"]
    options += ["--lib", "es2023,dom", "--preserveSymlinks"]
    (tmp_path / "package.json").write_text('{"type": "module"}')
    tsc = javascript.TOOLS / "node_modules/typescript/lib/tsc.js"
    done = subprocess.run(  # noqa: S603 - our own program
        [node(), tsc, *options, "program.ts"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
