"""Parsing of the digests and numbers that model hosts and workflows contain."""

from __future__ import annotations

# The most digits of a length or an id; Python refuses to parse numbers with thousands of digits.
MOST_DIGITS = 18


def is_sha256(text: object) -> bool:
    """Whether a value is a SHA-256 digest in hexadecimal."""
    return isinstance(text, str) and len(text) == 64 and all(letter in "0123456789abcdefABCDEF" for letter in text)


def whole_number(text: str | None) -> int | None:
    """A number written in decimal digits; None for anything else and for more than MOST_DIGITS digits."""
    return int(text) if text is not None and text.isdecimal() and len(text) <= MOST_DIGITS else None
