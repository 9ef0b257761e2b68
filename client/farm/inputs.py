"""The input files that prompts name: read from the live ComfyUI once each, and handed to the scheduler of the farm."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode

from distributed import Client

from .comfyui.catalog import inputs_of, is_file, nodes_of
from .job import Input
from .link import ConnectionLost, Link

# Bytes of input files that the scheduler keeps; files that a prompt in progress needs are never dropped.
MAX_KEPT = 512 * 2**20
# The folders that a value such as "picture.png [output]" can name.
FOLDERS = ("input", "output", "temp")

Read = Callable[[str], bytes]


class Inputs:
    """The input files of a sweep.

    Args:
        read: returns the content that the live ComfyUI serves at a path.
        link: the connection to the scheduler.
    """

    def __init__(self, read: Read, link: Link) -> None:
        self._read = read
        self._link = link
        # By node type, the inputs that name files.
        self._file_inputs: dict[str, frozenset[str]] = {}
        self._names: dict[str, str] = {}
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._used: Counter[str] = Counter()
        self._client: Client | None = None
        self._lock = asyncio.Lock()

    async def hand_over(self, client: Client, prompt: Mapping[str, Any]) -> tuple[Input, ...]:
        """Returns the files that a prompt names, after the scheduler has them.

        Raises:
            UiapiError: a file is missing.
            ConnectionLost: the scheduler keeps the files for `client`, and drops them when that ends.
        """
        found: list[Input] = []
        async with self._lock:
            self._link.check(client)
            if self._client is not client:
                self._client = client
                self._sizes.clear()
            for node_id, node_type, inputs in nodes_of(prompt):
                for name in await self._files_of(node_type):
                    value = inputs.get(name)
                    if isinstance(value, str) and value:
                        found.append(Input(node_id, name, await self._handed(client, value)))
            self._used.update({one.file for one in found})
        return tuple(found)

    async def release(self, inputs: tuple[Input, ...]) -> None:
        """Note that a prompt has ended; files that no prompt in progress needs may be dropped."""
        async with self._lock:
            self._used.subtract({one.file for one in inputs})
            left = sum(self._sizes.values())
            dropped: list[str] = []
            for name, size in [*self._sizes.items()]:
                if left > MAX_KEPT and self._used[name] <= 0:
                    left -= size
                    dropped.append(name)
                    del self._sizes[name]
            if dropped and self._client is not None:
                with suppress(ConnectionLost):
                    await self._link.ask(self._client, "drop_files", names=dropped)

    async def _files_of(self, node_type: str) -> frozenset[str]:
        known = self._file_inputs.get(node_type)
        if known is None:
            content = await asyncio.to_thread(self._read, f"/object_info/{quote(node_type, safe='')}")
            entry = json.loads(content).get(node_type)
            known = frozenset(name for name, spec in inputs_of(entry) if is_file(spec))
            self._file_inputs[node_type] = known
        return known

    async def _handed(self, client: Client, value: str) -> str:
        name = self._names.get(value)
        if name is not None and name in self._sizes:
            self._sizes.move_to_end(name)
            return name
        path = PurePosixPath(value.replace("\\", "/"))
        place, folder = value, "input"
        for kind in FOLDERS:
            if value.endswith(f" [{kind}]"):
                place, folder = value.removesuffix(f" [{kind}]"), kind
                path = PurePosixPath(place.replace("\\", "/"))
        subfolder = "" if str(path.parent) == "." else str(path.parent)
        query = urlencode({"filename": path.name, "subfolder": subfolder, "type": folder})
        content = await asyncio.to_thread(self._read, f"/view?{query}")
        digest = await asyncio.to_thread(lambda: hashlib.sha256(content).hexdigest())
        name = f"{digest}{path.suffix.lower()}"
        if name not in self._sizes:
            await self._link.ask(client, "put_file", name=name, content=content)
        self._names[value] = name
        self._sizes[name] = len(content)
        return name
