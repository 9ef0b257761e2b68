"""Which nodes of a workflow neither ComfyUI nor the page can make."""

from __future__ import annotations

import asyncio
from typing import Any

from comfyui_uiapi.tests.harness.browser.tab import Tab

from ....harness.browser.graphs import node, ui

# Types that only the page has, and one that nothing has.
MIXED = [
    *(node(at, kind) for at, kind in enumerate(("Note", "MarkdownNote", "Reroute", "PrimitiveNode", "EmptyImage"), 1)),
    node(6, "UiapiNowhere", "Lost", properties={"cnr_id": "lost-pack", "ver": "1.0.0"}),
]


async def test_only_what_neither_comfyui_nor_the_page_can_make_is_missing(tab: Tab) -> None:
    async def missing(body: dict[str, Any]) -> dict[str, Any]:
        answer = await asyncio.to_thread(tab.comfy.post, "/uiapi/missing_nodes", body)
        assert answer["status"] == "ok", answer
        response: dict[str, Any] = answer["response"]
        return response

    # As the scripts of a pack do, without a class in Python.
    await tab.page.evaluate("() => LiteGraph.registerNodeType('UiapiOnlyInPage', class extends LGraphNode {})")
    own = await missing({"workflow": ui([*MIXED, node(7, "UiapiOnlyInPage")])})
    assert ([one["type"] for one in own["types"]], own["page_asked"]) == (["UiapiNowhere"], True)
    await tab.load_workflow(ui(MIXED))
    opened = await missing({})
    assert opened["types"][0]["nodes"] == [{"id": "6", "title": "Lost"}] and opened["total"] == 1
    assert opened["types"][0]["packs"][0]["id"] == "lost-pack"
