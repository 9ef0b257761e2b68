"""Scripts for a page, and workflows to run them on, that several test modules use."""

from __future__ import annotations

from comfyui_uiapi.tests.harness.comfy.workflows import UPSCALER

from .graphs import node, ui

# Shows or hides the panel.
TOGGLE = "() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.uiapi')"
# Changes a setting of the frontend.
SET = "([key, value]) => app.extensionManager.setting.set(key, value)"
# Returns the position of a node's title on the page.
TITLE_AT = """title => {
    const node = app.rootGraph.nodes.find(node => node.title === title), { canvas, ds } = app.canvas
    const { left, top } = canvas.getBoundingClientRect()
    return [left + (node.pos[0] + 60 + ds.offset[0]) * ds.scale, top + (node.pos[1] - 12 + ds.offset[1]) * ds.scale]
}"""
# Nodes that glow go on until `letGlowsEnd` is called: their timers are held.
HOLD_GLOWS = """() => {
    const {setTimeout} = window, held = []
    window.setTimeout = (work, delay, ...rest) =>
        delay === 1500 ? -held.push(work) : setTimeout.call(window, work, delay, ...rest)
    window.letGlowsEnd = () => {
        window.setTimeout = setTimeout
        for (const work of held) work()
    }
}"""
# Interrupts the run; returns whether the badge is gone.
INTERRUPTED = """async () => {
    await fetch('/interrupt', {method: 'POST'})
    return document.querySelector('.uiapi-badge').hidden
}"""
# ComfyUI's event with a preview of the picture that is being made.
PREVIEW = """async () => {
    const canvas = document.createElement('canvas')
    const blob = await new Promise(resume => canvas.toBlob(resume))
    app.api.dispatchEvent(new CustomEvent('b_preview', {detail: blob}))
}"""
GRAPH = ui([node(1, "EmptyImage", "Canvas", [64, 64, 1, 0]), node(2, "CLIPTextEncode", "Prompt", ["a cat"])])
# Ends with an image on the disk, by way of an upscaler's model.
NEEDY = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}},
    "2": {"class_type": "UpscaleModelLoader", "_meta": {"title": "Upscaler"}, "inputs": {"model_name": UPSCALER}},
    "3": {"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["2", 0], "image": ["1", 0]}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "needy"}},
}
