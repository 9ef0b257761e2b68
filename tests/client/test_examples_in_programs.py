"""The examples for Blender and TouchDesigner from the button to the picture, in stand-ins for these programs."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Awaitable, Callable, Iterator

import numpy
import pytest
from aiohttp import web
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.programs import installed_client  # noqa: F401 - makes `uiapi` importable
from comfyui_uiapi.tests.harness.programs.stand_ins import Blender, Datablock, ScriptTop
from PIL import Image

from comfyui_uiapi.client.examples import blender_uiapi, touchdesigner_uiapi  # isort: skip - imports `uiapi`

BUTTON = "image.uiapi_run"
FAILED = {"status": "error", "code": "execution_failed", "error": "KSampler: no model."}
# Red below, black above: the bottom row is the first in both programs.
SENT = numpy.zeros((2, 3, 4), numpy.float32)
SENT[0, :, 0] = SENT[:, :, 3] = 1

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def inverting(scripted: Scripted) -> Scripted:
    """A ComfyUI whose runs invert the picture that they get."""
    results: list[bytes] = []

    def run(request: web.Request) -> web.Response:
        [[path, value]] = scripted.bodies[-1]["fields"]
        assert path == "Photo.image" and value["type"] == "image_base64"
        with Image.open(io.BytesIO(base64.b64decode(value["data"]))) as picture:
            made = io.BytesIO()
            Image.fromarray(255 - numpy.asarray(picture.convert("RGB"))).save(made, "PNG")
        results.append(made.getvalue())
        file = {"node_id": "3", "filename": "a.png", "url": f"/view?n={len(results) - 1}"}
        return web.json_response({"status": "ok", "response": {"prompt_id": "p1", "outputs": [file]}})

    scripted.answers |= {"run": run, "view": lambda request: web.Response(body=results[int(request.query["n"])])}
    return scripted


@pytest.fixture
def blender(monkeypatch: pytest.MonkeyPatch, inverting: Scripted) -> Iterator[Blender]:
    """A Blender with the add-on switched on."""
    blender = Blender()
    monkeypatch.setitem(sys.modules, "bpy", blender.module)
    monkeypatch.setenv("COMFYUI_URL", inverting.url)
    blender_uiapi.register()
    yield blender
    blender_uiapi.unregister()


async def test_the_button_makes_the_result_of_a_run_an_image_of_blender(
    blender: Blender, eventually: Eventually
) -> None:
    blender.press(BUTTON, Datablock.of("Sky", SENT), "Photo.image")
    await eventually(blender.is_idle)
    [image] = blender.images.values()
    assert (image.name, image.size, image.updates, blender.popups) == ("Sky by ComfyUI", (3, 2), 1, [])
    # Inverted, opaque and the right way up.
    assert image.rows[0].tolist() == [[0, 1, 1, 1]] * 3 and image.rows[1].tolist() == [[1, 1, 1, 1]] * 3


async def test_the_next_run_replaces_the_image_of_the_one_before(blender: Blender, eventually: Eventually) -> None:
    for picture in (SENT, numpy.ones((5, 4, 4))):
        blender.press(BUTTON, Datablock.of("Sky", picture), "Photo.image")
        await eventually(blender.is_idle)
    [image] = blender.images.values()
    assert (image.size, image.updates) == ((4, 5), 2) and image.rows[:, :, :3].max() == 0


async def test_blender_pops_up_the_sentence_of_an_error_and_makes_no_image(
    blender: Blender, inverting: Scripted, eventually: Eventually
) -> None:
    inverting.answers["run"] = lambda _: web.json_response(FAILED, status=500)
    blender.press(BUTTON, Datablock.of("Sky", SENT), "Photo.image")
    await eventually(blender.is_idle)
    assert blender.popups == ["KSampler: no model."] and blender.images == {}


@pytest.fixture
def top(inverting: Scripted) -> Iterator[ScriptTop]:
    """A Script TOP whose threads end after the test."""
    yield ScriptTop(inverting.url, "Photo.image", SENT)
    for worker in touchdesigner_uiapi.WORKERS.values():
        worker.end()
    touchdesigner_uiapi.WORKERS.clear()


async def test_a_script_top_shows_the_newest_result(top: ScriptTop, eventually: Eventually) -> None:
    def shows(colour: list[int]) -> bool:
        top.cook(touchdesigner_uiapi.onCook)
        return top.shown is not None and top.shown[0, 0].tolist() == colour

    await eventually(lambda: shows([0, 1, 1, 1]))
    assert top.shown is not None and top.shown.shape == (2, 3, 4) and top.shown[1, 0].tolist() == [1, 1, 1, 1]
    top.picture = numpy.ones((2, 3, 4), numpy.float32)
    await eventually(lambda: shows([0, 0, 0, 1]))
    assert top.errors == []


async def test_a_script_top_shows_an_error_until_a_run_succeeds_again(
    top: ScriptTop, inverting: Scripted, eventually: Eventually
) -> None:
    working = inverting.answers["run"]
    inverting.answers["run"] = lambda _: web.json_response(FAILED, status=500)

    def cooks_with(errors: list[str]) -> bool:
        top.cook(touchdesigner_uiapi.onCook)
        return top.errors == errors

    await eventually(lambda: cooks_with(["KSampler: no model."]))
    inverting.answers["run"] = working
    await eventually(lambda: cooks_with([]) and top.shown is not None)
