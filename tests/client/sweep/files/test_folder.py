"""The folder of a sweep: files, an index that is whole at any time, and what a later call has left to do."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.client import OutputFile, UiapiError
from comfyui_uiapi.client.common.results import OutputText
from comfyui_uiapi.client.sweep.files.folder import SweepFolder, opened
from comfyui_uiapi.client.sweep.item import SweepItem

WANTED: list[Any] = [[["A.cfg", cfg], ["A.text", text]] for cfg in (4, 6) for text in ("cat", 'a "dog", =1')]


def done(index: int, *names: str) -> SweepItem:
    files = [OutputFile("9", name, f"/view?filename={name}", data=f"{index} {name}".encode()) for name in names]
    return SweepItem(index, {}, files=files, prompt_id=f"p{index}")


def failed(index: int) -> SweepItem:
    return SweepItem(index, {}, "error", UiapiError("execution_failed", "no model"))


def rows(folder: Path) -> Any:
    return json.loads((folder / "index.json").read_text())


def test_files_are_named_by_their_values_and_both_indexes_list_them(tmp_path: Path) -> None:
    with opened(tmp_path / "out", WANTED, resume=False) as folder:
        folder.add(WANTED[1], done(1, "x.png", "y.png", "z.webm"))
        folder.add(WANTED[0], failed(0))
        assert folder.left == WANTED[2:]
    files = rows(tmp_path / "out")[0]["files"]
    assert len(files) == 3 and files[0].startswith("cfg=4,text=a _dog_, =1~") and files[2].endswith("~3.webm")
    assert (tmp_path / "out" / files[1]).read_bytes() == b"1 y.png"
    with (tmp_path / "out" / "index.csv").open(newline="") as file:
        table = [*csv.DictReader(file)]
    assert [(row["index"], row["A.cfg"]) for row in table] == [("1", "4"), ("0", "4")]
    assert [row["A.text"] for row in table] == ['a "dog", =1', "cat"]
    assert (table[1]["status"], table[1]["error"]) == ("error", "no model")


def test_the_index_is_valid_json_after_each_result(tmp_path: Path) -> None:
    with opened(tmp_path, WANTED, resume=False) as folder:
        assert rows(tmp_path) == []
        for index, variation in enumerate(WANTED):
            folder.add(variation, done(index, "x.png"))
            assert [row["index"] for row in rows(tmp_path)] == [*range(index + 1)]


def test_finished_variations_are_skipped_and_failed_or_lost_ones_are_run_again(tmp_path: Path) -> None:
    with opened(tmp_path, WANTED, resume=False) as folder:
        for index in (0, 1, 3):
            folder.add(WANTED[index], done(index, "x.png"))
        folder.add(WANTED[2], failed(2))
    (tmp_path / rows(tmp_path)[0]["files"][0]).unlink()
    with opened(tmp_path, WANTED, resume=True) as folder:
        assert folder.left == [WANTED[0], WANTED[2]]
        for index in (0, 2):
            folder.add(WANTED[index], done(index, "x.png"))
        assert folder.left == []
    assert sorted(row["index"] for row in rows(tmp_path)) == [0, 1, 2, 3]
    assert len((tmp_path / "index.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("cut", [1, 3, 40, 200])
def test_an_index_that_was_cut_off_keeps_its_whole_rows(tmp_path: Path, cut: int) -> None:
    with opened(tmp_path, WANTED, resume=False) as folder:
        for index in range(3):
            folder.add(WANTED[index], done(index, "x.png"))
    whole = (tmp_path / "index.json").read_bytes()
    (tmp_path / "index.json").write_bytes(whole[:-cut])
    with opened(tmp_path, WANTED, resume=True) as folder:
        assert WANTED[3] in folder.left and len(folder.left) <= 3
        assert len(rows(tmp_path)) == 4 - len(folder.left)


def test_an_index_that_another_program_has_formatted_is_read_all_the_same(tmp_path: Path) -> None:
    with opened(tmp_path, WANTED, resume=False) as folder:
        folder.add(WANTED[0], done(0, "x.png"))
    (tmp_path / "index.json").write_text(json.dumps(rows(tmp_path), indent=2))
    with opened(tmp_path, WANTED, resume=True) as folder:
        assert folder.left == WANTED[1:]


@pytest.mark.parametrize("text", ['{"name": "a page"}', '[{"name": "a page"}]', "[1, 2]", "\x00\x01", '["cut off", '])
@pytest.mark.parametrize("resume", [False, True])
def test_a_file_of_that_name_that_is_no_index_stays_as_it_is(tmp_path: Path, text: str, resume: bool) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(UiapiError, match="name another folder") as refused, opened(tmp_path, WANTED, resume=resume):
        pass
    assert refused.value.code == "conflict" and (tmp_path / "index.json").read_text() == text


@pytest.mark.parametrize("left", ["", "[", "[\n]\n", '[\n{"ind', '[\n{"index": 0, "fields": {"A.c'])
def test_an_index_without_a_whole_row_is_begun_anew(tmp_path: Path, left: str) -> None:
    (tmp_path / "index.json").write_text(left)
    with opened(tmp_path, WANTED, resume=True) as folder:
        assert folder.left == WANTED and rows(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"error": None}, True),
        ({"texts": 7}, False),
        ({"files": [5]}, False),
        ({"error": "no model", "status": "error"}, False),
        ({"status": None}, False),
        ({"index": "x", "prompt_id": []}, True),
    ],
)
def test_a_damaged_row_is_completed_or_left_out(tmp_path: Path, changes: dict[str, Any], kept: bool) -> None:
    row = {"index": 0, "fields": dict(map(tuple, WANTED[0])), "status": "success", "files": [], **changes}
    (tmp_path / "index.json").write_text(json.dumps([row]))
    try:
        with opened(tmp_path, WANTED, resume=True) as folder:
            assert folder.left == WANTED[1 if kept else 0 :]
            assert len(folder.entries()) == len(WANTED)
    except UiapiError as error:
        assert not kept and error.code == "conflict"


def test_a_row_for_which_the_disk_has_no_room_leaves_the_index_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        """A file on a disk with room for ten more bytes."""

        def write(self, content: Any) -> int:
            return super().write(content[:10])

    with opened(tmp_path, WANTED, resume=False) as folder:
        folder.add(WANTED[0], done(0, "x.png"))
        before = rows(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", lambda path, mode, **how: Full(path, mode))
            with pytest.raises(UiapiError, match="free some space"):
                folder.index.add({**before[0], "index": 1})
        assert rows(tmp_path) == before
        folder.add(WANTED[1], done(1, "x.png"))
        assert len(rows(tmp_path)) == 2


def test_a_larger_grid_keeps_what_it_shares_with_the_smaller_one(tmp_path: Path) -> None:
    with opened(tmp_path, WANTED[:2], resume=False) as folder:
        folder.add(WANTED[0], done(0, "x.png"))
        folder.add(WANTED[1], done(1, "x.png"))
    with opened(tmp_path, [WANTED[3], WANTED[1]], resume=True) as folder:
        assert folder.left == [WANTED[3]]
    assert [(row["index"], row["fields"]["A.text"]) for row in rows(tmp_path)] == [(2, "cat"), (1, 'a "dog", =1')]


def test_repeated_variations_are_counted(tmp_path: Path) -> None:
    with opened(tmp_path, [WANTED[0]] * 3, resume=False) as folder:
        folder.add(WANTED[0], done(0, "x.png"))
        assert folder.left == [WANTED[0]] * 2
    with opened(tmp_path, [WANTED[0]] * 3, resume=True) as folder:
        assert folder.left == [WANTED[0]] * 2 and folder.add(WANTED[0], done(1, "x.png"))
    assert [row["files"] for row in rows(tmp_path)] == [["cfg=4,text=cat.png"], ["cfg=4,text=cat~run2.png"]]


def test_an_earlier_index_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    def add(folder: SweepFolder) -> None:
        folder.add(WANTED[0], done(0, "x.png"))

    def begin(folder: SweepFolder) -> None:
        folder.begun("s1", "http://a", WANTED)

    for write in (add, begin):
        place = tmp_path / write.__name__
        # A call that has done nothing leaves nothing in the way.
        for _ in range(2):
            with opened(place, WANTED, resume=False) as folder:
                pass
        write(folder)
        with pytest.raises(UiapiError, match="--resume"), opened(place, WANTED, resume=False):
            pass


def test_only_one_process_writes_to_a_folder(tmp_path: Path) -> None:
    with (
        opened(tmp_path, WANTED, resume=False),
        pytest.raises(UiapiError, match="Another uiapi sweep"),
        opened(tmp_path, WANTED, resume=True),
    ):
        pass


def test_a_sweep_under_way_is_known_to_the_next_process_at_the_same_comfyui(tmp_path: Path) -> None:
    with opened(tmp_path, WANTED, resume=False) as folder:
        folder.begun("s1", "http://a", WANTED)
    with opened(tmp_path, WANTED, resume=True) as folder:
        assert folder.under_way("http://a") == ("s1", WANTED) and folder.under_way("http://b") is None
        folder.ended()
        assert folder.under_way("http://a") is None


def test_texts_are_saved_if_there_are_no_files(tmp_path: Path) -> None:
    text = OutputText.of({"text": "hello", "node_id": "1", "title": "Shown"})
    with opened(tmp_path, WANTED, resume=False) as folder:
        folder.add(WANTED[0], SweepItem(0, {}, texts=[text]))
    assert (tmp_path / "cfg=4,text=cat.txt").read_text() == "hello"


def test_a_saved_picture_gets_the_plain_name_before_a_preview(tmp_path: Path) -> None:
    item = done(0, "preview.png", "saved.png")
    item.files[0].type = "temp"
    with opened(tmp_path, WANTED, resume=False) as folder:
        folder.add(WANTED[0], item)
    assert (tmp_path / "cfg=4,text=cat.png").read_bytes() == b"0 saved.png"


def test_a_result_that_is_not_wanted_is_left_out(tmp_path: Path) -> None:
    with opened(tmp_path, WANTED[:1], resume=False) as folder:
        assert folder.add(WANTED[3], done(3, "x.png")) is None
        assert not folder.wants(WANTED[3]) and folder.wants(WANTED[0])
    assert rows(tmp_path) == []


def test_the_sheet_shows_every_variation_in_its_place(tmp_path: Path) -> None:
    folder: SweepFolder
    with opened(tmp_path, WANTED, resume=False) as folder:
        folder.add(WANTED[2], done(2, "x.png"))
        folder.add(WANTED[1], failed(1))
        entries = folder.entries()
    assert [entry.failed for entry in entries] == [False, True, False, False]
    assert entries[2].picture == tmp_path / "cfg=6,text=cat.png" and entries[0].picture is None
