"""For TouchDesigner: the callbacks of a Script TOP that sends its input through the open workflow, again and again.

Put this text into the Script TOP's callbacks DAT, give TouchDesigner the client and Pillow (Preferences, Python 64-bit
Module Path), and add custom parameters to the Script TOP: Field (string, such as LoadImage.image) and Url (string,
empty for http://127.0.0.1:8188). TouchDesigner never waits: a frame that comes while ComfyUI is at work replaces the
one that waits, and the last result stays on until the next is there.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy
from uiapi import Client, UiapiError


def rows_of(array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """A picture of a TOP's numpyArray() (RGBA floats, the bottom row first) as rows from the top, without alpha."""
    return array[::-1, :, :3]


def top_of(array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """Rows of bytes from the top as copyNumpyArray() takes them: RGBA floats, the bottom row first."""
    height, width, channels = array.shape
    rgba = numpy.ones((height, width, 4), numpy.float32)
    rgba[:, :, :channels] = array.astype(numpy.float32) / 255
    return rgba[::-1].copy()


class Worker(threading.Thread):
    """Sends the newest picture, one run after the other; `result` is the newest answer and `error` the newest refusal.

    Args:
        field: where the picture goes.
        url: ComfyUI's address; None for the usual one.

    Attributes:
        settings: both of them.
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
        """Have this picture sent next."""
        with self._wake:
            self._newest = picture
            self._wake.notify()

    def end(self) -> None:
        """End after the run that is under way."""
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
                        # A missing Pillow too: a thread that dies of it would tell nobody.
                        self.error = str(error)
        except UiapiError as error:
            # The address is none.
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
    # One that has ended is not started anew for every frame: only other settings can help it.
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
