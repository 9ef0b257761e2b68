"""What a run made: texts, and files as bytes or as Pillow images and numpy arrays where those are installed."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UiapiError, refusal
from .files import free_name, write

if TYPE_CHECKING:
    import numpy
    from PIL.Image import Image

# What is in a file, by its suffix. A GIF, WebP or PNG is an image, animated or not: Pillow opens it, browsers show it.
_SUFFIXES = {
    "image": "png apng jpg jpeg webp gif bmp tif tiff avif jxl exr hdr tga ico svg",
    "video": "mp4 m4v webm mov mkv avi mpg mpeg ogv ts",
    "audio": "flac wav mp3 opus ogg oga m4a aac aiff",
    "3d": "glb gltf obj fbx stl ply usdz splat spz ksplat",
}
# What is said without Pillow or numpy.
_MISSING = 'This needs {}: pip install "comfyui-uiapi[images]", or pip install {}.'
_MEDIA = {f".{suffix}": media for media, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}


@dataclass
class OutputFile:
    """A file that a run made.

    Attributes:
        node_id, title, node_type: the node that made it.
        kind: "images", "gifs", "audio" and so on, as the node names it; `media` says what is in it.
        filename, subfolder, type: where ComfyUI keeps it; type is "output", "temp" or "input".
        url: the path that ComfyUI serves it under.
        format: what the node says is in it, such as "video/h264-mp4".
        prompt_id: the prompt that made it, where a run had several.
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
    format: str | None = None
    prompt_id: str | None = None

    @property
    def media(self) -> str:
        """What is in it, by its suffix or else its format: "image", "video", "audio", "3d", or "file"."""
        suffix = Path(self.filename).suffix.lower()
        if suffix in _MEDIA:
            return _MEDIA[suffix]
        named = (self.format or "").partition("/")[0]
        if named in ("image", "video", "audio"):
            return named
        return "image" if self.kind == "images" and not suffix else "file"

    def __bytes__(self) -> bytes:
        return self.data

    def save(self, path: str | Path) -> Path:
        """Write it to a file, or into a folder under its own name; returns where. UiapiError `storage_failed`.

        In a folder nothing is replaced: the name is numbered where another file has it.
        """
        return self._save(Path(os.path.expanduser(path)), ())

    def _save(self, target: Path, taken: Iterable[Path]) -> Path:
        content = self._needed()
        return write(free_name(target, self.filename, content, taken) if target.is_dir() else target, content)

    def pil(self) -> Image:
        """The picture as an image of Pillow's, which has to be installed."""
        try:
            from PIL import Image
        except ImportError:
            raise ImportError(_MISSING.format("Pillow", "pillow")) from None
        image = Image.open(io.BytesIO(self._needed()))
        image.load()
        return image

    def numpy(self) -> numpy.ndarray[Any, Any]:
        """The picture as an array (rows, columns, channels) of bytes; numpy and Pillow have to be installed."""
        try:
            import numpy
        except ImportError:
            raise ImportError(_MISSING.format("numpy", "numpy")) from None
        return numpy.asarray(self.pil())

    def _needed(self) -> bytes:
        if not self.data:
            raise UiapiError("invalid", f"The content of {self.filename} was not fetched; use the client's fetch().")
        return self.data


class OutputText(str):
    """A text that a node of a run showed.

    Attributes:
        node_id, node_title, node_type: the node.
        prompt_id: the prompt it belongs to, where a run had several.
        length: how long the whole text is in characters; ComfyUI's history has it where this is only its beginning.
    """

    node_id: str
    node_title: str | None
    node_type: str | None
    prompt_id: str | None
    length: int

    @classmethod
    def of(cls, output: Mapping[str, Any]) -> OutputText:
        """A text from the server's answer."""
        text = cls(output["text"])
        text.node_id, text.node_title, text.node_type = output["node_id"], output.get("title"), output.get("node_type")
        text.prompt_id, text.length = output.get("prompt_id"), output.get("length", len(text))
        return text

    def as_file(self) -> OutputFile:
        """The text as a file, to be saved."""
        name = re.sub(r"[^\w\- ()]+", "_", self.node_title or self.node_type or "text")
        content = self.encode("utf-8", "backslashreplace")
        return OutputFile(self.node_id, f"{name}.txt", "", self.node_title, self.node_type, "text", data=content)


@dataclass
class Prompt:
    """What became of one prompt of a run.

    Attributes:
        prompt_id: ComfyUI's id of it; None if it was never queued.
        status: "success", "error", "interrupted", "not_queued" or "unfinished".
        error: why it did not succeed.
        files, texts: what it made before it failed; all else is in the run's own.
        execution_time: seconds that ComfyUI took.
    """

    prompt_id: str | None
    status: str
    error: UiapiError | None = None
    files: list[OutputFile] = field(default_factory=list)
    texts: list[OutputText] = field(default_factory=list)
    execution_time: float | None = None


@dataclass
class Run:
    """A run that succeeded, or of whose prompts some did.

    Attributes:
        prompt_id: ComfyUI's id of it, the last one's where there were several.
        files: every file it made, in the order of the nodes.
        execution_time: seconds that ComfyUI took, without the way there and back.
        answer: the server's whole answer.
        texts: the texts that its nodes showed.
        prompts: what became of each of several prompts; empty where there was one.
    """

    prompt_id: str
    files: list[OutputFile]
    execution_time: float | None
    answer: dict[str, Any] = field(repr=False)
    texts: list[OutputText] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)

    @property
    def status(self) -> str:
        """ "success", or "partial" if some of several prompts failed."""
        return str(self.answer.get("status") or "success")

    @property
    def images(self) -> list[OutputFile]:
        """The pictures, saved ones and previews, whatever their nodes call them."""
        return self._of("image")

    @property
    def videos(self) -> list[OutputFile]:
        """The videos."""
        return self._of("video")

    @property
    def audio(self) -> list[OutputFile]:
        """The sounds."""
        return self._of("audio")

    @property
    def image(self) -> OutputFile:
        """The first picture that was saved, or else the first one. UiapiError `no_image` without any."""
        images = self.images
        if not images:
            raise UiapiError("no_image", "The run made no picture; add a SaveImage or PreviewImage node.")
        return next((file for file in images if file.type == "output"), images[0])

    def save(self, folder: str | Path) -> list[Path]:
        """Write every file into a folder, each under a name of its own; returns where. UiapiError `storage_failed`.

        Nothing is replaced: a name is numbered where another file has it.
        """
        return save_all(self.files, Path(os.path.expanduser(folder)))

    def failure(self) -> UiapiError | None:
        """The error for a run that is only partly done; None for one that succeeded."""
        failed = [prompt for prompt in self.prompts if prompt.error is not None]
        if not failed:
            return None
        total = len(self.prompts)
        sentence = f"{len(failed)} of {total} runs did not succeed, and what the others made is here; the first error: "
        return UiapiError("partial", f"{sentence}{failed[0].error}", {"prompts": self.answer["prompts"]})

    def _of(self, media: str) -> list[OutputFile]:
        return [file for file in self.files if file.media == media]


def save_all(files: Iterable[OutputFile], target: Path) -> list[Path]:
    """Write files into a folder, each under a name of its own, or all to one pipe or device."""
    saved: list[Path] = []
    for file in files:
        saved.append(file._save(target, saved))
    return saved


def not_brought(done: Run, error: UiapiError) -> UiapiError:
    """The error for a run that succeeded and whose files could not all be fetched: `details` say where they are."""
    where = {"prompt_id": done.prompt_id, "outputs": done.answer.get("outputs", [])}
    sentence = f"The run {done.prompt_id} is done, so do not run again, but a file of it was not brought: {error}"
    return type(error)(error.code, sentence, {**error.details, **where}, error.status)


def run_of(answer: dict[str, Any]) -> Run:
    """A run from the server's answer to `run`."""
    files, texts = _outputs(answer.get("outputs"))
    prompt_ids = answer.get("prompt_ids") or [answer["prompt_id"]]
    prompts = [_prompt(prompt) for prompt in answer.get("prompts") or ()]
    return Run(prompt_ids[-1], files, answer.get("execution_time"), answer, texts, prompts)


def _prompt(told: Mapping[str, Any]) -> Prompt:
    error = told.get("error")
    files, texts = _outputs(told.get("outputs"))
    failure = refusal(error) if isinstance(error, dict) else None
    return Prompt(told.get("prompt_id"), str(told.get("status")), failure, files, texts, told.get("execution_time"))


def _outputs(outputs: Iterable[Mapping[str, Any]] | None) -> tuple[list[OutputFile], list[OutputText]]:
    known = OutputFile.__dataclass_fields__
    files, texts = [], []
    for output in outputs or ():
        if "filename" in output:
            files.append(OutputFile(**{key: value for key, value in output.items() if key in known}))
        elif "text" in output:
            texts.append(OutputText.of(output))
    return files, texts
