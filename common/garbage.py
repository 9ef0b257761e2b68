"""Keeps Python's garbage collector from blocking ComfyUI's event loop.

A full collection examines every object and stops all threads meanwhile. Torch, ComfyUI and its nodes have half a
million that live until ComfyUI ends, so each collection blocks the event loop for a third of a second, whatever caused
it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def spare_startup_objects() -> None:
    """Exclude all objects that exist now from later collections; call it once ComfyUI has loaded its nodes.

    An object is still freed as soon as nothing refers to it. Only cycles of these objects are kept.
    """
    # Existing garbage would otherwise be kept.
    gc.collect()
    gc.freeze()


@contextmanager
def no_collection() -> Iterator[None]:
    """Put collections off while the context lasts: it must be short, and must not wait.

    Creating many objects at once causes one collection after the other, though none of them can be garbage yet.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
