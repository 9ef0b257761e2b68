"""ComfyUI-uiapi: lets any program drive the ComfyUI graph that a person has open in the browser.

ComfyUI imports this file and serves `web/` to the page; importing it anywhere else does nothing.
"""

from __future__ import annotations

WEB_DIRECTORY = "./web"
NODE_CLASS_MAPPINGS: dict[str, type] = {}


def _bind() -> None:
    from .bridge.comfyui.adapter import running_prompt_server

    prompt_server = running_prompt_server()
    if prompt_server is not None:
        from .server import setup

        setup(prompt_server)


# ComfyUI loads this file under a name with its folder in it; without a parent there is nothing to import from.
if __package__:
    _bind()
