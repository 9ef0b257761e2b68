"""Tests of the end of ComfyUI's log, as programs get it."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.bridge.system.log_tail import MAX_LINE, tail

HOME = "/srv/ada"
HOMES = "/home"


def log(*pieces: str) -> list[dict[str, Any]]:
    return [{"t": f"12:00:{at:02}", "m": piece} for at, piece in enumerate(pieces)]


def texts(*pieces: str, lines: int = 100, environment: dict[str, str] | None = None) -> list[str]:
    found, _ = tail(log(*pieces), lines, environment=environment or {}, home=HOME)
    return [line["text"] for line in found]


def test_the_last_lines_are_returned_with_the_time_at_which_each_began() -> None:
    found, total = tail(log("one\n", "two", " halves\nthree\n", "\n"), 2, environment={}, home=HOME)
    assert found == [{"time": "12:00:01", "text": "two halves"}, {"time": "12:00:02", "text": "three"}]
    assert total == 3


def test_a_progress_bar_is_one_line_with_its_last_state() -> None:
    assert texts("\r 10%", "\r 50%", "\r100%\n", "done\n") == ["100%".rjust(4), "done"]


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("Cloning https://ada:pa55word@git.example/x.git", "pa55word"),
        ("GET https://civitai.com/api/download/1?token=0123456789abcdef", "0123456789abcdef"),
        ("GET https://store.example/x?X-Amz-Signature=feedbeef&a=b", "feedbeef"),
        ("headers: {'Authorization': 'Bearer abcdefgh12345678'}", "abcdefgh12345678"),
        ('{"api_key": "abcd1234efgh"}', "abcd1234efgh"),
        ("HF_TOKEN=abcd1234efgh python main.py", "abcd1234efgh"),
        ("started with --api-key abcd1234efgh", "abcd1234efgh"),
        ("logged in as hf_AbCdEfGhIjKlMnOpQrSt", "hf_AbCdEfGhIjKlMnOpQrSt"),
        ("cookie eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "eyJzdWIiOiIx"),
        ("the value swordfish42 was set", "swordfish42"),
        ("File /srv/ada/ComfyUI/main.py", "ada"),
        (f"File {HOMES}/grace/ComfyUI/main.py", "grace"),
        (r"File C:\Users\Grace\ComfyUI\main.py", "Grace"),
        ("File /Users/grace/ComfyUI/main.py", "grace"),
        ("cut in two: hf_AbCdEfGh", "hf_AbCdEfGhIjKlMnOpQrSt"),
    ],
)
def test_secrets_and_home_folders_are_removed(line: str, secret: str) -> None:
    pieces = (line, "IjKlMnOpQrSt\n") if line.endswith("hf_AbCdEfGh") else (f"{line}\n",)
    (text,) = texts(*pieces, environment={"MY_PASSWORD": "swordfish42", "LANG": "value"})
    assert secret not in text
    assert text.split()[0] == line.split()[0] or line.startswith("HF_TOKEN")


def test_text_without_secrets_is_unchanged() -> None:
    lines = [
        "Requested to load SDXLClipModel",
        "CLIP tokenizer: CLIPTokenizer",
        "max_tokens: 4096",
        "got prompt",
        "To see the GUI go to: http://127.0.0.1:8188",
    ]
    assert texts(*(f"{line}\n" for line in lines)) == lines


def test_a_line_of_megabytes_is_cut() -> None:
    (text,) = texts("token" * 1_000_000 + "\n")
    assert len(text) == MAX_LINE + 1


@pytest.mark.parametrize(
    "piece", ["http://", "http://a?", "eyJabcdefgh-", "eyJ-.", "token", "bearer ", "://a", "/home/a"]
)
def test_a_line_that_repeats_the_beginning_of_a_secret_is_looked_through_once(piece: str) -> None:
    assert len(texts(*[piece * 20_000 + "\n"] * 3)) == 3
