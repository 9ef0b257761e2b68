"""The end of ComfyUI's log, without secrets and without the names of people's home folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Characters of one line, and those of a longer one that are searched for secrets.
MAX_LINE = 4000
_READ = 16 * MAX_LINE
# The replacement for removed text.
GONE = "…"

# Environment variables with these words in their names hold secrets, if their values are long enough.
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY", re.IGNORECASE)
_SHORTEST = 6
# None of them may look through the rest of a line again from each of its letters: nodes write lines as they like.
_PATTERNS = [
    # The login and the query of a URL.
    (re.compile(r"(?<=://)[^/?#\s@'\"]+@"), f"{GONE}@"),
    (re.compile(r"(https?://(?:(?!https?://)[^\s'\"<>?#])+)\?[^\s'\"<>)]*"), rf"\1?{GONE}"),
    # Headers, and values under the name of a secret: in JSON, in Python, on a command line.
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {GONE}"),
    (
        re.compile(
            r"(?i)((?:token(?![a-z])|secret|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key|authorization|cookie)"
            r"[\w-]{0,20}[\"']?(?:\s{0,3}[:=]\s{0,3}|\s))[\"']?(?!\s)[^\s\"',;&)}\]]{6,}"
        ),
        rf"\1{GONE}",
    ),
    # Tokens by their form: Hugging Face, GitHub, OpenAI and similar, Slack, AWS, Google, JSON web tokens.
    (re.compile(r"\b(?:hf_|gh[pousr]_|github_pat_|glpat-|sk-|rk-|pk_|xox[a-z]-|comfyui-)[\w-]{12,}"), GONE),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}"), GONE),
    (re.compile(r"(?<![\w-])((?:[\w-]{0,60}-)?)eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), rf"\1{GONE}"),
]
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Home folders, where the operating systems have them.
_HOMES = re.compile(
    r"(?i)(?:/home/|/Users/|\b[a-z]:(?:\\{1,2}|/)(?:Users|Documents and Settings)(?:\\{1,2}|/))[^/\\\s:'\"<>|]+"
)


def tail(
    entries: Iterable[Mapping[str, Any]],
    lines: int,
    *,
    environment: Mapping[str, str] = os.environ,
    home: str | None = None,
) -> tuple[list[dict[str, str]], int]:
    """Return the last lines of the log, each with its time and text, and how many lines there are.

    Args:
        entries: pieces of text under "m", which need not be whole lines, with their times under "t".
        lines: the most lines to return.
        environment: the variables whose secrets are removed.
        home: the home folder that is replaced by ~; default: that of this process.
    """
    own = str(Path.home()) if home is None else home
    secrets = sorted({value for value in secrets_in(environment)}, key=len, reverse=True)
    split = [line for line in _lines(entries) if line["text"].strip()]
    # A secret may be cut in two by a line, but not by a piece.
    return [{**line, "text": cleaned(line["text"], secrets, own)} for line in split[-lines:]], len(split)


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """Return the values of environment variables that are secrets by their names."""
    return [
        value.strip()
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and len(value.strip()) >= _SHORTEST
    ]


def cleaned(text: str, secrets: Iterable[str], home: str) -> str:
    """Return a text without these secrets, others that can be recognised, and home folders; shortened."""
    text = _COLOURS.sub("", text[:_READ])
    for secret in secrets:
        text = text.replace(secret, GONE)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    if len(home) > 1:
        text = re.sub(re.escape(home.rstrip("/\\")) + r"(?![\w.-])", "~", text)
    text = _HOMES.sub("~", text)
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}{GONE}"


def _lines(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    begun = True
    for entry in entries:
        for piece in str(entry.get("m", "")).splitlines(keepends=True):
            if begun or not found:
                found.append({"time": str(entry.get("t", "")), "text": ""})
            text = piece.rstrip("\r\n")
            # A progress bar begins its line anew with each step.
            found[-1]["text"] = text if found[-1].pop("anew", "") else found[-1]["text"] + text
            begun = piece.endswith("\n")
            if piece.endswith("\r"):
                found[-1]["anew"] = "yes"
    for line in found:
        line.pop("anew", None)
    return found
