"""Tests of shortened values in answers and error messages."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.common.shorten import SENTENCE, SHOWN, cut, cut_texts, sentence


@pytest.mark.parametrize("value", [None, True, 2**200, 0.5, "", "x" * SHOWN, {"a": [1, "b"]}, [1] * 60], ids=str)
def test_a_short_value_is_shown_as_it_is(value: Any) -> None:
    assert cut(value) == value


@pytest.mark.parametrize("value", ["x" * (SHOWN + 1), {"a": "x" * 300}, [1] * 70], ids=["text", "object", "list"])
def test_a_long_value_is_shown_by_its_beginning_and_its_length(value: Any) -> None:
    shown = cut(value)
    assert shown.endswith(" characters)") and len(shown) < SHOWN


def test_only_long_texts_in_comfyuis_messages_are_cut() -> None:
    said = {"type": "x", "extra_info": {"received_value": "y" * 5000, "limits": [1, 2.5, None]}}
    shown = cut_texts(said)
    assert shown["extra_info"] == {"received_value": "y" * 100 + "… (5000 characters)", "limits": [1, 2.5, None]}
    assert shown["type"] == "x"


def test_a_foreign_error_message_is_limited() -> None:
    assert sentence("a node failed") == "a node failed"
    assert len(sentence("z" * 10**6)) < SENTENCE + 50
