"""A custom-node pack for the tests: nodes with the difficult behaviour of popular packs.

ComfyUI loads it in addition to this project's package (see ComfyProcess). Each node imitates one kind of behaviour and
is named for it; the files in web/ are its frontend code.
"""

from __future__ import annotations

from . import manager, models, runs, widgets

WEB_DIRECTORY = "./web"
NODE_CLASS_MAPPINGS = {**runs.NODES, **widgets.NODES, **models.NODES}

__all__ = ["NODE_CLASS_MAPPINGS", "WEB_DIRECTORY", "manager"]
