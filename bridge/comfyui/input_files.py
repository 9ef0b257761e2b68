"""The kinds of files that programs send as values of fields, and their contents in memory or on the disk."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...common.errors import UiapiError

# First bytes of the formats that ComfyUI's LoadImage opens.
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")
# All pictures have this suffix in their names; ComfyUI recognises them by their content.
PICTURE = ".png"
# Suffixes by kind; web/widgets/input_kinds.js has the same.
KINDS: dict[str, tuple[str, ...]] = {
    "image": ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"),
    "audio": ("mp3", "wav", "flac", "ogg", "opus", "m4a", "aac", "aif", "aiff", "wma"),
    "video": ("mp4", "webm", "mkv", "mov", "avi", "m4v", "mpg", "mpeg"),
    "3d": ("glb", "gltf", "obj", "fbx", "stl", "ply", "splat", "ksplat", "spz", "usdz"),
    # Neither programs nor pages, which a browser would run.
    "other": ("txt", "json", "csv", "srt", "vtt", "exr", "hdr", "avif", "jxl", "ttf", "otf", "cube", "pdf"),
}
KIND_OF = {f".{suffix}": kind for kind, suffixes in KINDS.items() for suffix in suffixes}
# The folder inside of the input folder in which ComfyUI looks for files of a kind.
FOLDERS = {"3d": "3d"}
# Bytes that are enough to recognise the format.
HEAD = 64
# First bytes at an offset, and the suffix of the format.
_SIGNATURES: list[tuple[int, bytes, str]] = [
    (0, b"ID3", ".mp3"),
    *((0, bytes((0xFF, second)), ".mp3") for second in (0xFB, 0xFA, 0xF3, 0xF2)),
    (0, b"fLaC", ".flac"),
    (28, b"OpusHead", ".opus"),
    (0, b"OggS", ".ogg"),
    (8, b"WAVE", ".wav"),
    (8, b"AVI ", ".avi"),
    (4, b"ftypM4A", ".m4a"),
    (4, b"ftypqt", ".mov"),
    (4, b"ftyp", ".mp4"),
    (0, b"\x1a\x45\xdf\xa3", ".webm"),
    (0, b"glTF", ".glb"),
    (0, b"ply", ".ply"),
    (0, b"Kaydara FBX", ".fbx"),
]


@dataclass(frozen=True)
class Fetched:
    """A file that was downloaded into the input folder under a temporary name, which its owner removes.

    Attributes:
        sha256: in hexadecimal digits.
        filename: what it is called where it comes from, for its suffix.
    """

    path: Path
    size: int
    sha256: str
    head: bytes
    filename: str


Content = bytes | Fetched


def is_picture(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a picture that ComfyUI opens."""
    return head.startswith(PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def head_of(content: Content) -> bytes:
    """Return the first bytes."""
    return content[:HEAD] if isinstance(content, bytes) else content.head


def size_of(content: Content) -> int:
    """Return the number of bytes."""
    return len(content) if isinstance(content, bytes) else content.size


def sha256_of(content: Content) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else content.sha256


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, which may be large."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def write_new(path: Path, content: Content) -> None:
    """Write a file that must not exist. Raises OSError; nothing is left then."""
    with path.open("xb") as file:
        try:
            if isinstance(content, bytes):
                file.write(content)
            else:
                with content.path.open("rb") as source:
                    shutil.copyfileobj(source, file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def suffix_of(place: str, content: Content, filename: str | None) -> str:
    """Return the suffix of a file's name: by its content, or else by the name that it was sent with.

    Raises UiapiError `invalid` if it is of no kind that is accepted.
    """
    head = head_of(content)
    if is_picture(head):
        return PICTURE
    named = PurePosixPath((filename or "").replace("\\", "/")).suffix.lower()
    found = next((suffix for at, start, suffix in _SIGNATURES if head[at : at + len(start)] == start), None)
    if found is not None:
        # Formats that share a container begin alike.
        return named if KIND_OF.get(named) == KIND_OF[found] else found
    # These are pictures only by their content.
    if KIND_OF.get(named, "image") != "image" and size_of(content) > 0:
        return named
    if filename is None:
        raise UiapiError("invalid", f"{place}: the format of the file is not known; send its name under filename.")
    what = f"{named[:20]!r} files are" if named else "files without a suffix are"
    raise UiapiError("invalid", f"{place}: {what} not accepted; send a picture, sound, video, 3D model or plain text.")


def folder_of(suffix: str) -> str:
    """Return the folder inside of the input folder for files with a suffix; empty for the input folder itself."""
    return FOLDERS.get(KIND_OF.get(suffix, ""), "")
