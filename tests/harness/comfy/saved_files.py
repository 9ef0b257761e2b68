"""Files as people have them: pictures, videos and sounds with a workflow in their metadata, in many ways.

Each is made of the two formats of one small graph, with different widths, so that a test can see which was loaded.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from fractions import Fraction
from typing import Any

import av
import numpy
from PIL import Image

UI: dict[str, Any] = {
    "last_node_id": 2,
    "last_link_id": 1,
    "nodes": [
        {
            "id": 1,
            "type": "EmptyImage",
            "pos": [100, 100],
            "size": [220, 130],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
            "properties": {},
            "title": "Größe",
            "widgets_values": [64, 32, 1, 255],
        },
        {
            "id": 2,
            "type": "PreviewImage",
            "pos": [400, 100],
            "size": [220, 100],
            "flags": {},
            "order": 1,
            "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            "outputs": [],
            "properties": {},
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    "groups": [],
    "config": {},
    "extra": {},
    "version": 0.4,
}
API: dict[str, Any] = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 128, "height": 32, "batch_size": 1, "color": 255},
        "_meta": {"title": "Canvas"},
    },
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}, "_meta": {"title": "Shown"}},
}
# As json.dumps of ComfyUI writes them: without characters beyond ASCII, and with NaN.
WORKFLOW, PROMPT = json.dumps(UI), json.dumps(API)
RAW = json.dumps(UI, ensure_ascii=False)
NAN_WORKFLOW = WORKFLOW.replace('"extra": {}', '"extra": {"ds": NaN}')
NAN_PROMPT = PROMPT.replace('"_meta": {"title": "Canvas"}', '"_meta": {"title": "Canvas"}, "is_changed": [NaN]')
A1111 = (
    "a cat\nNegative prompt: a dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, "
    "Model hash: 0123456789, Model: some"
)
# A file: its name, its media type, and its bytes.
File = tuple[str, str, bytes]


def _chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)
    )


def _text(key: str, text: str, encoding: str = "utf-8") -> bytes:
    return _chunk(b"tEXt", key.encode() + b"\0" + text.encode(encoding))


def _comf(key: str, text: str) -> bytes:
    return _chunk(b"comf", key.encode() + b"\0" + text.encode())


def _ztxt(key: str, text: str) -> bytes:
    return _chunk(b"zTXt", key.encode() + b"\0\0" + zlib.compress(text.encode()))


def _itxt(key: str, text: str, *, compressed: bool = False) -> bytes:
    data = zlib.compress(text.encode()) if compressed else text.encode()
    return _chunk(b"iTXt", key.encode() + b"\0" + bytes([compressed, 0]) + b"\0\0" + data)


def _saved(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "teal").save(file, kind, **options)
    return file.getvalue()


def _png(*chunks: bytes, after: tuple[bytes, ...] = ()) -> bytes:
    whole = _saved("PNG")
    return whole[:33] + b"".join(chunks) + whole[33:-12] + b"".join(after) + whole[-12:]


def _tiff(texts: list[str], order: str = "<", head: bytes = b"") -> bytes:
    """EXIF data of texts, in the tags Make, Model and on."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = 8 + 2 + 12 * len(texts) + 4
    entries, values = b"", b""
    for tag, text in enumerate(texts, 0x010F):
        data = text.encode() + b"\0"
        entries += struct.pack(f"{order}HHII", tag, 2, len(data), start + len(values))
        values += data
    return head + mark + struct.pack(f"{order}IH", 8, len(texts)) + entries + bytes(4) + values


def _webp(exif: bytes | None, *, first: bool = False) -> bytes:
    whole = _saved("WEBP", lossless=True)
    chunk = whole[12:]
    if exif is None:
        return whole
    extra = b"EXIF" + struct.pack("<I", len(exif)) + exif + bytes(len(exif) % 2)
    flags = b"VP8X" + struct.pack("<I", 10) + bytes([0x08, 0, 0, 0]) + bytes([15, 0, 0, 15, 0, 0])
    body = b"WEBP" + flags + (extra + chunk if first else chunk + extra)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _jpeg(exif: bytes | None) -> bytes:
    return _saved("JPEG", **({} if exif is None else {"exif": b"Exif\0\0" + exif}))


def _media(container: str, codec: str, texts: dict[str, str], options: dict[str, str] | None = None) -> bytes:
    """A short sound or video with these texts."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as output:
        output.metadata.update(texts)
        if codec in ("mpeg4", "libvpx-vp9"):
            stream = output.add_stream(codec, rate=10)
            stream.width = stream.height = 64  # type: ignore[union-attr]
            stream.pix_fmt = "yuv420p"  # type: ignore[union-attr]
            frames: list[Any] = [av.VideoFrame(64, 64, "yuv420p") for _ in range(2)]
        else:
            stream = output.add_stream(codec, rate=48_000, layout="mono")
            samples = numpy.zeros((1, 4800), numpy.float32 if codec != "flac" else numpy.int16)
            frame = av.AudioFrame.from_ndarray(samples, "fltp" if codec != "flac" else "s16p", "mono")
            frame.sample_rate, frame.time_base, frames = 48_000, Fraction(1, 48_000), [frame]
        for one in frames:
            output.mux(stream.encode(one))  # type: ignore[union-attr]
        output.mux(stream.encode(None))  # type: ignore[union-attr]
    return file.getvalue()


def _made(container: str, codec: str, suffix: str, mime: str, options: dict[str, str] | None = None) -> dict[str, File]:
    both = {"prompt": PROMPT, "workflow": WORKFLOW}
    name = f"a.{suffix}"
    return {
        f"{suffix} with both": (name, mime, _media(container, codec, both, options)),
        f"{suffix} of another program": (name, mime, _media(container, codec, {}, options)),
    }


def pictures() -> dict[str, File]:
    """PNG, WebP and JPEG files, by what is particular about each."""
    workflow, prompt = _text("workflow", WORKFLOW), _text("prompt", PROMPT)
    damaged = _text("workflow", "{damaged")
    png = {
        "both": _png(prompt, workflow),
        "both in another order": _png(workflow, prompt),
        "UI format only": _png(workflow),
        "API format only": _png(prompt),
        "texts behind the picture": _png(after=(prompt, workflow)),
        "UTF-8": _png(_text("workflow", RAW)),
        "Latin-1": _png(_text("workflow", RAW, "latin-1")),
        "iTXt": _png(_itxt("prompt", PROMPT), _itxt("workflow", RAW)),
        "compressed iTXt": _png(_itxt("workflow", WORKFLOW, compressed=True)),
        "zTXt": _png(_ztxt("workflow", WORKFLOW)),
        "NaN in API format": _png(_text("prompt", NAN_PROMPT)),
        "NaN in both": _png(_text("prompt", NAN_PROMPT), _text("workflow", NAN_WORKFLOW)),
        "an unused NaN": _png(_text("prompt", NAN_PROMPT), workflow),
        "parameters": _png(_text("parameters", A1111)),
        "parameters and a workflow": _png(_text("parameters", A1111), workflow),
        "no metadata": _png(),
        "a comment": _png(_text("Comment", "made by hand"), _text("Software", "x")),
        "a damaged workflow and a prompt": _png(prompt, damaged),
        "a damaged workflow": _png(damaged),
        "a list as workflow": _png(_text("workflow", "[]"), prompt),
        "the same key twice": _png(_text("workflow", WORKFLOW.replace("64,", "99,", 1)), workflow),
        "a capital letter": _png(_text("Workflow", WORKFLOW)),
        "a wrong checksum": _png(_chunk(b"tEXt", b"workflow\0" + WORKFLOW.encode(), 1)),
        "a picture that is cut off": _png(prompt, workflow)[:-40],
        "an animation": _png(_comf("prompt", PROMPT), _comf("workflow", WORKFLOW)),
    }
    pair = [f"workflow:{WORKFLOW}", f"prompt:{PROMPT}"]
    webp = {
        "both": _webp(_tiff(pair)),
        "both in another order": _webp(_tiff(pair[::-1])),
        "UI format only": _webp(_tiff(pair[:1])),
        "API format only": _webp(_tiff(pair[1:])),
        "capital letters": _webp(_tiff([f"Workflow:{WORKFLOW}", f"Prompt:{PROMPT}"])),
        "big-endian": _webp(_tiff(pair, ">")),
        "a prefix": _webp(_tiff(pair, head=b"Exif\0\0")),
        "texts before the picture": _webp(_tiff(pair), first=True),
        "no metadata": _webp(None),
        "EXIF of a camera": _webp(_tiff(["Camera", "Model 1"])),
    }
    jpeg = {
        "both": _jpeg(_tiff(pair)),
        "no metadata": _jpeg(None),
    }
    kinds = {"png": ("image/png", png), "webp": ("image/webp", webp), "jpeg": ("image/jpeg", jpeg)}
    return {
        f"{kind} with {what}": (f"a.{kind}", mime, content)
        for kind, (mime, files) in kinds.items()
        for what, content in files.items()
    }


def sounds_and_videos() -> dict[str, File]:
    """Sounds and videos with both formats, and from other programs."""
    return {
        **_made("flac", "flac", "flac", "audio/flac"),
        **_made("mp3", "libmp3lame", "mp3", "audio/mpeg"),
        **_made("ogg", "libopus", "ogg", "audio/ogg"),
        **_made("mp4", "mpeg4", "mp4", "video/mp4", {"movflags": "use_metadata_tags"}),
        **_made("webm", "libvpx-vp9", "webm", "video/webm"),
    }


def _glb(extras: Any) -> bytes:
    text = json.dumps({"asset": {"version": "2.0", "extras": extras}}).encode()
    text += b" " * (-len(text) % 4)
    return b"glTF" + struct.pack("<II", 2, 20 + len(text)) + struct.pack("<I", len(text)) + b"JSON" + text


def _latent(metadata: Any) -> bytes:
    text = json.dumps({"__metadata__": metadata}).encode()
    return struct.pack("<Q", len(text)) + text


def _svg(metadata: Any) -> bytes:
    drawing = f"<metadata><![CDATA[{json.dumps(metadata)}]]></metadata>"
    return f'<svg xmlns="http://www.w3.org/2000/svg">{drawing}</svg>'.encode()


def texts() -> dict[str, File]:
    """JSON files, and those that have JSON inside."""
    mime = "application/json"
    both = {"prompt": PROMPT, "workflow": WORKFLOW}
    return {
        "glb with both": ("a.glb", "model/gltf-binary", _glb(both)),
        "latent with both": ("a.latent", "", _latent(both)),
        "svg with both": ("a.svg", "image/svg+xml", _svg({"prompt": API, "workflow": UI})),
        "json in UI format": ("a.json", mime, WORKFLOW.encode()),
        "json in API format": ("a.json", mime, PROMPT.encode()),
        "json that is no workflow": ("a.json", mime, b'{"a": 1}'),
        "json that is damaged": ("a.json", mime, b"{"),
    }
