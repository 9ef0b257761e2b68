"""File names of variations: readable, safe on every system, bounded and unique."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.client.sweep.files.names import names_of, suffix_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def names(*variations: dict[str, Any]) -> list[str]:
    return names_of([[*map(list, one.items())] for one in variations])


def test_a_name_has_the_short_names_of_its_fields_and_their_values() -> None:
    assert names({"KSampler.cfg": 6.5, "KSampler.seed": 3}) == ["cfg=6.5,seed=3"]
    assert names({"A.text": "a", "B.text": True}) == ["A.text=a,B.text=true"]
    assert names({"Outer/Inner.cfg": 0.1 + 0.2, "Photo.image": Path("x/cat.png")}) == ["cfg=0.3,image=cat.png"]


def test_the_same_variation_again_has_its_number() -> None:
    assert names({"A.b": 1}, {"A.b": 1}, {"A.b": 2}, {"A.b": 1}) == ["b=1", "b=1~run2", "b=2", "b=1~run3"]


def test_values_that_differ_only_in_case_have_different_names() -> None:
    found = names({"A.b": "Cat"}, {"A.b": "cat"}, {"A.b": "dog"})
    assert len({name.casefold() for name in found}) == 3 and found[2] == "b=dog"


def test_a_long_text_is_shortened_and_still_unique() -> None:
    found = names({"A.text": "x" * 500 + "1"}, {"A.text": "x" * 500 + "2"})
    assert found[0] != found[1] and all(len(name) < 80 for name in found)


ANY_VALUE = st.one_of(
    st.text(max_size=300), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), st.lists(st.text())
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.text(min_size=1, max_size=60), ANY_VALUE, min_size=1, max_size=6), max_size=8))
def test_whatever_the_values_are_the_names_are_safe_bounded_and_unique(variations: list[dict[str, Any]]) -> None:
    found = names(*variations)
    assert len({name.casefold() for name in found}) == len(found) == len(variations)
    for name in found:
        assert name and len(f"{name}~10.safetensors".encode()) <= 255
        assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', name) and not name.startswith(" ") and name[-1] not in " ."
        assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", name)


@pytest.mark.parametrize(
    ("filename", "suffix"), [("a.png", ".png"), ("a.tar.gz", ".gz"), ("a", ""), ("a./../x", ""), ("a.p ng", "")]
)
def test_only_a_plain_suffix_is_taken_from_the_server(filename: str, suffix: str) -> None:
    assert suffix_of(filename) == suffix
