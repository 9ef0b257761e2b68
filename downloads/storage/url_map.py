"""The URL map: the saved URLs of models, a file in ComfyUI's user directory.

The file is `{"version": 1, "urls": {name: url | definition}}`, where a definition is a dict with at least one source,
such as `{"url": …, "ckpt_type": directory}`. A name may include its directory (`loras/x.safetensors`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ...common.json_store import Damaged, read_json, write_json

UrlMap = dict[str, "str | dict[str, Any]"]

# Path of the file; server.setup moves it into ComfyUI's user directory.
DEFAULT_PATH = Path.home() / ".comfyui-uiapi" / "model_urls.json"
path: Path = DEFAULT_PATH

# Saves are read-modify-write, so they are serialized, with one lock for each event loop.
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def use_directory(directory: Path) -> None:
    """Keep the map in `directory` from now on."""
    global path
    path = directory / "model_urls.json"


async def load_stored_urlmap() -> UrlMap:
    """All saved URLs by model name: a URL, or a dict with a source and `ckpt_type`.

    Raises:
        UiapiError: `storage_failed` if the file cannot be read or has a newer version. A file that is not a
            URL map is set aside, and the map is empty.
    """
    return {name: value for name, value in (await _entries()).items() if _is_usable(value)}


async def save_model_urls(urls: UrlMap) -> None:
    """Add URLs to the map, replacing those of the same names.

    Raises:
        UiapiError: `storage_failed`; the map on disk is then unchanged.
    """
    async with _lock():
        await write_json(path, {"urls": {**await _entries(), **urls}})


async def remove_model_url(name: str) -> bool:
    """Remove a name from the map; returns whether it was present. UiapiError `storage_failed`."""
    async with _lock():
        urls = await _entries()
        if urls.pop(name, None) is None:
            return False
        await write_json(path, {"urls": urls})
        return True


async def _entries() -> dict[str, Any]:
    """All entries of the file, including those that this version cannot use."""
    try:
        data = await read_json(path, _check)
    except Damaged:
        return {}
    return {} if data is None else dict(data["urls"])


def _check(data: dict[str, Any]) -> None:
    if not isinstance(data.get("urls"), dict):
        raise ValueError("it has no object of urls")


def _is_usable(value: Any) -> bool:
    # Imported at first use: ComfyUI waits for every extension to import, and this file is imported at startup.
    from ...model_defs import SOURCE_KINDS

    if isinstance(value, dict):
        return any(isinstance(value.get(kind), str) for kind in SOURCE_KINDS)
    return isinstance(value, str)


def _lock() -> asyncio.Lock:
    loop = asyncio.get_running_loop()
    if loop not in _locks:
        _locks[loop] = asyncio.Lock()
    return _locks[loop]
