"""An add-on for Blender: runs the open workflow with the picture of an image editor, and shows the result.

Install the client and Pillow into Blender's Python (`python -m pip install DIRECTORY pillow` with the Python in
Blender's folder), then install this file as an add-on. The panel is in the image editor's sidebar, under "ComfyUI".
Blender stays responsive during a run, since a thread waits for it.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy
from uiapi import Client

bl_info = {
    "name": "ComfyUI by uiapi",
    "blender": (3, 6, 0),
    "category": "Image",
    "location": "Image Editor > Sidebar > ComfyUI",
}
# Seconds between two checks whether a run has finished.
LOOK_EVERY = 0.2


def array_of(pixels: Any, width: int, height: int) -> numpy.ndarray[Any, Any]:
    """Converts a Blender picture (a flat list of RGBA floats, bottom row first) to an array with the top row first."""
    return numpy.asarray(pixels, numpy.float32).reshape(height, width, 4)[::-1]


def pixels_of(array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """Converts a uint8 array, top row first, with or without alpha, to Blender's flat RGBA floats."""
    height, width, channels = array.shape
    rgba = numpy.ones((height, width, 4), numpy.float32)
    rgba[:, :, :channels] = array.astype(numpy.float32) / 255
    return rgba[::-1].ravel()


class Job(threading.Thread):
    """One run with `picture` in the field at `path`; afterwards `result` is the new picture, or `error` is set."""

    def __init__(self, picture: numpy.ndarray[Any, Any], path: str, url: str | None = None) -> None:
        super().__init__(daemon=True)
        self._picture, self._path, self._url = picture, path, url
        self.result: numpy.ndarray[Any, Any] | None = None
        self.error: str | None = None

    def run(self) -> None:
        """Called by start()."""
        try:
            with Client(self._url, name="Blender") as client:
                self.result = client.run({self._path: self._picture}).image.numpy()
        except Exception as error:
            # Includes a missing Pillow, which would otherwise end the thread without a message.
            self.error = str(error)


# Classes that `register` has registered.
KINDS: list[Any] = []


def unregister() -> None:
    """Called by Blender."""
    import bpy

    while KINDS:
        bpy.utils.unregister_class(KINDS.pop())
    del bpy.types.Scene.uiapi_field


def register() -> None:
    """Called by Blender."""
    import bpy

    class RunWorkflow(bpy.types.Operator):  # type: ignore[misc]
        """Send this picture through the workflow that is open in ComfyUI"""

        bl_idname = "image.uiapi_run"
        bl_label = "Run in ComfyUI"

        def execute(self, context: Any) -> set[str]:
            source = context.space_data.image
            job = Job(array_of(source.pixels[:], *source.size), context.scene.uiapi_field)
            job.start()
            bpy.app.timers.register(lambda: show(job, f"{source.name} by ComfyUI"), first_interval=LOOK_EVERY)
            return {"FINISHED"}

    class Panel(bpy.types.Panel):  # type: ignore[misc]
        bl_space_type, bl_region_type = "IMAGE_EDITOR", "UI"
        bl_category = bl_label = "ComfyUI"

        def draw(self, context: Any) -> None:
            self.layout.prop(context.scene, "uiapi_field")
            self.layout.operator(RunWorkflow.bl_idname)

    def show(job: Job, name: str) -> float | None:
        """A Blender timer: returns the seconds until the next call, or None when the run has finished."""
        if job.is_alive():
            return LOOK_EVERY
        if job.result is None:
            bpy.context.window_manager.popup_menu(lambda menu, _: menu.layout.label(text=job.error), title="ComfyUI")
            return None
        height, width = job.result.shape[:2]
        image = bpy.data.images.get(name) or bpy.data.images.new(name, width, height, alpha=True)
        image.scale(width, height)
        image.pixels.foreach_set(pixels_of(job.result))
        image.update()
        return None

    bpy.types.Scene.uiapi_field = bpy.props.StringProperty(name="Field", default="LoadImage.image")
    for kind in (RunWorkflow, Panel):
        bpy.utils.register_class(kind)
        KINDS.append(kind)
