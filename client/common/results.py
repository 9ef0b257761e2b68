"""The results of a run: texts, and files as bytes or, with Pillow and numpy installed, as images and arrays."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UiapiError, refusal
from .files import free_name, write
from .notices import not_run, warnings_in
from .pictures import converted

if TYPE_CHECKING:
    import numpy
    from PIL.Image import Image

# The media type of a file by its suffix. GIF, WebP and PNG are images, animated or not: Pillow and browsers open them.
_SUFFIXES = {
    "image": "png apng jpg jpeg webp gif bmp tif tiff avif jxl exr hdr tga ico svg",
    "video": "mp4 m4v webm mov mkv avi mpg mpeg ogv ts",
    "audio": "flac wav mp3 opus ogg oga m4a aac aiff",
    "3d": "glb gltf obj fbx stl ply usdz splat spz ksplat",
}
# The pictures that notebooks show (https://ipython.readthedocs.io/en/stable/config/integrating.html).
_NOTEBOOK = {f".{name}": f"image/{name.replace('jpg', 'jpeg')}" for name in ("png", "jpg", "jpeg", "gif", "webp")}
# The message of the ImportError without Pillow or numpy.
_MISSING = 'This needs {}: pip install "comfyui-uiapi[images]", or pip install {}.'
_MEDIA = {f".{suffix}": media for media, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}


@dataclass
class OutputFile:
    """An output file of a run.

    Attributes:
        node_id, title, node_type: the node that saved it.
        kind: "images", "gifs", "audio" and so on, as the node names it; see also `media`.
        filename, subfolder, type: its place in ComfyUI's folders; type is "output", "temp" or "input".
        url: the path at which ComfyUI serves it.
        format: the format that the node states, such as "video/h264-mp4".
        prompt_id: its prompt, if the run had several.
        data: its content; empty until it is fetched.
        path: where a machine of a farm left it on shared storage.
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
    path: str | None = None

    @property
    def media(self) -> str:
        """Its media type by suffix or else format: "image", "video", "audio", "3d" or "file"."""
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
        """Write it to a file, or into a folder under its own name; returns the path.

        A picture is converted if the suffix of the path asks for another format, such as .jpg; Pillow must be installed
        for that. In a folder no file is replaced: the name is numbered if it is taken. Raises UiapiError `invalid` for
        a suffix that does not fit, or `storage_failed`.
        """
        return self._save(Path(os.path.expanduser(path)), ())

    def _save(self, target: Path, taken: Iterable[Path]) -> Path:
        content = self._needed()
        if target.is_dir():
            return write(free_name(target, self.filename, content, taken), content)
        return write(target, self._as(target.name, content))

    def _as(self, name: str, content: bytes) -> bytes:
        """Returns the content in the format that the suffix of a file name asks for."""
        suffix, asked = (Path(one).suffix.lower() for one in (self.filename, name))
        # A suffix of no known format, such as that of result.v2, asks for none; a text may have any.
        if suffix == asked or not suffix or asked not in _MEDIA or self.kind == "text":
            return content
        if _MEDIA.get(suffix) == _MEDIA[asked] == "image":
            return converted(content, self.filename, name)
        better = Path(name).with_suffix(suffix)
        raise UiapiError("invalid", f"{self.filename} cannot be saved as {asked}; name the file {better}.")

    def pil(self) -> Image:
        """Returns the picture as a Pillow image; Pillow must be installed."""
        try:
            from PIL import Image
        except ImportError:
            raise ImportError(_MISSING.format("Pillow", "pillow")) from None
        image = Image.open(io.BytesIO(self._needed()))
        image.load()
        return image

    def numpy(self) -> numpy.ndarray[Any, Any]:
        """Returns the picture as a uint8 array (rows, columns, channels); numpy and Pillow must be installed."""
        try:
            import numpy
        except ImportError:
            raise ImportError(_MISSING.format("numpy", "numpy")) from None
        return numpy.asarray(self.pil())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Returns the picture for a notebook, which shows it; empty for other files and without content."""
        mime = _NOTEBOOK.get(Path(self.filename).suffix.lower())
        return {mime: base64.b64encode(self.data).decode()} if mime and self.data else {}

    def _needed(self) -> bytes:
        if not self.data and self.path is not None:
            self.data = _read(self.path)
        if not self.data:
            raise UiapiError("invalid", f"The content of {self.filename} was not fetched; use the client's fetch().")
        return self.data


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UiapiError("not_found", f"{path} cannot be read: {error.strerror}; check the shared folder.") from error


class OutputText(str):
    """A text output of a run.

    Attributes:
        node_id, node_title, node_type: the node.
        prompt_id: its prompt, if the run had several.
        length: characters of the whole text; if this is longer than the text here, ComfyUI's history has the rest.
    """

    node_id: str
    node_title: str | None
    node_type: str | None
    prompt_id: str | None
    length: int

    @classmethod
    def of(cls, output: Mapping[str, Any]) -> OutputText:
        """Returns the text of an output in the server's response."""
        text = cls(output["text"])
        text.node_id, text.node_title, text.node_type = output["node_id"], output.get("title"), output.get("node_type")
        text.prompt_id, text.length = output.get("prompt_id"), output.get("length", len(text))
        return text

    def as_file(self) -> OutputFile:
        """Returns the text as a file, which can be saved."""
        name = re.sub(r"[^\w\- ()]+", "_", self.node_title or self.node_type or "text")
        content = self.encode("utf-8", "backslashreplace")
        return OutputFile(self.node_id, f"{name}.txt", "", self.node_title, self.node_type, "text", data=content)


@dataclass
class Prompt:
    """The result of one prompt of a run.

    Attributes:
        prompt_id: its ID in ComfyUI; None if it was never queued.
        status: "success", "error", "interrupted", "not_queued" or "unfinished".
        error: why it did not succeed.
        files, texts: its outputs before it failed; those of successful prompts are in the run.
        execution_time: seconds of execution in ComfyUI.
    """

    prompt_id: str | None
    status: str
    error: UiapiError | None = None
    files: list[OutputFile] = field(default_factory=list)
    texts: list[OutputText] = field(default_factory=list)
    execution_time: float | None = None


class Outputs:
    """The base of results with output files."""

    files: list[OutputFile]

    @property
    def images(self) -> list[OutputFile]:
        """The pictures, both saved ones and previews."""
        return self._of("image")

    @property
    def videos(self) -> list[OutputFile]:
        """The videos."""
        return self._of("video")

    @property
    def audio(self) -> list[OutputFile]:
        """The audio files."""
        return self._of("audio")

    @property
    def image(self) -> OutputFile:
        """The first saved picture, or else the first preview. Raises UiapiError `no_image` if there is none."""
        images = self.images
        if not images:
            raise UiapiError("no_image", "The run produced no picture; add a SaveImage or PreviewImage node.")
        return next((file for file in images if file.type == "output"), images[0])

    def save(self, folder: str | Path) -> list[Path]:
        """Write every file into a folder under its own name; returns the paths.

        No file is replaced: a name is numbered if it is taken. Raises UiapiError `storage_failed`.
        """
        return save_all(self.files, Path(os.path.expanduser(folder)))

    def _of(self, media: str) -> list[OutputFile]:
        return [file for file in self.files if file.media == media]


@dataclass
class Run(Outputs):
    """A run that succeeded completely or, with several prompts, in part.

    Attributes:
        prompt_id: its ID in ComfyUI; that of the last prompt if there were several.
        files: all output files, in the order of the nodes.
        execution_time: seconds of execution in ComfyUI, without the round trip.
        answer: the whole response of the server.
        texts: all text outputs.
        prompts: the result of each prompt if there were several, else empty.
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
    def warnings(self) -> list[str]:
        """Deviations from the request: values that were changed, and nodes that were not run."""
        return [*warnings_in(self.answer), *not_run(self.answer.get("node_errors") or {})]

    def failure(self) -> UiapiError | None:
        """Returns an error if some prompts of the run failed, else None."""
        failed = [prompt for prompt in self.prompts if prompt.error is not None]
        if not failed:
            return None
        total = len(self.prompts)
        sentence = f"{len(failed)} of {total} prompts failed; the outputs of the others are included. The first error: "
        return UiapiError("partial", f"{sentence}{failed[0].error}", {"prompts": self.answer["prompts"]})

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Returns the picture for a notebook, which shows it; only the text of the run without one."""
        picture = self.image._repr_mimebundle_() if self.images else {}
        return {"text/plain": repr(self), **picture}


def save_all(files: Iterable[OutputFile], target: Path) -> list[Path]:
    """Write files into a folder, each under its own name, or all to one pipe or device."""
    saved: list[Path] = []
    for file in files:
        saved.append(file._save(target, saved))
    return saved


def not_fetched(done: Run, error: UiapiError) -> UiapiError:
    """Returns the error for a successful run with a file that could not be fetched; `details` list the files."""
    where = {"prompt_id": done.prompt_id, "outputs": done.answer.get("outputs", [])}
    sentence = f"The run {done.prompt_id} has finished, so do not repeat it, but a file could not be fetched: {error}"
    return type(error)(error.code, sentence, {**error.details, **where}, error.status)


def run_of(answer: dict[str, Any]) -> Run:
    """Returns the run in the server's response to `run`."""
    files, texts = outputs_of(answer.get("outputs"))
    prompt_ids = answer.get("prompt_ids") or [answer["prompt_id"]]
    prompts = [_prompt(prompt) for prompt in answer.get("prompts") or ()]
    return Run(prompt_ids[-1], files, answer.get("execution_time"), answer, texts, prompts)


def _prompt(entry: Mapping[str, Any]) -> Prompt:
    error = entry.get("error")
    files, texts = outputs_of(entry.get("outputs"))
    failure = refusal(error) if isinstance(error, dict) else None
    return Prompt(entry.get("prompt_id"), str(entry.get("status")), failure, files, texts, entry.get("execution_time"))


def outputs_of(outputs: Iterable[Mapping[str, Any]] | None) -> tuple[list[OutputFile], list[OutputText]]:
    """Returns the files and the texts among the outputs in the server's response."""
    known = OutputFile.__dataclass_fields__
    files, texts = [], []
    for output in outputs or ():
        if "filename" in output:
            files.append(OutputFile(**{key: value for key, value in output.items() if key in known}))
        elif "text" in output:
            texts.append(OutputText.of(output))
    return files, texts
