"""The `tab` fixture: the only tab, empty at the start of each test, and checked for errors of our scripts."""

from __future__ import annotations

from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.process import PACKAGE_NAME, ComfyProcess
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from comfyui_uiapi.tests.tools.demo import WORKFLOW

STATE = """() => {
    const {activeWorkflow, openWorkflows} = app.extensionManager.workflow
    return [app.rootGraph.nodes.length, openWorkflows.length, activeWorkflow.changeTracker.undoQueue.length]
}"""


async def test_the_tab_is_the_only_one_and_connected(tab: Tab) -> None:
    assert await tab.webuis() == {tab.webui}


async def test_a_tab_is_cleared_of_whatever_was_loaded_and_changed(tab: Tab, comfy: ComfyProcess) -> None:
    for _ in range(2):
        assert comfy.post("/uiapi/load_workflow", {"workflow": WORKFLOW})["status"] == "ok"
        assert comfy.post("/uiapi/set_fields", {"fields": [["Canvas.width", 64]]})["status"] == "ok"
    nodes, workflows, undo = await tab.page.evaluate(STATE)
    assert (nodes, workflows) > (0, 1) and undo > 0
    await tab.clear()
    assert await tab.page.evaluate(STATE) == [0, 1, 0]


async def test_an_error_in_our_scripts_is_seen_and_one_elsewhere_is_not(tab: Tab) -> None:
    await tab.page.evaluate("console.error('of another extension')")
    await tab.page.evaluate(f"console.error('of ours', new URL('/extensions/{PACKAGE_NAME}/x.js', location).href)")
    await tab.page.evaluate(
        "setTimeout(() => { throw new Error('thrown') })\n"
        f"//# sourceURL={tab.comfy.url}/extensions/{PACKAGE_NAME}/y.js"
    )

    async def both() -> bool:
        return len(tab.errors) == 2

    await until(both, "the errors", PATIENCE)
    seen = sorted(error.split()[0] for error in tab.errors)
    tab.errors.clear()
    assert seen == ["of", "thrown"]
