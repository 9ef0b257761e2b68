"""What a run made: its files as bytes, and as Pillow images or numpy arrays where those are installed."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UiapiError
from .files import free_name, write

if TYPE_CHECKING:
    import numpy
    from PIL.Image import Image


@dataclass
class OutputFile:
    """A file that a run made.

    Attributes:
        node_id, title, node_type: the node that made it.
        kind: "images", "audio", "text" and so on, as the node names it.
        filename, subfolder, type: where ComfyUI keeps it; type is "output", "temp" or "input".
        url: the path that ComfyUI serves it under.
        data: its bytes; empty until they are fetched.
    """

    node_id: str
    filename: str
    url: str
    title: str | None = None
    node_type: str | None = None
    kind: str = "images"
    subfolder: str = ""
    type: str = "output"
    data: bytes = field(default=b"", repr=False)

    def __bytes__(self) -> bytes:
        return self.data

    def save(self, path: str | Path) -> Path:
        """Write it to a file, or into a folder under its own name; returns where. UiapiError `storage_failed`.

        In a folder nothing is replaced: the name is numbered where another file has it.
        """
        target, content = Path(os.path.expanduser(path)), self._needed()
        return write(free_name(target, self.filename, content) if target.is_dir() else target, content)

    def pil(self) -> Image:
        """The picture as an image of Pillow's, which has to be installed."""
        try:
            from PIL import Image
        except ImportError:
            raise ImportError("Pictures are opened with Pillow; pip install pillow.") from None
        image = Image.open(io.BytesIO(self._needed()))
        image.load()
        return image

    def numpy(self) -> numpy.ndarray[Any, Any]:
        """The picture as an array (rows, columns, channels) of bytes; numpy and Pillow have to be installed."""
        try:
            import numpy
        except ImportError:
            raise ImportError("Arrays need numpy; pip install numpy.") from None
        return numpy.asarray(self.pil())

    def _needed(self) -> bytes:
        if not self.data:
            raise UiapiError("invalid", f"The content of {self.filename} was not fetched; use the client's fetch().")
        return self.data


@dataclass
class Run:
    """A run that succeeded.

    Attributes:
        prompt_id: ComfyUI's id of it, the last one's where there were several.
        files: everything it made, in the order of the nodes.
        execution_time: seconds that ComfyUI took, without the way there and back.
        answer: the server's whole answer.
    """

    prompt_id: str
    files: list[OutputFile]
    execution_time: float | None
    answer: dict[str, Any] = field(repr=False)

    @property
    def images(self) -> list[OutputFile]:
        """The pictures."""
        return [file for file in self.files if file.kind == "images"]

    @property
    def image(self) -> OutputFile:
        """The first picture that was saved, or else the first one. UiapiError `no_image` without any."""
        images = self.images
        if not images:
            raise UiapiError("no_image", "The run made no picture; add a SaveImage or PreviewImage node.")
        return next((file for file in images if file.type == "output"), images[0])


def not_brought(done: Run, error: UiapiError) -> UiapiError:
    """The error for a run that succeeded and whose files could not all be fetched: `details` say where they are."""
    where = {"prompt_id": done.prompt_id, "outputs": done.answer.get("outputs", [])}
    sentence = f"The run {done.prompt_id} is done, so do not run again, but a file of it was not brought: {error}"
    return type(error)(error.code, sentence, {**error.details, **where}, error.status)


def run_of(answer: dict[str, Any]) -> Run:
    """A run from the server's answer to `run`."""
    known = OutputFile.__dataclass_fields__
    files = [
        OutputFile(**{key: value for key, value in file.items() if key in known})
        for file in answer.get("outputs", ())
    ]
    prompt_ids = answer.get("prompt_ids") or [answer["prompt_id"]]
    return Run(prompt_ids[-1], files, answer.get("execution_time"), answer)
