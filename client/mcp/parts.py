"""The parts of a tool's result: texts and pictures, bounded so that they fit an agent's context."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

# The longest side of a picture in pixels, if Pillow is installed to scale it.
MAX_SIDE = 1024
# The most bytes of a picture, so that four of them in base64 fit the megabyte that MCP clients accept in one event.
MAX_BYTES = 180_000
# The most characters of text in a result.
MAX_TEXT = 40_000
# The picture formats that agents accept: file suffixes, and the first bytes with their media type.
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_KINDS = {
    rb"\x89PNG": "image/png",
    rb"\xff\xd8": "image/jpeg",
    rb"GIF8": "image/gif",
    rb"RIFF.{4}WEBP": "image/webp",
}
UNSEEN = "One of the files cannot be shown here as a picture; the person can see it in the browser."

# A text, or the bytes of a picture with their media type.
Part = str | tuple[bytes, str]


def picture_part(content: bytes) -> Part:
    """Returns a picture as a part, or a sentence if agents cannot see it."""
    mime = next((mime for pattern, mime in _KINDS.items() if re.match(pattern, content, re.DOTALL)), None)
    if mime is None:
        return UNSEEN
    try:
        return small(content, mime)
    except Exception:
        # Pillow raises many types of exceptions for invalid files.
        return UNSEEN


def small(picture: bytes, mime: str) -> tuple[bytes, str]:
    """Returns the picture, made smaller if it is larger than MAX_SIDE or MAX_BYTES and Pillow is installed."""
    try:
        from PIL import Image
    except ImportError:
        return picture, mime
    with Image.open(io.BytesIO(picture)) as image:
        if max(image.size) <= MAX_SIDE and len(picture) <= MAX_BYTES:
            return picture, mime
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        content = _encoded(image, "PNG")
        if len(content) <= MAX_BYTES:
            return content, "image/png"
        plain = image.convert("RGB")
        while len(content := _encoded(plain, "JPEG", quality=85)) > MAX_BYTES:
            plain.thumbnail((max(plain.width * 3 // 4, 1), max(plain.height * 3 // 4, 1)))
    return content, "image/jpeg"


def _encoded(image: Image, form: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form, **settings)
    return buffer.getvalue()


def text_part(value: Any) -> str:
    """Returns decoded JSON as text, cut if it is too long."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}… (cut: {len(text)} characters; ask for less, such as fewer nodes or one node's fields)"
