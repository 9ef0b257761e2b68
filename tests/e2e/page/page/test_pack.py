"""The tests' pack: its nodes are in the page and behave as intended."""

from __future__ import annotations

from typing import Any

from comfyui_uiapi.tests.harness.browser.tab import Tab

MADE = """types => types.map(type => {
    const node = LiteGraph.createNode(type)
    if (!node) return [type, null]
    app.rootGraph.add(node)
    return [type, (node.widgets ?? []).map(widget => [widget.name, String(widget.type)])]
})"""


async def test_every_node_of_the_tests_own_pack_can_be_made_and_has_the_widgets_its_front_end_gives_it(
    tab: Tab,
) -> None:
    types = ["LabRebuilt", "LabRetyped", "LabHiddenCombos", "LabRows", "LabLate", "LabSeed", "LabSlow", "LabEverywhere"]
    made: dict[str, Any] = dict(await tab.page.evaluate(MADE, types))
    assert [name for name, _ in made["LabRebuilt"]] == ["format", "crf", "pix_fmt"]
    assert made["LabRetyped"][1] == ["value", "text"]
    assert [kind for _, kind in made["LabHiddenCombos"]][2:] == ["tschide", "converted-widget"]
    assert [name for name, _ in made["LabRows"]] == ["LabHeader", "divider", "Add row"]
    assert [name for name, _ in made["LabSeed"]] == ["seed", "New seed"]
    assert [name for name, _ in made["LabSlow"]] == ["seconds", "seed", "control_after_generate"]
    assert [name for name, _ in made["LabLate"]] == ["mode"]
    await tab.page.wait_for_function("app.rootGraph.nodes.find(n => n.type === 'LabLate').widgets.length === 3")
