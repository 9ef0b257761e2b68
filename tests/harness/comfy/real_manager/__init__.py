"""Starts the real ComfyUI-Manager in a ComfyUI that is too old to know its package.

ComfyUI loads it as a custom node. Newer versions start the package themselves, with --enable-manager.
"""

from __future__ import annotations

from typing import Any

import comfyui_manager
from comfy.cli_args import args

args.enable_manager, args.enable_manager_legacy_ui = True, False
comfyui_manager.prestartup()
comfyui_manager.start()

NODE_CLASS_MAPPINGS: dict[str, Any] = {}
