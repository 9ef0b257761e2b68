"""Encodes Python values as JSON: pictures as base64, numpy scalars as numbers; NaN is refused."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

from ..common.errors import UiapiError

# First bytes of the picture formats that ComfyUI opens; WebP is a kind of RIFF.
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")
NOT_UNICODE = "A string contains invalid UTF-8 or a lone surrogate; remove it."


def encode(data: Any) -> bytes:
    """Returns `data` as JSON. Any value in it may be a picture.

    A picture is a PIL image, a numpy array (rows, columns[, channels]; bytes, or floats from 0 to 1), the bytes of
    an image file, or the Path of one. Bytes and paths may also be sounds, videos and other files.

    Raises:
        UiapiError: `invalid` for NaN, Infinity, and types that cannot be sent.
    """
    try:
        return json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()
    except UnicodeEncodeError as error:
        raise UiapiError("invalid", NOT_UNICODE) from error
    except ValueError:
        where = _not_finite(data, "")
        if where is None:
            raise
        raise UiapiError("invalid", f"NaN and Infinity cannot be sent; give {where} a finite number.") from None


def picture(value: Any) -> dict[str, str] | None:
    """Returns the JSON object for a picture or another file, or None for other values."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _file(bytes(value), None)
    if isinstance(value, Path):
        return _file(_read(value), value.name)
    if _is_pil(value):
        content = _pil_png(value)
    elif _is_array(value) and value.ndim in (2, 3, 4):
        content = _array_png(value)
    else:
        return None
    return {"type": "image_base64", "data": base64.b64encode(content).decode()}


def _file(content: bytes, name: str | None) -> dict[str, str]:
    """Returns the JSON object for the content of a file; the server recognises sounds and videos itself."""
    data = base64.b64encode(content).decode()
    if content.startswith(PICTURES) or (content[:4] == b"RIFF" and content[8:12] == b"WEBP"):
        return {"type": "image_base64", "data": data}
    return {"type": "file_base64", "data": data, **({} if name is None else {"filename": name})}


def _plain(value: Any) -> Any:
    """Converts a value that json does not support."""
    image = picture(value)
    if image is not None:
        return image
    if hasattr(value, "tolist"):
        # Scalars and one-dimensional arrays of numpy and torch.
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise UiapiError("invalid", f"A {type(value).__name__} cannot be sent; use a number, a string or a picture.")


def _not_finite(value: Any, place: str) -> str | None:
    """Returns the path or name of the first number that is not finite."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return None if math.isfinite(value) else place or "the value"
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        # A [path, value] pair is named after its path.
        pair = len(value) == 2 and isinstance(value[0], str)
        items = [(value[0] if pair else place, item) for item in value]
    else:
        return None
    return next((found for name, item in items if (found := _not_finite(item, name)) is not None), None)


def _read(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise UiapiError("invalid", f"{path} cannot be read: {error.strerror}.") from error


def _is_pil(value: Any) -> bool:
    # A Pillow image exists only if Pillow has been imported.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") and hasattr(value, "ndim")


def _pil_png(image: Any) -> bytes:
    buffer = io.BytesIO()
    plain = image if image.mode in ("1", "L", "LA", "RGB", "RGBA", "I;16") else image.convert("RGBA")
    plain.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _array_png(value: Any) -> bytes:
    import numpy

    array = numpy.asarray(value)
    if array.ndim == 4 and array.shape[0] == 1:
        # A batch of one, the shape of ComfyUI's tensors.
        array = array[0]
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or 0 in array.shape:
        raise UiapiError("invalid", f"An array of shape {array.shape} is not a picture; use (rows, columns, channels).")
    if array.dtype.kind == "f":
        if not numpy.isfinite(array).all():
            raise UiapiError("invalid", "The picture contains NaN or Infinity; replace them with numpy.nan_to_num.")
        array = (array.clip(0, 1) * 255).round()
    elif array.dtype.kind == "b":
        array = array * 255
    elif array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
        raise UiapiError(
            "invalid", "A picture of integers must have values from 0 to 255; scale it, or use floats from 0 to 1."
        )
    return png(numpy.ascontiguousarray(array, dtype=numpy.uint8).tobytes(), array.shape[1], array.shape[0])


def png(pixels: bytes, width: int, height: int) -> bytes:
    """Returns a PNG file of 8-bit pixels in row order; the number of channels follows from the sizes.

    Format: https://www.w3.org/TR/png-3/ (IHDR, IDAT with filter 0, IEND).
    """
    channels = len(pixels) // (width * height)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    row = width * channels
    rows = b"".join(b"\0" + pixels[start : start + row] for start in range(0, len(pixels), row))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
