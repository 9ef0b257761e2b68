"""Files with workflows: load_workflow shows what the page shows when the same file is dropped on it."""

from __future__ import annotations

import base64
import json
from typing import Any

from comfyui_uiapi.tests.harness.browser.graphs import node, ui
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.comfy.saved_files import File, pictures, sounds_and_videos, texts
from comfyui_uiapi.tests.harness.programs.program import Program

from ..conftest import Send

# Drops a file as a person does, and waits for the page.
DROP = """async ({name, mime, data}) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File([bytes], name, {type: mime}))
    const {handleFile} = app
    const handled = new Promise((resume) => {
        app.handleFile = function (...args) {
            const work = handleFile.apply(this, args)
            work.then(resume, resume)
            return work
        }
    })
    document.dispatchEvent(new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true}))
    // Some readers of the page throw within an event, and never answer then.
    const thrown = new AbortController()
    const failed = new Promise((resume) => {
        for (const event of ['error', 'unhandledrejection']) addEventListener(event, resume, {signal: thrown.signal})
    })
    await Promise.race([handled, failed])
    thrown.abort()
    app.handleFile = handleFile
    app.extensionManager.spinner = false
}"""
# The graph as it is shown, without what an arrangement decides.
SHOWN = """() => {
    const {nodes, links} = app.rootGraph.serialize()
    return {
        nodes: nodes.map(({id, type, title, mode, widgets_values: values}) =>
            [String(id), type, title ?? null, mode, values ?? []]),
        links: (links ?? []).map((link) => link.slice(1).map(String)).sort(),
    }
}"""
CLOSE = """() => {
    const dialogs = app.extensionManager._p._s.get('dialog')
    for (const dialog of [...dialogs.dialogStack]) dialogs.closeDialog(dialog)
    app.extensionManager.toast.removeAll?.()
}"""
# Nodes into which the page puts a file that has no workflow.
LOADERS = {"LoadImage", "LoadAudio", "LoadVideo"}
# What the page does not read in either version or in the older one, but is certainly the workflow.
READ_HERE = {
    "jpeg with both",
    "png with zTXt",
    "png with a capital letter",
    "png with NaN in API format",
    "png with NaN in both",
    "png with a damaged workflow and a prompt",
    "png with a list as workflow",
    "png with a picture that is cut off",
    # The older page reads neither padded chunks, nor the heads of iTXt, nor these sounds.
    "png with iTXt",
    "webp of SaveAnimatedWEBP",
    "opus of SaveAudioOpus",
    "mp3 with both",
    "ogg with both",
}
# The newer page never finishes reading it, and the older one does not read it.
STUCK = {"png with compressed iTXt"}
# The page makes a graph of another program's parameters, which is no workflow; the older one even if there is one.
PARAMETERS = {"png with parameters", "png with parameters and a workflow"}


def saving() -> dict[str, Any]:
    """A workflow with ComfyUI's own nodes that save files."""
    image = [{"name": "images", "type": "IMAGE", "link": None}]
    audio = [{"name": "audio", "type": "AUDIO", "link": None}]
    nodes = [
        node(1, "EmptyImage", values=[64, 64, 2, 255], outputs=[{"name": "IMAGE", "type": "IMAGE", "links": []}]),
        node(2, "EmptyAudio", values=[0.5, 48000, 2], outputs=[{"name": "AUDIO", "type": "AUDIO", "links": []}]),
        node(3, "CreateVideo", values=[10], inputs=[*image], outputs=[{"name": "VIDEO", "type": "VIDEO", "links": []}]),
        node(4, "SaveImage", values=["drops"], inputs=image),
        node(5, "SaveAnimatedPNG", values=["drops", 6, 4], inputs=image),
        node(6, "SaveAnimatedWEBP", values=["drops", 6, True, 80, "default"], inputs=image),
        node(7, "SaveWEBM", values=["drops", "vp9", 24, 32], inputs=image),
        node(
            8, "SaveVideo", values=["drops", "mp4", "h264"], inputs=[{"name": "video", "type": "VIDEO", "link": None}]
        ),
        node(9, "SaveAudio", values=["drops"], inputs=audio),
        node(10, "SaveAudioMP3", values=["drops", "128k"], inputs=audio),
        node(11, "SaveAudioOpus", values=["drops", "96k"], inputs=audio),
    ]
    by_id = {one["id"]: {**one, "inputs": [dict(slot) for slot in one["inputs"]]} for one in nodes}
    links: list[list[Any]] = []
    for origin, targets in {1: (3, 4, 5, 6, 7), 2: (9, 10, 11), 3: (8,)}.items():
        for target in targets:
            number = len(links) + 1
            kind = by_id[origin]["outputs"][0]["type"]
            links.append([number, origin, 0, target, 0, kind])
            by_id[origin]["outputs"][0]["links"].append(number)
            by_id[target]["inputs"][0]["link"] = number
    return ui([*by_id.values()], links)


MIMES = {"png": "image/png", "webp": "image/webp", "webm": "video/webm", "mp4": "video/mp4", "flac": "audio/flac"}
MIMES |= {"mp3": "audio/mpeg", "opus": "audio/ogg"}


async def saved_by_comfyui(send: Send, program: Program) -> dict[str, File]:
    """The files of one run with all of ComfyUI's own saving nodes."""
    await send("load_workflow", workflow=saving())
    ran = await send("run")
    files = {}
    for output in ran["outputs"]:
        suffix = output["filename"].rpartition(".")[2]
        content = await program.file(output["url"])
        files[f"{suffix} of {output['node_type']}"] = (f"a.{suffix}", MIMES[suffix], content)
    return files


async def test_a_file_is_loaded_as_the_page_loads_it_when_it_is_dropped(
    send: Send, attempt: Send, tab: Tab, program: Program
) -> None:
    files = {**await saved_by_comfyui(send, program), **pictures(), **sounds_and_videos(), **texts()}
    assert len(files) >= 40
    differences = {}
    for what, (name, mime, content) in files.items():
        data = base64.b64encode(content).decode()
        await tab.clear()
        if what not in STUCK:
            await tab.page.evaluate(DROP, {"name": name, "mime": mime, "data": data})
        dropped = await tab.page.evaluate(SHOWN)
        await tab.page.evaluate(CLOSE)
        # The page puts a file without a workflow into a node.
        refused = {kind for _, kind, *_ in dropped["nodes"]} <= LOADERS
        await tab.clear()
        answer = await attempt("load_workflow", workflow={"type": "file_base64", "data": data})
        loaded = await tab.page.evaluate(SHOWN) if answer["status"] == "ok" else None
        if what in PARAMETERS:
            expected = loaded is None if what == "png with parameters" else loaded is not None
        elif refused:
            expected = loaded is None or what in READ_HERE | STUCK
        else:
            expected = loaded == dropped
        if not expected:
            differences[what] = (None if refused else dropped, loaded or answer)
    assert not differences, json.dumps(differences, indent=1, default=str)[:20_000]
