"""Contact sheets: what stands where, labels that are whole, and what cannot be shown."""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.client import OutputFile, UiapiError
from comfyui_uiapi.client.sweep.files.entry import Entry
from comfyui_uiapi.client.sweep.files.layout import arranged
from comfyui_uiapi.client.sweep.files.lettering import Lettering
from comfyui_uiapi.client.sweep.files.sheet import MAX_SHEET, check_sheet, contact_sheet, sheet, write_sheets
from comfyui_uiapi.client.sweep.item import SweepItem
from PIL import Image


def product(**axes: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def picture(color: str, width: int = 64, height: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, format="PNG")
    return buffer.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image.convert("RGB")


def colors(image: Image.Image) -> set[Any]:
    found = image.getcolors(image.width * image.height)
    assert found is not None
    return {color for _, color in found}


def test_two_lists_become_rows_and_columns() -> None:
    layout = arranged(product(cfg=[4, 6], seed=[1, 2, 3]))
    assert layout.rows == [[0, 1, 2], [3, 4, 5]] and layout.labels == []
    assert layout.columns == ["seed\n1", "seed\n2", "seed\n3"] and layout.sides == ["cfg: 4", "cfg: 6"]


def test_the_rows_of_more_lists_name_all_but_the_last() -> None:
    layout = arranged(product(a=[1, 2], b=["x", "y"], c=[True, False]))
    assert layout.rows == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert layout.sides == ["a: 1\nb: x", "a: 1\nb: y", "a: 2\nb: x", "a: 2\nb: y"]


def test_pictures_in_any_order_stand_in_their_places() -> None:
    one, two, three, four = product(a=[1, 2], b=["x", "y"])
    layout = arranged([one, four, two, three])
    assert layout.rows == [[0, 2], [3, 1]] and layout.sides == ["a: 1", "a: 2"]
    assert layout.columns == ["b\nx", "b\ny"]


@pytest.mark.parametrize(
    "fields",
    [
        [{"A.seed": seed} for seed in range(10)],
        [{"A.seed": 1, "A.cfg": 2}, {"A.seed": 2, "A.cfg": 3}, {"A.seed": 3, "A.cfg": 2}],
        [{"A.seed": 1}, {"A.cfg": 2}],
        product(a=[1, 2], b=[*range(40)]),
    ],
)
def test_everything_else_is_wrapped_with_a_label_each(fields: list[dict[str, Any]]) -> None:
    layout = arranged(fields)
    assert [number for row in layout.rows for number in row if number is not None] == [*range(len(fields))]
    assert len(layout.labels) == len(fields) and layout.columns == layout.sides == []


def test_a_path_with_one_value_is_no_row() -> None:
    assert arranged(product(a=[1], b=[1, 2, 3])).labels == ["b: 1", "b: 2", "b: 3"]


def test_a_label_keeps_a_line_for_each_of_its_fields_and_shortens_the_longest() -> None:
    lettering = Lettering(15)
    text = "\n".join(["text: " + "many words " * 50, *(f"field{number}: {number}" for number in range(5))])
    lines = lettering.wrapped(text, 200, 4)
    assert lines[1:] == [f"field{number}: {number}" for number in range(5)] and lines[0].endswith("...")
    assert len(lettering.wrapped(text, 200, 9)) == 9
    assert all(lettering.width(line) <= 200 for line in lettering.wrapped("unbreakable" * 50, 200, 4))


def test_a_sheet_shows_every_picture_and_every_error() -> None:
    fields = product(**{"A.cfg": [4, 6], "A.seed": [1, 2]})
    entries = [Entry(one, picture(color)) for one, color in zip(fields, ("red", "lime", "blue", "cyan"), strict=True)]
    whole = colors(opened(sheet(entries)))
    assert {(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255)} <= whole
    entries[1] = Entry(fields[1], None, "no model", failed=True)
    entries[2] = Entry(fields[2], b"no picture")
    entries[3] = Entry(fields[3], None)
    whole = colors(opened(sheet(entries)))
    assert (255, 0, 0) in whole and (0, 255, 0) not in whole and (179, 38, 30) in whole


def test_labels_stay_inside_the_sheet_and_out_of_the_pictures() -> None:
    long = "a lighthouse at dawn, " * 40 + "unbreakable" * 30
    for fields in (product(a=[long, "日本 Ünï"], b=[long, "x"]), [{"a": f"{long}{number}"} for number in range(3)]):
        entries = [Entry(one, picture("red", 300, 300)) for one in fields]
        image = opened(sheet(entries))
        border = 4
        inner = image.crop((border, border, image.width - border, image.height - border))
        blank = Image.new("RGB", image.size, "white")
        blank.paste(inner, (border, border))
        assert blank.tobytes() == image.tobytes()
        # Nothing is drawn over a picture: all of its pixels are there.
        found = image.getcolors(image.width * image.height)
        assert found is not None
        assert {color: count for count, color in found}[(255, 0, 0)] == len(fields) * 256 * 256


@pytest.mark.parametrize("count", [1, 7, 400])
def test_a_sheet_is_bounded(count: int) -> None:
    image = opened(sheet([Entry({"a": number}, picture("red", 8, 8)) for number in range(count)], longest=1024))
    assert max(image.size) <= 2048
    wide = [Entry(one, None) for one in product(a=[*range(100)], b=[*range(4)])]
    assert max(opened(sheet(wide)).size) <= MAX_SHEET


def test_more_pictures_than_fit_make_further_sheets(tmp_path: Path) -> None:
    entries = [Entry({"a": number}, None) for number in range(401)]
    written = write_sheets(entries, tmp_path / "s.png", thumb=16)
    assert [path.name for path in written] == ["s.png", "s_2.png"]


def test_the_rows_of_a_large_grid_keep_their_labels_on_further_sheets(tmp_path: Path) -> None:
    layout = arranged(product(a=[*range(60)], b=[*range(10)]))
    first, second = layout.parts(400)
    assert (len(first.rows), len(second.rows)) == (40, 20) and second.columns == first.columns == layout.columns
    assert second.sides[0] == "a: 40" and second.rows[0][0] == 400
    assert [
        path.name
        for path in write_sheets(
            [Entry(one, None) for one in product(a=[*range(60)], b=[*range(10)])], tmp_path / "s.png", thumb=16
        )
    ] == ["s.png", "s_2.png"]


def test_rows_with_many_fields_are_as_high_as_their_labels() -> None:
    fields = product(a=[1, 2], b=[1, 2], c=[1, 2], d=[1, 2], e=[1, 2], f=[1, 2])
    image = opened(sheet([Entry(one, picture("red", 40, 20)) for one in fields]))
    assert image.height >= 32 * 5 * Lettering(15).line


def test_results_of_a_loop_become_a_sheet(tmp_path: Path) -> None:
    items = [
        SweepItem(1, {"a": 2}, files=[OutputFile("1", "a.png", "/view", data=picture("lime"))]),
        SweepItem(0, {"a": 1}, error=UiapiError("execution_failed", "no")),
        SweepItem(2, {"a": 3}),
    ]
    [path] = contact_sheet(items, tmp_path / "sheet.jpg")
    assert path.read_bytes().startswith(b"\xff\xd8")


def test_transparent_and_other_pictures_are_shown() -> None:
    pictures = []
    for mode in ("RGBA", "P", "L", "I;16", "CMYK"):
        buffer = io.BytesIO()
        Image.new(mode, (20, 20)).save(buffer, format="TIFF" if mode == "CMYK" else "PNG")
        pictures.append(Entry({"a": mode}, buffer.getvalue()))
    assert opened(sheet(pictures)).width > 100


@pytest.mark.parametrize("name", ["sheet.txt", "sheet"])
def test_a_sheet_must_be_a_picture(name: str) -> None:
    with pytest.raises(UiapiError, match=r"name it sheet\.png"):
        check_sheet(Path(name))


def test_without_pillow_a_sheet_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UiapiError, match="pip install pillow"):
        check_sheet(Path("a.png"))
