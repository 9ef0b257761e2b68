"""Names files by the values of a variation: safe on every system, bounded and unique."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

from ..variations import Variation

# The most characters of a value and of a whole name, and the most bytes of a name; file systems allow 255.
MAX_VALUE, MAX_NAME, MAX_BYTES = 40, 120, 180
# Not allowed in names on Windows, or with a meaning here (the mark before a digest) or in shells.
_UNSAFE = re.compile(r'[<>:"/\\|?*~%\x00-\x1f\x7f-\x9f\u2028\u2029]+')
_BLANK = re.compile(r"\s+")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)", re.IGNORECASE)
_SUFFIX = re.compile(r"\.\w{1,8}", re.ASCII)


def shown(value: Any) -> str:
    """Returns a value as text, on one line."""
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, str):
        return _BLANK.sub(" ", value).strip()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "picture"
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:
        return str(value)


def short_paths(paths: Sequence[str]) -> dict[str, str]:
    """Returns a short name for each path: the part after the last dot where it is unique, else the whole path."""
    last = {path: path.rpartition(".")[2] or path for path in paths}
    often = Counter(name.casefold() for name in last.values())
    return {path: name if often[name.casefold()] == 1 else path for path, name in last.items()}


def key_of(variation: Iterable[Sequence[Any]]) -> str:
    """Returns a text that is the same for the same fields and values."""
    return json.dumps([[path, plain(value)] for path, value in variation], sort_keys=True, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Returns a value as JSON can hold it; a picture is named, or represented by its digest."""
    if isinstance(value, PurePath):
        return f"@{value}"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"picture {hashlib.sha256(bytes(value)).hexdigest()[:16]}"
    return value


def names_of(variations: Sequence[Variation]) -> list[str]:
    """Returns a name without suffix for each variation, unique also where case does not count.

    A name that had to be shortened or changed ends in a digest of the values; the same variation again in its number.
    """
    found = [_name(variation) for variation in variations]
    often = Counter(_folded(name) for name, _ in found)
    keys = [key_of(variation) for variation in variations]
    kinds: dict[str, set[str]] = {}
    for (name, _), key in zip(found, keys, strict=True):
        kinds.setdefault(_folded(name), set()).add(key)
    seen: Counter[str] = Counter()
    names = []
    for (name, changed), key in zip(found, keys, strict=True):
        folded = _folded(name)
        if changed or (often[folded] > 1 and len(kinds[folded]) > 1):
            name = f"{name}~{hashlib.sha256(key.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"
        seen[key] += 1
        names.append(name if seen[key] == 1 else f"{name}~run{seen[key]}")
    return names


def suffix_of(filename: str) -> str:
    """Returns the suffix of a file that the server names, or an empty text for an unusual one."""
    suffix = Path(filename).suffix
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def _name(variation: Variation) -> tuple[str, bool]:
    """Returns the name, and whether it does not contain everything of the values."""
    short = short_paths([path for path, _ in variation])
    changed = False
    parts = []
    for path, value in variation:
        text = f"{short[path]}={shown(value)}"
        safe = _BLANK.sub(" ", _UNSAFE.sub("_", text)).strip()
        limit = len(short[path]) + 1 + MAX_VALUE
        parts.append(safe[:limit])
        changed = changed or parts[-1] != f"{short[path]}={value if isinstance(value, str) else shown(value)}"
    name = ",".join(parts)
    whole = name
    name = name[:MAX_NAME]
    while len(name.encode("utf-8", "replace")) > MAX_BYTES:
        name = name[:-1]
    name = name.strip(" .") or "variation"
    # A lone surrogate has no form on disk.
    name = name.encode("utf-8", "replace").decode()
    if _RESERVED.fullmatch(name.partition(".")[0].strip()):
        name = f"_{name}"
    return name, changed or name != whole


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
