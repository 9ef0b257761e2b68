"""Converts a picture to the format that the suffix of a file name asks for, with Pillow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from .errors import UiapiError

# The formats by suffix, as Pillow names them.
FORMATS = {
    ".png": "PNG",
    ".apng": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
# The suffixes of pictures that Pillow can show.
SHOWN = frozenset({*FORMATS, ".avif"})


def converted(content: bytes, own: str, wanted: str) -> bytes:
    """Returns a picture with the file name `own` in the format of the file name `wanted`.

    Transparent parts become white where the format has no transparency. Raises UiapiError `invalid` with the reason if
    it cannot be converted, or Pillow is missing.
    """
    have, want = (Path(name).suffix.lower() for name in (own, wanted))
    if FORMATS.get(have, have) == FORMATS.get(want, want):
        return content
    name = Path(wanted).with_suffix(have).name
    if want not in FORMATS:
        raise UiapiError("invalid", f"{own} cannot be saved as {want}; name the file {name}.")
    try:
        from PIL import Image
    except ImportError:
        raise UiapiError(
            "invalid", f"{own} can be saved as {want} with Pillow: pip install pillow; or name the file {name}."
        ) from None
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if getattr(picture, "n_frames", 1) > 1:
                raise UiapiError("invalid", f"{own} has several frames; name the file {name}.")
            return _written(picture, FORMATS[want])
    except OSError as error:
        raise UiapiError("invalid", f"{own} cannot be saved as {want} ({error}); name the file {name}.") from error


def _written(picture: Any, wanted: str) -> bytes:
    from PIL import Image

    if wanted in ("JPEG", "BMP") and (picture.mode in ("RGBA", "LA", "PA", "P") or "transparency" in picture.info):
        opaque = picture.convert("RGBA")
        picture = Image.new("RGB", opaque.size, "white")
        picture.paste(opaque, mask=opaque.getchannel("A"))
    made = io.BytesIO()
    # The quality that Pillow uses by default shows in pictures with fine lines.
    picture.save(made, wanted, **({"quality": 95} if wanted in ("JPEG", "WEBP") else {}))
    return made.getvalue()
