"""Checks whether a file has the format that its name says, by its first bytes and the length they imply.

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
from time import sleep
from typing import BinaryIO

from ...common.errors import UiapiError
from .model_folders import MODEL_EXTENSIONS, PICKLE_EXTENSIONS, extension_of
from .onnx import OnnxCheck

# The safetensors library refuses longer headers, so no file has one.
MAX_HEADER = 100_000_000
# Bytes of a header that are examined at a time, and an upper bound for the length of an entry with its offsets.
HEADER_PIECE = 1 << 14
LONGEST_OFFSETS = 256
# Seconds between two pieces, in which other threads run: of a thread that only computes, each of their steps would have
# to wait 5 ms.
PAUSE = 50e-6
# Bytes needed to recognize a format.
SNIFF = 16
# The magic numbers of a ZIP archive's start and of its end record, and the most bytes from there to the end: the
# record with the longest comment.
ZIP_START, ZIP_END, ZIP_TAIL = b"PK\x03\x04", b"PK\x05\x06", 22 + 65535
# The start of a Git LFS pointer, a text file that a repository has in place of a large file.
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
HASH_CHUNK = 4 << 20

# No real offset has more digits; Python refuses to parse numbers with thousands of digits.
_OFFSETS = re.compile(rb'"data_offsets"\s*:\s*\[\s*\d{1,18}\s*,\s*(\d{1,18})\s*\]')
_SAFETENSORS = frozenset({".safetensors", ".sft"})


class HeadCheck:
    """Checks a file's first bytes as soon as enough of them are present.

    `needed` is the number of bytes from the start that the next step needs, 0 once the file has passed; `implied` is
    then the file's length by its own header, None for a format whose header does not give it.

    Args:
        name: the file's name, whose extension determines the format.
        total: the file's length in bytes, None if unknown.
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
        """Check the first `needed` bytes of a file. Blocks; UiapiError `not_a_model` or `size_mismatch`."""
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
                f"The file has {self._total} bytes but its header implies {implied}; the source has a broken copy.",
                {
                    "size": self._total,
                    "expected": implied,
                    "why": f"it has {self._total} bytes but its header implies {implied}",
                },
            )

    def _read_header(self, file: BinaryIO) -> int:
        """The length of the tensor data by the JSON header of a safetensors file, which is read in pieces."""
        file.seek(8)
        left, end, overlap = self.needed - 8, 0, b""
        while left:
            piece = file.read(min(left, HEADER_PIECE))
            if not piece:
                raise _not_a_model(self._extension, "it ends within its header")
            left -= len(piece)
            text = overlap + piece
            end = max([end, *map(int, _OFFSETS.findall(text))])
            overlap = text[-LONGEST_OFFSETS:]
            sleep(PAUSE)
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
        name: a name whose extension determines the format; the file's own name if left out.
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
    """As check_file; a file of an unknown format must only not be empty, a web page or a Git LFS pointer."""
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
    """The SHA-256 of a file, in lower-case hexadecimal. Blocks for about a second per 1.5 GB.

    Args:
        stop: an event that ends the reading with InterruptedError.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(HASH_CHUNK))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            if stop is not None and stop.is_set():
                raise InterruptedError(f"{path} is no longer needed")
    return digest.hexdigest()


class FollowingHash:
    """The SHA-256 of a file that is still being written, computed in a thread up to the file's first gap.

    Args:
        opened: opens the file for reading, unbuffered; called on the hashing thread.
        frontier: returns the number of bytes present from the start; called on the hashing thread.
    """

    def __init__(self, opened: Callable[[], BinaryIO], frontier: Callable[[], int]) -> None:
        self._opened = opened
        self._frontier = frontier
        self._grown = threading.Event()
        self._total: int | None = None
        self._stopped = False
        self._digest = hashlib.sha256()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="uiapi hash", daemon=True)
        self._thread.start()

    def grown(self) -> None:
        """Notify the thread that the frontier may have moved."""
        self._grown.set()

    def finish(self, total: int) -> str:
        """The digest of the first `total` bytes, all of which must be present. Blocks until done; OSError."""
        self._total = total
        self._grown.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()

    def give_up(self) -> None:
        """Make the thread end after its current piece; a waiting `finish` then returns."""
        self._stopped = True
        self._grown.set()

    def stop(self) -> None:
        """End the thread; blocks until its current piece is hashed."""
        self.give_up()
        self._thread.join()

    def _run(self) -> None:
        buffer = memoryview(bytearray(HASH_CHUNK))
        at = 0
        try:
            with self._opened() as file:
                while not self._stopped and at != self._total:
                    self._grown.clear()
                    count = min(self._frontier() - at, HASH_CHUNK)
                    # For small pieces, switching threads costs more time than hashing early saves.
                    if count <= 0 or (count < HASH_CHUNK and self._total is None):
                        self._grown.wait(1.0)
                        continue
                    read = file.readinto(buffer[:count])  # type: ignore[attr-defined]
                    if not read:
                        raise OSError(f"the file ends at {at} bytes")
                    self._digest.update(buffer[:read])
                    at += read
        except OSError as error:
            self._error = error


def _not_a_model(extension: str, why: str) -> UiapiError:
    return UiapiError(
        "not_a_model",
        f"The source did not send a {extension} file: {why}. Check the URL, or whether a login is needed.",
        {"why": why},
    )
