"""Workflows are found in the files that ComfyUI saves, and hostile files are refused within limits."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy
import pytest
from comfyui_uiapi.bridge.metadata import reader
from comfyui_uiapi.bridge.metadata.chunks import MAX_TEXT
from comfyui_uiapi.bridge.metadata.reader import workflow_in
from comfyui_uiapi.common.errors import UiapiError
from PIL import Image, PngImagePlugin

GRAPH = {"nodes": [{"id": 1, "type": "EmptyImage", "title": "Größe 日本"}], "links": []}
PROMPT = {"1": {"class_type": "EmptyImage", "inputs": {"width": 64}}}
BOTH = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(GRAPH)}
Texts = dict[str, str]


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(texts: Texts, *, compressed: bool = False, unicode: bool = False) -> bytes:
    about = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        (about.add_itxt if unicode else about.add_text)(key, text, zip=compressed)
    return saved(Image.new("RGB", (4, 4)), "PNG", pnginfo=about)


def animated_png(texts: Texts) -> bytes:
    about = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        about.add(b"comf", key.encode() + b"\0" + text.encode("latin-1", "strict"), after_idat=True)
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    return saved(frames[0], "PNG", pnginfo=about, save_all=True, append_images=frames[1:])


def exif(texts: Texts) -> Image.Exif:
    found = Image.Exif()
    for tag, (key, text) in zip((0x0110, 0x010F, 0x010E), texts.items(), strict=False):
        found[tag] = f"{key}:{text}"
    return found


def webp(texts: Texts) -> bytes:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    return saved(frames[0], "WEBP", exif=exif(texts), save_all=True, append_images=frames[1:])


def still_webp(texts: Texts) -> bytes:
    return saved(Image.new("RGB", (4, 4)), "WEBP", exif=exif(texts))


def jpeg(texts: Texts) -> bytes:
    return saved(Image.new("RGB", (4, 4)), "JPEG", exif=exif(texts))


def video(container: str, codec: str, texts: Texts, **options: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=options) as output:
        output.metadata.update(texts)
        stream: Any = output.add_stream(codec, rate=Fraction(8))
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(numpy.zeros((64, 64, 3), numpy.uint8), "rgb24")
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def sound(container: str, codec: str, texts: Texts) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        output.metadata.update(texts)
        stream: Any = output.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(numpy.zeros((1, 4800), numpy.int16), "s16", "mono")
        frame.sample_rate = 48000
        resampler = av.AudioResampler(stream.format, "mono", 48000, stream.frame_size or None)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            output.mux(stream.encode(part))
    return buffer.getvalue()


FILES: dict[str, Callable[[Texts], bytes]] = {
    "PNG": png,
    "PNG with compressed texts": lambda texts: png(texts, compressed=True),
    "PNG with Unicode texts": lambda texts: png(texts, unicode=True),
    "PNG with compressed Unicode texts": lambda texts: png(texts, compressed=True, unicode=True),
    "animated PNG": animated_png,
    "WebP": still_webp,
    "animated WebP": webp,
    "JPEG": jpeg,
    "MP4": lambda texts: video("mp4", "mpeg4", texts, movflags="use_metadata_tags"),
    "WebM": lambda texts: video("webm", "libvpx-vp9", texts),
    "FLAC": lambda texts: sound("flac", "flac", texts),
    "Opus": lambda texts: sound("opus", "libopus", texts),
    "MP3": lambda texts: sound("mp3", "libmp3lame", texts),
}
every_file = pytest.mark.parametrize("make", FILES.values(), ids=FILES)


def refused(content: bytes) -> UiapiError:
    with pytest.raises(UiapiError) as caught:
        workflow_in(content)
    return caught.value


@every_file
def test_the_graph_is_preferred_as_on_the_page_and_the_prompt_where_api_format_is_needed(
    make: Callable[[Texts], bytes],
) -> None:
    content = make(BOTH)
    assert (workflow_in(content), workflow_in(content, api=True)) == (GRAPH, PROMPT)
    only = make({"prompt": BOTH["prompt"]})
    assert workflow_in(only) == PROMPT


@every_file
def test_a_file_of_another_program_is_refused_with_the_reason(make: Callable[[Texts], bytes]) -> None:
    error = refused(make({"parameters": "a lake\nSteps: 20, Sampler: Euler a, Seed: 1"}))
    assert error.code == "no_workflow" and ("another program" in error.message)
    assert refused(make({})).code == "no_workflow"


@every_file
def test_a_file_cut_anywhere_is_read_or_refused(make: Callable[[Texts], bytes]) -> None:
    content = make(BOTH)
    for size in {*range(0, min(len(content), 600), 11), *range(0, len(content), max(len(content) // 40, 1))}:
        try:
            assert workflow_in(content[:size]) in (GRAPH, PROMPT)
        except UiapiError as error:
            assert error.code in ("no_workflow", "invalid", "unsupported_type")


@every_file
def test_a_file_with_any_byte_replaced_is_read_or_refused(make: Callable[[Texts], bytes]) -> None:
    content = make(BOTH)
    for at in range(0, min(len(content), 3000), 17):
        for byte in (0, 0xFF):
            broken = bytearray(content)
            broken[at] = byte
            try:
                workflow_in(bytes(broken))
            except UiapiError as error:
                assert error.code in ("no_workflow", "invalid", "unsupported_type", "too_large")


def test_the_comment_of_a_video_may_hold_the_workflow() -> None:
    comment = json.dumps({"prompt": BOTH["prompt"], "workflow": GRAPH})
    assert workflow_in(video("mp4", "mpeg4", {"comment": comment})) == GRAPH
    assert refused(video("mp4", "mpeg4", {"comment": "a nice video"})).code == "no_workflow"


def test_json_is_a_workflow_itself() -> None:
    assert workflow_in(b"\xef\xbb\xbf" + json.dumps(GRAPH).encode()) == GRAPH
    assert refused(b"GIF89a").code == "unsupported_type"


@pytest.mark.parametrize("text", ["[1]", "{", '"a"', "[" * 100_000])
def test_metadata_that_is_no_workflow_is_refused(text: str) -> None:
    assert refused(png({"workflow": text})).code == "invalid"


def test_numbers_that_json_lacks_are_none_as_on_the_page() -> None:
    assert workflow_in(png({"workflow": '{"nodes": [NaN, Infinity, -Infinity]}'})) == {"nodes": [None] * 3}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_compressed_text_is_inflated_up_to_the_limit() -> None:
    bomb = zlib.compress(b" " * (MAX_TEXT + 2), 9)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", b"workflow\0\0" + bomb) + chunk(b"IEND", b"")
    assert refused(content).code == "invalid"


def test_a_text_of_100_megabytes_is_refused_without_a_copy() -> None:
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"workflow\0" + b" " * 100_000_000)
    assert refused(content).code == "invalid"


def test_a_file_of_countless_parts_is_refused() -> None:
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"abcd", b"") * 200_000
    assert refused(content).code == "invalid"


def chunks(*texts: tuple[str, bytes]) -> bytes:
    """A PNG with these texts, in this order and as these bytes."""
    whole = png({})
    added = b""
    for key, text in texts:
        data = b"tEXt" + key.encode() + b"\0" + text
        added += struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return whole[:33] + added + whole[33:]


def test_texts_of_a_png_are_utf_8_as_in_the_page() -> None:
    raw = json.dumps(GRAPH, ensure_ascii=False).encode()
    assert workflow_in(chunks(("workflow", raw))) == GRAPH


@pytest.mark.parametrize("damaged", [b"{damaged", b"[]", b"7"])
def test_a_damaged_workflow_does_not_hide_the_prompt(damaged: bytes) -> None:
    prompt = json.dumps(PROMPT).encode()
    assert workflow_in(chunks(("workflow", damaged), ("prompt", prompt))) == PROMPT
    with pytest.raises(UiapiError) as refused:
        workflow_in(chunks(("workflow", damaged)))
    assert refused.value.code == "invalid"


def test_the_last_of_several_texts_counts_as_in_the_page() -> None:
    first, last = json.dumps({"nodes": [1]}).encode(), json.dumps(GRAPH).encode()
    assert workflow_in(chunks(("workflow", first), ("workflow", last))) == GRAPH
    assert workflow_in(chunks(("workflow", last), ("Workflow", first))) == GRAPH


def glb(extras: object) -> bytes:
    text = json.dumps({"asset": {"version": "2.0", "extras": extras}}).encode()
    return b"glTF" + struct.pack("<II", 2, 20 + len(text)) + struct.pack("<I", len(text)) + b"JSON" + text


def latent(metadata: object) -> bytes:
    text = json.dumps({"__metadata__": metadata}).encode()
    return struct.pack("<Q", len(text)) + text


def svg(metadata: object) -> bytes:
    return f"<svg><metadata>\n<![CDATA[{json.dumps(metadata)}]]></metadata></svg>".encode()


@pytest.mark.parametrize("made", [glb, latent, svg])
def test_models_latents_and_drawings_are_read(made: Callable[[object], bytes]) -> None:
    assert workflow_in(made(BOTH)) == GRAPH
    assert workflow_in(made({"workflow": GRAPH})) == GRAPH
    assert workflow_in(made(BOTH), api=True) == PROMPT
    nothing: list[object] = [{}, [], {"workflow": "damaged"}]
    for without in nothing:
        with pytest.raises(UiapiError):
            workflow_in(made(without))
    for end in range(8, 40):
        with pytest.raises(UiapiError):
            workflow_in(made(BOTH)[:end])


def of_mp3(frame: bytes) -> bytes:
    """An MP3 whose tag has one user-defined text with this content."""
    tag = b"TXXX" + struct.pack(">I", len(frame)) + b"\0\0" + frame
    return b"ID3\3\0\0" + bytes((0, 0, len(tag) >> 7, len(tag) & 0x7F)) + tag


@pytest.mark.parametrize("text", [b"\1ab", b"\1", b"\1a\0\0b", b"\2\0\0\0a" * 3, b"\3ab", b"\xffab"])
def test_a_text_of_a_sound_without_its_end_is_refused(text: bytes) -> None:
    assert refused(of_mp3(text)).code in ("invalid", "no_workflow")


def shared_texts(count: int, text: bytes) -> bytes:
    """A WebP whose EXIF data refers to the same text several times."""
    at = 10 + 12 * count
    entries = b"".join(struct.pack("<HHII", 0x010F, 2, len(text), at) for _ in range(count))
    tiff = b"II*\0" + struct.pack("<IH", 8, count) + entries + text
    return b"RIFF" + struct.pack("<I", len(tiff) + 12) + b"WEBPEXIF" + struct.pack("<I", len(tiff)) + tiff


def compressed_texts(count: int, text: bytes) -> bytes:
    small = zlib.compress(text, 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(b"zTXt", b"prompt\0\0" + small) for _ in range(count))


@pytest.mark.parametrize("made", [shared_texts, compressed_texts])
def test_texts_that_a_small_file_repeats_are_read_up_to_a_limit_together(
    made: Callable[[int, bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"prompt:" + json.dumps(PROMPT).encode() if made is shared_texts else json.dumps(PROMPT).encode()
    read: list[str] = []
    decode = reader._decoded

    def counted(text: str) -> dict[str, Any]:
        read.append(text)
        return decode(text)

    monkeypatch.setattr(reader, "_decoded", counted)
    monkeypatch.setattr(reader, "MAX_TEXTS", 10 * len(text))
    assert workflow_in(made(900, text)) == PROMPT
    assert len(read) <= 10


@pytest.mark.parametrize("piece", ["<metadata><![CDATA[", "]]>", "]]></metadata>", "<metadata>"])
def test_a_drawing_with_countless_beginnings_is_looked_through_once(piece: str) -> None:
    assert refused(f"<svg>{piece * 300_000}".encode()).code == "no_workflow"


def nested_boxes() -> bytes:
    inner = (struct.pack(">I", 8) + b"free") * 90_000
    return b"\0\0\0\x10ftypisom\0\0\0\0" + (struct.pack(">I", 8 + len(inner)) + b"moov" + inner) * 2


def nested_elements() -> bytes:
    inner = b"\xec\x80" * 90_000
    tags = b"\x12\x54\xc3\x67\x10" + struct.pack(">I", len(inner))[1:] + inner
    return b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7 + tags * 2


FLAC = b"fLaC" + b"\x01\0\0\0" * 200_000 + b"\x81\0\0\0"


@pytest.mark.parametrize("content", [nested_boxes(), nested_elements(), FLAC], ids=["MP4", "WebM", "FLAC"])
def test_the_parts_within_parts_are_counted_together(content: bytes) -> None:
    error = refused(content)
    assert error.code == "invalid" and "parts" in error.message
