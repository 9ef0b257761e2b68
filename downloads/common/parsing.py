"""Digests and numbers as model hosts and workflows write them."""

from __future__ import annotations

# Digits a length or an id has at most; Python refuses to read numbers of thousands of them.
MOST_DIGITS = 18


def is_sha256(text: object) -> bool:
    """Whether something is a SHA256 digest in hexadecimal."""
    return isinstance(text, str) and len(text) == 64 and all(letter in "0123456789abcdefABCDEF" for letter in text)


def whole_number(text: str | None) -> int | None:
    """The number a host or a person wrote in digits, None for anything else and for more digits than any has."""
    return int(text) if text is not None and text.isdecimal() and len(text) <= MOST_DIGITS else None
