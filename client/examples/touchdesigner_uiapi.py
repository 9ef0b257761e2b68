"""Callbacks for a Script TOP in TouchDesigner that runs the open workflow with its input, again and again.

Put this text into the Script TOP's callbacks DAT, make the client and Pillow available to TouchDesigner (Preferences,
Python 64-bit Module Path), and add custom parameters to the Script TOP: Field (string, such as LoadImage.image) and Url
(string, empty for a ComfyUI that is found on this machine). TouchDesigner never waits: a frame that arrives during a
run replaces the one that waits for the next run, and the last result is shown until the next one arrives.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy
from uiapi import Client, UiapiError


def rows_of(array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """Converts numpyArray() of a TOP (RGBA floats, bottom row first) to RGB with the top row first."""
    return array[::-1, :, :3]


def top_of(array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """Converts a uint8 array, top row first, for copyNumpyArray(): RGBA floats, bottom row first."""
    height, width, channels = array.shape
    rgba = numpy.ones((height, width, 4), numpy.float32)
    rgba[:, :, :channels] = array.astype(numpy.float32) / 255
    return rgba[::-1].copy()


class Worker(threading.Thread):
    """Runs the workflow with the newest picture, again and again; `result` is the last picture, `error` the last error.

    Args:
        field: path of the field that receives the picture.
        url: ComfyUI's URL; None for one that is found on this machine.

    Attributes:
        settings: (field, url).
    """

    def __init__(self, field: str, url: str | None = None) -> None:
        super().__init__(daemon=True)
        self.settings = self._field, self._url = field, url
        self._newest: numpy.ndarray[Any, Any] | None = None
        self._wake = threading.Condition()
        self._ended = False
        self.result: numpy.ndarray[Any, Any] | None = None
        self.error: str | None = None

    def submit(self, picture: numpy.ndarray[Any, Any]) -> None:
        """Use this picture for the next run."""
        with self._wake:
            self._newest = picture
            self._wake.notify()

    def end(self) -> None:
        """End the thread after the current run."""
        with self._wake:
            self._ended = True
            self._wake.notify()

    def run(self) -> None:
        """Called by start()."""
        try:
            with Client(self._url, name="TouchDesigner") as client:
                while (picture := self._next()) is not None:
                    try:
                        self.result = client.run({self._field: picture}).image.numpy()
                        self.error = None
                    except Exception as error:
                        # Includes a missing Pillow, which would otherwise end the thread without a message.
                        self.error = str(error)
        except UiapiError as error:
            # The URL is invalid.
            self.error = str(error)

    def _next(self) -> numpy.ndarray[Any, Any] | None:
        with self._wake:
            self._wake.wait_for(lambda: self._newest is not None or self._ended)
            picture, self._newest = self._newest, None
            return None if self._ended else picture


WORKERS: dict[str, Worker] = {}


def onCook(scriptOp: Any) -> None:  # noqa: N802 - TouchDesigner calls it by this name
    """Called by TouchDesigner for every frame."""
    settings = scriptOp.par.Field.eval(), scriptOp.par.Url.eval() or None
    worker = WORKERS.get(scriptOp.path)
    # A worker that has ended is not restarted at every frame, only for other settings.
    if worker is None or worker.settings != settings:
        if worker is not None:
            worker.end()
        worker = WORKERS[scriptOp.path] = Worker(*settings)
        worker.start()
    picture = scriptOp.inputs[0].numpyArray(delayed=True)
    if picture is not None:
        worker.submit(rows_of(picture))
    if worker.error is not None:
        scriptOp.addScriptError(worker.error)
    if worker.result is not None:
        scriptOp.copyNumpyArray(top_of(worker.result))
