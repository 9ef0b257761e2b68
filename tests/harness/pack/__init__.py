"""A custom-node pack for the tests: nodes that behave as those of popular packs do where a bridge can go wrong.

ComfyUI loads it beside this project's package (see ComfyProcess). Each node imitates one kind of behaviour and is
named for it; the files in web/ hold what its front end does to the page.
"""

from __future__ import annotations

from . import models, runs, widgets

WEB_DIRECTORY = "./web"
NODE_CLASS_MAPPINGS = {**runs.NODES, **widgets.NODES, **models.NODES}

__all__ = ["NODE_CLASS_MAPPINGS", "WEB_DIRECTORY"]
