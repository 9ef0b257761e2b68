"""Lists of values as text: numbers, ranges, quoted texts and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.client import UiapiError
from comfyui_uiapi.client.sweep.files.value_lists import values_in


def values(text: str) -> list[Any]:
    return [one.value for one in values_in("A.b", text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4,6.5,-8", [4, 6.5, -8]),
        ("1..8", [*range(1, 9)]),
        ("8..1:-3", [8, 5, 2]),
        ("3..1", [3, 2, 1]),
        ("0..1:0.25", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("0..0.3:0.1", [0.0, 0.1, 0.2, 0.3]),
        ("1..3,10", [1, 2, 3, 10]),
        ("euler, dpmpp_2m", ["euler", "dpmpp_2m"]),
        ('"a cat, asleep","a \\"dog\\""', ["a cat, asleep", 'a "dog"']),
        ("'a cat, asleep', x", ["a cat, asleep", "x"]),
        ("'tis, it", ["'tis", "it"]),
        ('"1..8","4"', ["1..8", "4"]),
        ("[1,2],[3,4]", [[1, 2], [3, 4]]),
        ("true,false,null", [True, False, None]),
        ('""', [""]),
        ("NaN,a..b", ["NaN", "a..b"]),
        ("18446744073709551615", [2**64 - 1]),
    ],
)
def test_a_list_has_the_values_that_were_meant(text: str, expected: list[Any]) -> None:
    assert values(text) == expected and [type(one) for one in values(text)] == [type(one) for one in expected]


@pytest.mark.parametrize("text", ["", "4,,6", "4,", "1..3:-1", "1..3:0", "0..10000", "@none.txt", "@none.png"])
def test_a_list_that_makes_no_sense_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(UiapiError) as refused:
        values(text)
    assert refused.value.code == "invalid"


def test_a_number_keeps_the_text_it_was_written_as() -> None:
    assert [one.text for one in values_in("A.b", "007,1e3,0..0.5:.5")] == ["007", "1e3", "0", "0.5"]


def test_a_text_file_gives_a_value_for_each_line_and_a_picture_itself(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("\ufeffa cat, asleep\n\n7\r\n  a dog \n", "utf-8")
    (tmp_path / "a.PNG").write_bytes(b"x")
    assert values(f"@{tmp_path}/prompts.txt,x") == ["a cat, asleep", 7, "a dog", "x"]
    assert values(f"@{tmp_path}/a.PNG") == [tmp_path / "a.PNG"]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(UiapiError, match="no values"):
        values(f"@{tmp_path}/empty.txt")
