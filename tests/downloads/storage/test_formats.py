"""Formats: files of another kind are recognized by their first bytes and fields, within limits."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.storage import file_check, onnx
from comfyui_uiapi.downloads.storage.file_check import MAX_HEADER, HeadCheck, check_file
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, field_bytes, model_bytes, onnx_bytes, sha256


def checked(name: str, data: bytes, total: int | None = None) -> str:
    """What a check of a whole file says: its error's code, or nothing."""
    check = HeadCheck(name, len(data) if total is None else total)
    try:
        for _ in range(20):
            if not check.needed:
                return ""
            if check.needed > len(data):
                return "ends"
            check.step(io.BytesIO(data))
    except UiapiError as error:
        return error.code
    return "never done"


VERSION, GRAPH = b"\x08\x0a", field_bytes(7, field_bytes(1, b"a node") + field_bytes(2, b"main"))


@pytest.mark.parametrize(
    "data",
    [
        onnx_bytes(0),
        onnx_bytes(100_000),
        # As old as they get, without saying by whom.
        b"\x08\x03" + GRAPH,
        # A version, texts, and a domain's version of two bytes.
        VERSION + field_bytes(6, b"about " * 5000) + b"\x28\x80\x01" + GRAPH + field_bytes(25, b"f" * 300) * 200,
        # Fields that later versions may have.
        VERSION + field_bytes(60, b"new") + b"\xed\x03abcd" + b"\xf1\x03abcdefgh" + GRAPH,
    ],
    ids=len,
)
def test_a_model_of_onnx_is_one(data: bytes) -> None:
    assert checked("x.onnx", data) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"\x08" + bytes(500),
        b"\x08\x0a" + bytes(500),
        b"\x08\x0a" + b"root:x:0:0:root:/root:/bin/bash\n" * 20,
        b"\x08\x00" + GRAPH * 5,
        b"\x08\xff\xff\x03" + GRAPH * 5,
        VERSION * 20,
        VERSION + field_bytes(2, b"pytorch") * 5,
        # A graph that is a number, has no field of a graph's, or one that is longer than it.
        VERSION + b"\x38\x01" * 20,
        VERSION + field_bytes(7, bytes(100)),
        VERSION + field_bytes(7, field_bytes(3, b"a" * 50)),
        VERSION + field_bytes(7, b"\x0a\x60a") + field_bytes(2, b"a" * 200),
        # Fields of the right number and the wrong kind, in the graph and before it.
        VERSION + field_bytes(7, b"\x08\x01" * 20),
        VERSION + b"\x10\x05" + GRAPH,
        # Numbers and lengths without an end, kinds that are none.
        VERSION + b"\xff" * 50,
        VERSION + b"\x12" + b"\xff" * 50,
        VERSION + b"\x13" * 50,
        VERSION + field_bytes(2, b"x")[:1] + b"\xff\xff\xff\x7f" + bytes(50),
        GRAPH + VERSION + GRAPH,
    ],
    ids=lambda data: ascii(data[:12]),
)
def test_a_file_that_only_starts_like_onnx_is_no_model(data: bytes) -> None:
    assert checked("x.onnx", data) == "not_a_model"


@pytest.mark.parametrize("end", [-1, -3, -7, 200])
def test_a_model_of_onnx_that_was_cut_off_is_recognised(end: int) -> None:
    assert checked("x.onnx", onnx_bytes(5000)[:end]) in ("size_mismatch", "not_a_model")


def test_a_model_of_onnx_without_an_end_to_its_fields_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "MOST_FIELDS", 50)
    assert checked("x.onnx", VERSION + GRAPH + field_bytes(14, b"") * 48) == ""
    assert checked("x.onnx", VERSION + GRAPH + field_bytes(14, b"") * 49) == "not_a_model"


def test_a_model_of_onnx_is_recognised_before_it_has_all_come() -> None:
    data = VERSION + field_bytes(2, b"a" * 5000) + field_bytes(7, bytes(100_000))
    check = HeadCheck("x.onnx", len(data))
    looked_at = []
    with pytest.raises(UiapiError):
        while check.needed:
            looked_at.append(check.needed)
            check.step(io.BytesIO(data[: check.needed]))
    assert max(looked_at) < 5100


async def test_a_file_of_this_disk_that_only_starts_like_a_model_is_not_taken(service: Service) -> None:
    mine = service.state.parent / "mine.onnx"
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_bytes(b"\x08" + b"a diary, and nobody's business\n" * 50)
    entry = await service.fetch("x.onnx", {"local": str(mine)})
    assert (entry["status"], entry["code"]) == ("error", "not_a_model")
    assert not service.path("x.onnx").exists()
    mine.write_bytes(onnx_bytes(5000))
    assert (await service.fetch("x.onnx", {"local": str(mine)}))["status"] == "success"


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_model_of_onnx_arrives_however_its_length_is_known(service: Service, host: Host, framing: str) -> None:
    data = onnx_bytes(300_000)
    host.offer("/x", data, ranges=framing == "length", framing=framing)
    entry = await service.fetch("x.onnx", {"url": host.url("/x"), "sha256": sha256(data)})
    assert entry["status"] == "success" and service.path("x.onnx").read_bytes() == data


# -- safetensors --------------------------------------------------------------------------------------------------


def with_header(header: bytes, rest: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + rest


# The library pads headers to a multiple of eight bytes.
@pytest.mark.parametrize("header", [b"{}      ", b'{"a":{}}', b"{}".ljust(16)])
def test_a_file_without_tensors_is_one(header: bytes) -> None:
    assert checked("x.safetensors", with_header(header)) == ""


@pytest.mark.parametrize(
    ("length", "code"), [(MAX_HEADER, "ends"), (MAX_HEADER + 1, "not_a_model"), (1, "not_a_model")]
)
def test_a_header_may_be_as_long_as_the_formats_own_library_takes_it(length: int, code: str) -> None:
    data = length.to_bytes(8, "little") + b"{" + bytes(100)
    assert checked("x.safetensors", data, total=MAX_HEADER * 2) == code


@pytest.mark.parametrize(("more", "code"), [(0, ""), (1, "size_mismatch"), (-1, "size_mismatch")])
def test_offsets_are_found_wherever_a_header_is_cut_into_pieces(
    monkeypatch: pytest.MonkeyPatch, more: int, code: str
) -> None:
    data = model_bytes(1000)
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    length = len(data) - 8 - len(header)
    for piece in range(30, len(header) + 2):
        monkeypatch.setattr(file_check, "HEADER_PIECE", piece)
        assert checked("x.safetensors", with_header(header, bytes(length + more))) == code


class _Pieces(io.BytesIO):
    """A file that notes what is read of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.steps: list[int | str] = []

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.steps.append(len(data))
        return data


def test_other_threads_get_a_turn_after_every_few_hundred_entries_of_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = b'"t%04d":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
    data = with_header(b"{" + b"".join(entry % number for number in range(5000))[:-1] + b"}", b"x")
    file, check = _Pieces(data), HeadCheck("x.safetensors", len(data))
    monkeypatch.setattr(file_check, "sleep", lambda seconds: file.steps.append("pause"))
    while check.needed:
        check.step(file)
    _, *steps = file.steps
    assert steps[1::2] == ["pause"] * (len(steps) // 2)
    assert max(size for size in steps[::2] if isinstance(size, int)) < 500 * len(entry)


def test_a_long_header_is_never_in_memory_at_once(tmp_path: Path) -> None:
    entry = b'"t%07d":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
    header = b"{" + b"".join(entry % number for number in range(200_000))[:-1] + b"}"
    path = tmp_path / "x.safetensors"
    path.write_bytes(with_header(header, b"x"))
    size = len(header)
    del header
    tracemalloc.start()
    try:
        check_file(path)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 10_000_000 and most < 6_000_000
