"""The published client, comfy-uiapi 0.1.0, works with this server unchanged.

Two of its methods are not here: ensure_connection and execute with wait. Both use what `websockets` returns before
it has connected as if it were the connection, so they fail or hang with every server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from comfy_uiapi import ComfyClient  # type: ignore[import-untyped] # it has none
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.workflows import RED, photo, picture
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from PIL import Image

Call = Callable[..., Any]

# All channels of all pixels differ, so that swapped rows or colours are noticed.
GRADIENT = np.arange(6 * 10 * 3, dtype=np.uint8).reshape(6, 10, 3)


@pytest_asyncio.fixture(loop_scope="session")
async def client(tab: Tab) -> AsyncIterator[ComfyClient]:
    """A client for the ComfyUI that has a picture workflow open in its tab."""
    assert (await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": picture()}))["status"] == "ok"
    yield ComfyClient(tab.comfy.url.removeprefix("http://"))


async def call(method: Call, *arguments: Any) -> Any:
    """Call a method of the client that blocks; it makes a loop of its own, which must not be in this one."""
    return await asyncio.wait_for(asyncio.to_thread(method, *arguments), PATIENCE)


async def test_gets_lists_every_node_with_its_inputs_and_outputs(client: ComfyClient) -> None:
    listed = {node["title"]: node for node in (await call(client.gets))["nodes"]}
    assert {"id", "type", "title", "inputs", "outputs"} <= listed["Canvas"].keys()
    assert (listed["Canvas"]["type"], listed["Canvas"]["outputs"]) == ("EmptyImage", ["IMAGE"])
    assert listed["Result"]["inputs"] == ["images", "filename_prefix"]
    assert all(isinstance(node["id"], str) for node in listed.values())


async def test_get_reads_one_field_or_several(client: ComfyClient) -> None:
    assert await call(client.get, "Canvas.width") == 48
    several = await call(client.get, ["Canvas.height", "Result.filename_prefix"])
    assert several == {"Canvas.height": 32, "Result.filename_prefix": "picture"}


async def test_set_writes_numbers_and_text_into_the_open_graph(client: ComfyClient, tab: Tab) -> None:
    answer = await call(client.set, [("Canvas.width", 96), ("Result.filename_prefix", "by the client")])
    assert answer["status"] == "ok"
    assert (await call(client.set, "Canvas.height", 24))["response"]["Canvas.height"]["value"] == 24
    shown = await tab.page.evaluate("app.rootGraph.nodes.flatMap(node => node.widgets.map(widget => widget.value))")
    assert {96, 24, "by the client"} <= {value for value in shown if isinstance(value, (int, str))}


@pytest.mark.parametrize(
    "sent",
    [GRADIENT, (GRADIENT / 255).astype(np.float32), Image.fromarray(GRADIENT)],
    ids=["numpy", "numpy of floats", "Pillow"],
)
async def test_a_picture_set_from_numpy_or_pillow_is_the_one_that_is_run(client: ComfyClient, sent: Any) -> None:
    await call(client.json_post, "/uiapi/load_workflow", {"workflow": photo("none.png")})
    answer = await call(client.set, "Photo.image", sent)
    stored = answer["response"]["Photo.image"]["value"]
    assert stored.startswith("INPUT_")
    assert await call(client.get, "Photo.image") == stored
    queued = await call(client.execute, False)
    files = await _files(client, queued["response"]["prompt_id"])
    assert (files["2"] == GRADIENT).all()


async def test_connect_links_an_output_to_an_input(client: ComfyClient, tab: Tab) -> None:
    links = "app.rootGraph.nodes.find(node => node.type === 'SaveImage').isInputConnected(0)"
    await tab.page.evaluate("app.rootGraph.nodes.find(node => node.type === 'SaveImage').disconnectInput(0)")
    assert await tab.page.evaluate(links) is False
    answer = await call(client.connect, "Canvas.outputs[0]", "Result.inputs[0]")
    assert answer["status"] == "ok"
    assert await tab.page.evaluate(links) is True


async def test_get_workflow_answers_both_formats(client: ComfyClient) -> None:
    answer = await call(lambda: client.run_sync(client.get_workflow()))
    workflow = answer["response"]["workflow"]
    assert {node["type"] for node in workflow["workflow"]["nodes"]} == {"EmptyImage", "SaveImage"}
    assert {node["class_type"] for node in workflow["output"].values()} == {"EmptyImage", "SaveImage"}
    assert client.find_output_node(answer["response"]) == "2"


async def test_the_connection_status_counts_the_open_tab(client: ComfyClient, tab: Tab) -> None:
    status = await call(client.check_webui_connection_status)
    assert (status["webui_connected"], status["active_clients"]) == (True, 1)
    assert status["main_webui_id"] == tab.webui


async def test_execute_queues_the_open_graph_and_its_picture_can_be_fetched(client: ComfyClient) -> None:
    queued = await call(client.execute, False)
    prompt_id = queued["response"]["prompt_id"]
    files = await _files(client, prompt_id)
    assert files["2"].shape == (32, 48, 3)
    assert (files["2"] == [RED >> 16, 0, 0]).all()


async def _files(client: ComfyClient, prompt_id: str) -> dict[str, Any]:
    """The pictures of a prompt by node id, fetched by the client's own means once ComfyUI is done."""

    async def entry() -> Any:
        return (await call(lambda: client.run_sync(client.get_history_async(prompt_id)))).get(prompt_id)

    outputs = (await until(entry, "the prompt", PATIENCE))["outputs"]
    files = {}
    for node, output in outputs.items():
        [image] = output["images"]
        place = (image["filename"], image["subfolder"], image["type"])
        files[node] = await call(lambda place=place: client.run_sync(client.get_image_async(*place)))
    return files
