"""Makes `Client` from the source of `AsyncClient`: the same without `async` and `await`, and with what blocks instead.

What the two do in ways of their own is written by hand in client/async_base.py and client/sync_base.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).resolve().parents[2] / "client"
SOURCE, MADE = CLIENT / "async_client.py", CLIENT / "client.py"

# What stands in the one instead of in the other; each is there once at least. The order matters: the last ones are
# about what the first ones leave.
PHRASES = (
    (
        '"""The client for programs with an event loop: `AsyncClient`, over aiohttp.\n\n'
        'Client is made from this file: run `python3 dev.py generate` after a change.\n"""',
        '"""The client for programs without an event loop: `Client`, over requests.\n\n'
        'Made by `python3 dev.py generate` from the source of the other client: change that, not this one.\n"""',
    ),
    ("Use it in `async with`, or `close` it.", "Usable from several threads, and in `with`."),
    ("import asyncio\n", ""),
    ("async_base", "sync_base"),
    ("AsyncBase", "SyncBase"),
    ("AsyncCommands", "Commands"),
    ("AsyncClient", "Client"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    (
        "            await asyncio.gather(*(self.fetch(file) for file in done.files if fetch))\n",
        "            for file in done.files if fetch else ():\n                self.fetch(file)\n",
    ),
    ("asyncio.sleep(", "time.sleep("),
)
PATTERNS = (
    (r"asyncio\.to_thread\((\w+), ", r"\1("),
    (r"\b(?:async|await) ", ""),
)


def made() -> str:
    """The text that client/client.py should have.

    Raises:
        LookupError: if the source lacks something that would be replaced.
    """
    text = SOURCE.read_text()
    for before, after in PHRASES:
        if before not in text:
            raise LookupError(f"{SOURCE.name} no longer has {before!r}; say in {Path(__file__).name} what it has now")
        text = text.replace(before, after)
    for pattern, after in PATTERNS:
        text = re.sub(pattern, after, text)
    if left := re.search(r"asyncio.*|\w*[Aa]sync.*", text):
        raise LookupError(f"{left[0]!r} would be left in {MADE.name}; say in {Path(__file__).name} what replaces it")
    return _formatted(text)


def _formatted(text: str) -> str:
    """As ruff lays it out: names sort otherwise, and without the words that went some lines are shorter."""
    for words in (["check", "--quiet", "--select=I", "--fix"], ["format"]):
        command = [sys.executable, "-m", "ruff", *words, f"--stdin-filename={MADE}", "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return text
