"""The URL map: where each model was fetched from or the person said it can be, kept in ComfyUI's user directory.

The file is `{"version": 1, "urls": {name: url | {"url": …, "ckpt_type": folder}}}`. Names may hold a folder
(`loras/x.safetensors`) where two files share a name.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ..bridge.atomic import read_json, write_json

UrlMap = dict[str, "str | dict[str, Any]"]

# Where the map is; server.setup points it into ComfyUI's user directory.
DEFAULT_PATH = Path.home() / ".comfyui-uiapi" / "model_urls.json"
path: Path = DEFAULT_PATH

# Saves are read-modify-write, so they take turns: one lock for each event loop, as asyncio wants it.
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def use_directory(directory: Path) -> None:
    """Keep the map in that folder from now on."""
    global path
    path = directory / "model_urls.json"


async def load_stored_urlmap() -> UrlMap:
    """Every saved address by model name: a URL, or a dict with `url` and `ckpt_type`.

    Raises:
        UiapiError: `storage_failed` when the file cannot be read or is of a newer version. A file that is
            not JSON is set aside and the map is empty.
    """
    data = await read_json(path)
    if data is None:
        return {}
    urls = data.get("urls", {})
    if not isinstance(urls, dict):
        return {}
    return {name: value for name, value in urls.items() if _is_address(value)}


async def save_model_urls(urls: UrlMap) -> None:
    """Add addresses to the map, replacing those of the same names.

    Raises:
        UiapiError: `storage_failed`; the map on disk is then what it was.
    """
    async with _lock():
        await write_json(path, {"urls": {**await load_stored_urlmap(), **urls}})


async def remove_model_url(name: str) -> bool:
    """Take a name out of the map; whether it was there. UiapiError `storage_failed`."""
    async with _lock():
        urls = await load_stored_urlmap()
        if urls.pop(name, None) is None:
            return False
        await write_json(path, {"urls": urls})
        return True


def _is_address(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("url"), str))


def _lock() -> asyncio.Lock:
    loop = asyncio.get_running_loop()
    if loop not in _locks:
        _locks[loop] = asyncio.Lock()
    return _locks[loop]
