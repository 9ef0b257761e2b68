"""Templates of node packs, as the page offers them."""

from __future__ import annotations

import asyncio

from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.comfy.process import PACK_NAME

from ..conftest import Send


async def test_the_templates_of_packs_are_those_that_comfyui_lists(send: Send, tab: Tab) -> None:
    listed = await asyncio.to_thread(tab.comfy.get, "/workflow_templates")
    found = (await send("list_templates", query="", limit=1000))["templates"]
    ours = sorted((one["pack"], one["name"]) for one in found if one["pack"] is not None)
    assert ours == sorted((pack, name) for pack, names in listed.items() for name in names)


async def test_a_template_opens_in_a_tab_of_its_name_with_its_missing_models(send: Send, refused: Send) -> None:
    assert (await send("list_templates", query="blue"))["templates"][0]["pack"] == PACK_NAME
    opened = await send("open_template", name="Blue canvas")
    assert opened["nodes"] == 3
    assert [(model["name"], model["directory"]) for model in opened["missing_models"]] == [
        ("uiapi-template.safetensors", "checkpoints")
    ]
    active = next(one for one in (await send("list_tabs"))["tabs"] if one["active"])
    assert "Blue canvas" in active["name"]
    assert (await refused("open_template", name="Blue kanvas"))["code"] == "unknown_template"
