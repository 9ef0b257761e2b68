"""The rule for the size of folders: one with too many entries is reported, unless there is a reason."""

from __future__ import annotations

from pathlib import Path

from comfyui_uiapi.tests.tools.lint.folders import MAX_ENTRIES, problems

FULL = [Path(f"docs/{number}.md") for number in range(MAX_ENTRIES)]


def test_a_full_folder_is_no_problem() -> None:
    assert [*problems(FULL, {})] == []


def test_a_folder_with_one_file_too_many_is_reported() -> None:
    [sentence] = problems([*FULL, Path("docs/more.md")], {})
    assert sentence == "docs: has 16 files and folders; group them so that it has at most 15."


def test_a_subfolder_counts_as_one_entry_however_many_files_it_has() -> None:
    [sentence] = problems([*FULL, Path("docs/more/a.md"), Path("docs/more/b.md")], {})
    assert sentence.startswith("docs: has 16 ")


def test_a_folder_with_a_reason_may_have_more() -> None:
    assert [*problems([*FULL, Path("docs/more.md")], {"docs": "a reason"})] == []


def test_a_reason_that_is_no_longer_needed_is_reported() -> None:
    [sentence] = problems(FULL, {"docs": "a reason"})
    assert sentence.startswith("docs: no longer needs to be excepted")
