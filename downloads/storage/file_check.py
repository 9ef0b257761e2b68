"""Whether bytes are a model file of the format their name says: its first bytes, and the length they imply.

Formats: safetensors (8 bytes little-endian length of a JSON header, whose tensors' `data_offsets` end where the
file ends), GGUF (magic and version), ONNX (see onnx.py), and the two forms of a PyTorch checkpoint (ZIP archive,
pickle stream).
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ...common.errors import UiapiError
from .model_folders import MODEL_EXTENSIONS, PICKLE_EXTENSIONS, extension_of
from .onnx import OnnxCheck

# The safetensors library refuses longer headers, so no file has one.
MAX_HEADER = 100_000_000
# Bytes of a header that are in memory at a time, and more than an entry with its offsets has.
HEADER_PIECE = 1 << 20
LONGEST_OFFSETS = 256
# Bytes looked at before a format is decided.
SNIFF = 16
# How a ZIP archive begins, and what is in its last bytes; what comes before a comment, and the longest of those.
ZIP_START, ZIP_END, ZIP_TAIL = b"PK\x03\x04", b"PK\x05\x06", 22 + 65535
# How the text file begins that a repository has in a large file's place.
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
HASH_CHUNK = 4 << 20

# No file is so long that its offsets had more digits; Python refuses to read those of thousands.
_OFFSETS = re.compile(rb'"data_offsets"\s*:\s*\[\s*(\d{1,18})\s*,\s*(\d{1,18})\s*\]')
_SAFETENSORS = frozenset({".safetensors", ".sft"})


class HeadCheck:
    """Checks a file's first bytes as soon as enough of them are there.

    `needed` is how many bytes from the start the next step wants, 0 once the file has passed; `implied` is then how
    long it must be by its own header, None for a format that does not tell.

    Args:
        name: the file's name, whose ending says the format.
        total: the file's length in bytes, None while it is not known.
    """

    def __init__(self, name: str, total: int | None) -> None:
        self._extension = extension_of(name)
        self._total = total
        self.needed = SNIFF
        self.implied: int | None = None
        self._sniffed = False
        self._onnx = OnnxCheck(total) if self._extension == ".onnx" else None
        if total is not None and total < SNIFF:
            raise _not_a_model(self._extension, f"it has only {total} bytes" if total else "it is empty")

    def step(self, file: BinaryIO) -> None:
        """Look at the first `needed` bytes of a file. Blocks; UiapiError `not_a_model` or `size_mismatch`."""
        file.seek(0)
        if not self._sniffed:
            self._sniffed = True
            self._sniff(file.read(SNIFF))
            return
        if self._onnx is not None:
            self._step_onnx(self._onnx, file)
            return
        implied = self.needed + self._read_header(file)
        self._check_length(implied)
        self.needed, self.implied = 0, implied

    def _step_onnx(self, check: OnnxCheck, file: BinaryIO) -> None:
        try:
            check.step(file)
        except ValueError as error:
            raise _not_a_model(self._extension, str(error)) from None
        if check.implied is not None:
            self._check_length(check.implied)
        self.needed = check.needed

    def _check_length(self, implied: int) -> None:
        if self._total is not None and implied != self._total:
            raise UiapiError(
                "size_mismatch",
                f"The file has {self._total} bytes but its header speaks of {implied}; the source has a broken copy.",
                {
                    "size": self._total,
                    "expected": implied,
                    "why": f"it has {self._total} bytes where its own header says {implied}",
                },
            )

    def _read_header(self, file: BinaryIO) -> int:
        """Where the tensors end behind the JSON header of a safetensors file; held in memory piece by piece."""
        file.seek(8)
        left, end, overlap = self.needed - 8, 0, b""
        while left:
            piece = file.read(min(left, HEADER_PIECE))
            if not piece:
                raise _not_a_model(self._extension, "it ends within its header")
            left -= len(piece)
            text = overlap + piece
            end = max([end, *(int(match[2]) for match in _OFFSETS.finditer(text))])
            overlap = text[-LONGEST_OFFSETS:]
        if not overlap.rstrip().endswith(b"}"):
            raise _not_a_model(self._extension, "its header is broken")
        return end

    def _sniff(self, head: bytes) -> None:
        self.needed = 0
        if head == LFS_POINTER[:SNIFF]:
            raise _not_a_model(self._extension, "it is a Git LFS pointer, not the file itself")
        text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if text == b"<" or (text in (b"{", b"[") and self._extension not in _SAFETENSORS):
            raise _not_a_model(self._extension, "it starts like a web page or JSON")
        if self._extension in _SAFETENSORS:
            length = int.from_bytes(head[:8], "little")
            if head[8:9] != b"{" or not 2 <= length <= MAX_HEADER:
                raise _not_a_model(self._extension, "it does not start like one")
            if self._total is not None and 8 + length > self._total:
                raise _not_a_model(self._extension, "its header is longer than the file")
            self.needed = 8 + length
        elif self._extension == ".gguf":
            if head[:4] != b"GGUF":
                raise _not_a_model(self._extension, "it does not start like one")
        elif self._extension == ".onnx":
            self.needed = SNIFF
        elif self._extension in PICKLE_EXTENSIONS and head[:4] != ZIP_START and head[:1] != b"\x80":
            raise _not_a_model(self._extension, "it does not start like one")


def check_file(path: Path, name: str = "") -> None:
    """Check a whole file on disk by its two ends. Blocks; UiapiError `not_a_model` or `size_mismatch`, or OSError.

    Args:
        name: the one whose ending says the format; the file's own if left out.
    """
    with path.open("rb") as file:
        check = HeadCheck(name or path.name, os.fstat(file.fileno()).st_size)
        while check.needed:
            check.step(file)
        file.seek(0)
        if file.read(4) == ZIP_START:
            file.seek(max(0, os.fstat(file.fileno()).st_size - ZIP_TAIL))
            if ZIP_END not in file.read():
                raise _not_a_model(extension_of(path.name), "its end is missing")


def check_any_file(path: Path) -> None:
    """As check_file; of a format that is not known, only that it is neither empty nor a page nor an LFS pointer."""
    extension = extension_of(path.name)
    if extension in MODEL_EXTENSIONS:
        check_file(path)
        return
    with path.open("rb") as file:
        head = file.read(LONGEST_OFFSETS)
    if not head:
        raise _not_a_model(extension, "it is empty")
    if head.startswith(LFS_POINTER):
        raise _not_a_model(extension, "it is a Git LFS pointer, not the file itself")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html")):
        raise _not_a_model(extension, "it is a web page")


def sha256_of(path: str | os.PathLike[str], stop: threading.Event | None = None) -> str:
    """The SHA256 of a file, in lower-case hexadecimal. Blocks for about a second per 1.5 GB.

    Args:
        stop: once it is set, the reading ends with InterruptedError.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(HASH_CHUNK))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            if stop is not None and stop.is_set():
                raise InterruptedError(f"{path} is not wanted any more")
    return digest.hexdigest()


class FollowingHash:
    """The SHA256 of a file that is still being written: a thread that hashes up to where the file has no gap.

    Args:
        path: the file, opened here a second time so that reading does not move the writer's position.
        frontier: how many bytes from the start are there by now; called on the hashing thread.
    """

    def __init__(self, path: Path, frontier: Callable[[], int]) -> None:
        self._path = path
        self._frontier = frontier
        self._grown = threading.Event()
        self._total: int | None = None
        self._stopped = False
        self._digest = hashlib.sha256()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="uiapi hash", daemon=True)
        self._thread.start()

    def grown(self) -> None:
        """Say that the frontier may have moved."""
        self._grown.set()

    def finish(self, total: int) -> str:
        """The digest of the first `total` bytes, all of which are there. Blocks until they are hashed; OSError."""
        self._total = total
        self._grown.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()

    def give_up(self) -> None:
        """Have the thread end with the piece it is at, and with it a `finish` that waits."""
        self._stopped = True
        self._grown.set()

    def stop(self) -> None:
        """End the thread; blocks for as long as one piece takes."""
        self.give_up()
        self._thread.join()

    def _run(self) -> None:
        buffer = memoryview(bytearray(HASH_CHUNK))
        at = 0
        try:
            with self._path.open("rb", buffering=0) as file:
                while not self._stopped and at != self._total:
                    self._grown.clear()
                    count = min(self._frontier() - at, HASH_CHUNK)
                    # Small pieces would cost more in switching threads than they save in time at the end.
                    if count <= 0 or (count < HASH_CHUNK and self._total is None):
                        self._grown.wait(1.0)
                        continue
                    read = file.readinto(buffer[:count])
                    if not read:
                        raise OSError(f"{self._path.name} ends at {at} bytes")
                    self._digest.update(buffer[:read])
                    at += read
        except OSError as error:
            self._error = error


def _not_a_model(extension: str, why: str) -> UiapiError:
    return UiapiError(
        "not_a_model",
        f"What the source sent is not a {extension} file: {why}. Check the address, or whether a login is needed.",
        {"why": why},
    )
