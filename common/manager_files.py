"""Finds ComfyUI-Manager's lists: in its Python package, in its custom node, and in its caches of what it downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

# Its caches of the current and of older versions, below ComfyUI's user folder.
CACHES = ("__manager/cache", "default/ComfyUI-Manager/cache")


def newest_list(name: str, node_folders: Iterable[Path], users: Path | None) -> Path | None:
    """Return its newest file of that name, or None if there is none. Blocks on the disk.

    Args:
        name: such as "model-list.json"; in its caches a number stands in front of it.
        node_folders: the folders in which its custom node may be.
        users: ComfyUI's user folder.
    """
    dated: dict[Path, int] = {}
    for folder in (*_package(), *node_folders, *(users / cache for cache in CACHES if users is not None)):
        for file in (folder / name, *folder.glob(f"*_{name}")):
            try:
                if file.is_file():
                    dated[file] = file.stat().st_mtime_ns
            except OSError:
                # The Manager has just replaced it, or the folder cannot be searched.
                continue
    return max(dated, key=lambda file: dated[file], default=None)


def _package() -> Iterator[Path]:
    try:
        spec = find_spec("comfyui_manager")
    except (ImportError, ValueError):
        return
    yield from map(Path, (spec.submodule_search_locations or ()) if spec is not None else ())
