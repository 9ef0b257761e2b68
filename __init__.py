"""ComfyUI-uiapi: lets any program drive the ComfyUI graph that a person has open in the browser.

ComfyUI imports this file and serves `web/` to the page; importing it outside ComfyUI does nothing.
"""

from __future__ import annotations

WEB_DIRECTORY = "./web"
NODE_CLASS_MAPPINGS: dict[str, type] = {}


def _bind() -> None:
    from .common.garbage import no_collection

    # What an import creates stays.
    with no_collection():
        from .bridge.comfyui.adapter import running_prompt_server

        prompt_server = running_prompt_server()
        if prompt_server is not None:
            from .server import setup

            setup(prompt_server)


# ComfyUI loads this file as a package; without a package relative imports would fail.
if __package__:
    _bind()
