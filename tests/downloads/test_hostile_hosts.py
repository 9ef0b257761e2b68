"""What a host sends that means harm, or makes no sense: said in a sentence, kept out of everything else, and over."""

from __future__ import annotations

import asyncio
import json

import pytest
from comfyui_uiapi.bridge.connection import encode
from comfyui_uiapi.downloads import web
from comfyui_uiapi.downloads.settings import Settings
from comfyui_uiapi.tests.downloads.conftest import Room
from comfyui_uiapi.tests.downloads.host import Host, model_bytes

# -- what never ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 404 No\r\nContent-Length: 100000\r\n\r\n"])
async def test_an_answer_that_trickles_is_given_up_although_it_is_never_silent(
    room: Room, host: Host, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(web, "ANSWER_TIMEOUT", 0.5)
    host.offer("/x.safetensors", trickle=beginning)
    entry = await asyncio.wait_for(room.fetch("x.safetensors", host.url("/x.safetensors")), 20)
    assert (entry["status"], entry["code"]) == ("error", "source_failed"), entry
    assert "slow" in entry["error"]


# -- what cannot be read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        "https://huggingface.co:99999/x",
        "https://huggingface.co:bad/x",
        "https://[bad/x",
        "https://h\u00fcgo.civitai.com/x",
        "https://huggingface.co\\.elsewhere.example/x",
        "https://a..civitai.com/x",
        "https://civitai.com../x",
        f"https://{'a' * 64}.civitai.com/x",
        "https://8.8.8.8%.civitai.com/x",
        "https://*.civitai.com/x",
        "/x\udcff",
        "/x\x01",
        "https://civitai.com[::1]@/x",
    ],
    ids=ascii,
)
async def test_a_redirect_to_what_is_no_address_is_refused(room: Room, host: Host, location: str) -> None:
    host.redirect("/x.safetensors", location)
    entry = await room.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["status"] == "error" and entry["code"] in ("source_failed", "invalid"), entry
    assert len(host.seen) == 1
    encode(entry)


@pytest.mark.parametrize("digits", [400, 5000])
async def test_a_length_no_file_has_does_not_count(room: Room, host: Host, digits: int) -> None:
    host.offer("/x.safetensors", b"x", status=206, headers={"Content-Range": "bytes 0-0/" + "9" * digits})
    plan = await room.downloads.look_at("x.safetensors", "checkpoints", host.url("/x.safetensors"))
    assert (plan["action"], plan["size"]) == ("download", None)


async def test_a_tensor_at_an_offset_no_file_has_is_not_where_the_file_ends(room: Room, host: Host) -> None:
    header = b'{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,' + b"9" * 5000 + b"]}}"
    host.offer("/x.safetensors", len(header).to_bytes(8, "little") + header + b"x" * 10)
    entry = await room.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "size_mismatch"), entry
    assert room.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_refusal_nested_beyond_reason_is_a_refusal(room: Room, host: Host) -> None:
    host.offer("/x.safetensors", b"[" * 16_000, status=401, content_type="application/json")
    entry = await room.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "login_required"), entry


async def test_a_hosts_message_is_one_line_that_can_be_sent_on(room: Room, host: Host) -> None:
    message = json.dumps({"message": "sorry \ud800\u202e\x1b[31m\n\nno\x00 such model"}).encode()
    host.offer("/x.safetensors", message, status=404, content_type="application/json")
    entry = await room.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["code"] == "not_at_source" and "(sorry ???[31m no? such model)" in entry["error"]
    encode(room.downloads.listed())


class TestCivitai:
    @pytest.fixture
    def settings(self, host: Host) -> Settings:
        return Settings(allowed_hosts=(host.authority,), civitai_endpoint=host.url(""))

    @pytest.mark.parametrize(
        "said",
        [
            '"sizeKB": NaN',
            '"sizeKB": 1e999',
            '"sizeKB": -5',
            '"sizeKB": 1e300',
            '"sizeKB": true, "name": ["x"]',
            '"downloadUrl": "https://[x"',
            '"downloadUrl": "/api/download/models/5"',
            '"downloadUrl": "https://h:99999/api/download/models/5"',
            '"hashes": [1]',
            '"metadata": {"format": [[[]]]}',
        ],
    )
    async def test_what_makes_no_sense_does_not_count(self, room: Room, host: Host, said: str) -> None:
        body = '{"id": 5, "files": [{"name": "x.safetensors", ' + said + "}]}"
        host.offer("/api/v1/model-versions/5", body.encode(), content_type="application/json")
        host.offer("/api/download/models/5", model_bytes(5000))
        entry = await room.fetch("x.safetensors", {"civitai": "1@5"})
        assert entry["status"] == "success", entry

    async def test_an_answer_nested_beyond_reason_is_no_answer(self, room: Room, host: Host) -> None:
        host.offer("/api/v1/model-versions/5", b"[" * 100_000, content_type="application/json")
        entry = await room.fetch("x.safetensors", {"civitai": "1@5"})
        assert (entry["status"], entry["code"]) == ("error", "source_failed"), entry

    async def test_a_name_it_gives_a_file_can_be_sent_on(self, room: Room, host: Host) -> None:
        version = {"id": 5, "files": [{"name": "\ud800.ckpt", "pickleScanResult": "\ud800"}]}
        host.offer("/api/v1/model-versions/5", json.dumps(version).encode(), content_type="application/json")
        entry = await room.fetch("x.safetensors", {"civitai": "1@5"})
        assert (entry["status"], entry["code"]) == ("error", "pickle_refused"), entry
        encode(room.downloads.listed())
