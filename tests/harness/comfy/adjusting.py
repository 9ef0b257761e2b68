"""A custom node with which a test changes a number of the running server, such as a time limit."""

from __future__ import annotations

_NODE = """
import sys
from aiohttp import web
import server

NODE_CLASS_MAPPINGS = {{}}

async def adjust(request):
    [module] = [module for name, module in sys.modules.items() if name.endswith("{module}")]
    before, module.{constant} = module.{constant}, float(request.query["value"])
    return web.json_response(before)

server.PromptServer.instance.routes.get("{route}")(adjust)
"""


def adjusting(route: str, module: str, constant: str) -> str:
    """The source of the node: GET `route`?value=… sets `constant`, and returns its value before.

    Args:
        route: the path of its route, such as /haste.
        module: the end of the module's name, such as .bridge.api.websocket.
        constant: the name of a float in it.
    """
    return _NODE.format(route=route, module=module, constant=constant)
