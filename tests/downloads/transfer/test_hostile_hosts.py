"""Malicious or nonsensical responses of hosts: each ends as a clear error, and affects nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from comfyui_uiapi.bridge.protocol.codec import encode
from comfyui_uiapi.downloads.common import throttle
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.transfer import http_client
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes

# -- what never ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 404 No\r\nContent-Length: 100000\r\n\r\n"])
async def test_an_answer_that_trickles_is_given_up_although_it_is_never_silent(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(http_client, "HEADERS_TIMEOUT", 0.15)
    monkeypatch.setattr(http_client, "ANSWER_TIMEOUT", 0.15)
    host.offer("/x.safetensors", trickle=beginning)
    entry = await asyncio.wait_for(service.fetch("x.safetensors", host.url("/x.safetensors")), 60)
    assert (entry["status"], entry["code"]) == ("error", "source_failed"), entry
    assert "slow" in entry["error"]


async def test_a_host_that_gives_a_byte_for_each_part_is_given_up(service: Service, host: Host) -> None:
    host.offer("/x.safetensors", model_bytes(3_000_000), most=1)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "source_failed"), entry
    assert len(host.seen) < 50


async def test_a_transfer_from_a_host_that_sends_much_in_small_parts_is_resumed(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "STEP_FORWARD", 20_000)
    data = model_bytes(1_000_000)
    host.offer("/x.safetensors", data, most=20_000)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == data


async def test_interim_responses_without_an_end_are_cut_off(service: Service, host: Host) -> None:
    host.offer("/x.safetensors", flood=b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
    entry = await asyncio.wait_for(service.fetch("x.safetensors", host.url("/x.safetensors")), 60)
    assert (entry["status"], entry["code"]) == ("error", "source_failed"), entry


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_interim_responses_are_counted_however_their_bytes_come(size: int) -> None:
    one = b"HTTP/1.1 100 Continue\r\n\r\n"
    answer = one * 10 + b"HTTP/1.1 103 Early Hints\nLink: </a>\n\n" * 6 + b"HTTP/1.1 200 OK\r\n\r\n" + one * 100
    for sent, expected in ((answer, False), (one * 17, True), (one * 16 + b"HTTP/1.1 200 OK\r\n", False)):
        interim = http_client.Interim()
        assert any(interim.too_many(sent[at : at + size]) for at in range(0, len(sent), size)) is expected


def test_a_head_without_an_end_is_cut_off() -> None:
    interim = http_client.Interim()
    assert not interim.too_many(b"HTTP/1.1 200 OK\r\nX: ".ljust(http_client.LONGEST_HEAD))
    assert interim.too_many(b"x")


async def test_a_few_interim_responses_are_passed_over(service: Service, host: Host) -> None:
    data = model_bytes(1000)
    host.offer("/x.safetensors", data, before=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3)
    assert (await service.fetch("x.safetensors", host.url("/x.safetensors")))["status"] == "success"
    assert service.path("x.safetensors").read_bytes() == data


async def test_a_file_that_trickles_is_given_up_although_it_is_never_silent(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "SLOW_SECONDS", 0.2)
    host.offer("/x.gguf", trickle=b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nGGUF")
    entry = await asyncio.wait_for(service.fetch("x.gguf", host.url("/x.gguf")), 60)
    assert (entry["status"], entry["code"]) == ("error", "source_failed"), entry
    assert "slow" in entry["error"]


async def test_the_headers_of_all_redirects_together_have_to_be_there_in_time(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One that comes takes its time; the first is in time by itself.
    monkeypatch.setattr(http_client, "HEADERS_TIMEOUT", 0.0)

    @contextlib.asynccontextmanager
    async def never(_: float) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(http_client, "timeout", never)
    host.redirect("/x.safetensors", host.url("/y"))
    host.offer("/y", model_bytes(1000))
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "source_failed"), entry
    assert "slow" in entry["error"] and host.asked("/y") == []


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
async def test_a_redirect_to_an_invalid_url_is_refused(service: Service, host: Host, location: str) -> None:
    host.redirect("/x.safetensors", location)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["status"] == "error" and entry["code"] in ("source_failed", "invalid"), entry
    assert len(host.seen) == 1
    encode(entry)


@pytest.mark.parametrize("digits", [400, 5000])
async def test_a_length_no_file_has_does_not_count(service: Service, host: Host, digits: int) -> None:
    host.offer("/x.safetensors", b"x", status=206, headers={"Content-Range": "bytes 0-0/" + "9" * digits})
    plan = await service.downloads.look_at("x.safetensors", "checkpoints", host.url("/x.safetensors"))
    assert (plan["action"], plan["size"]) == ("download", None)


async def test_a_tensor_at_an_offset_no_file_has_is_not_where_the_file_ends(service: Service, host: Host) -> None:
    header = b'{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,' + b"9" * 5000 + b"]}}"
    host.offer("/x.safetensors", len(header).to_bytes(8, "little") + header + b"x" * 10)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "size_mismatch"), entry
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_refusal_nested_beyond_reason_is_a_refusal(service: Service, host: Host) -> None:
    host.offer("/x.safetensors", b"[" * 16_000, status=401, content_type="application/json")
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "login_required"), entry


async def test_a_hosts_message_is_one_line_that_can_be_sent_on(service: Service, host: Host) -> None:
    message = json.dumps({"message": "sorry \ud800\u202e\x1b[31m\n\nno\x00 such model"}).encode()
    host.offer("/x.safetensors", message, status=404, content_type="application/json")
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["code"] == "not_at_source" and "(sorry ???[31m no? such model)" in entry["error"]
    encode(service.downloads.listed())


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
    async def test_facts_that_make_no_sense_are_ignored(self, service: Service, host: Host, said: str) -> None:
        body = '{"id": 5, "files": [{"name": "x.safetensors", ' + said + "}]}"
        host.offer("/api/v1/model-versions/5", body.encode(), content_type="application/json")
        host.offer("/api/download/models/5", model_bytes(5000))
        entry = await service.fetch("x.safetensors", {"civitai": "1@5"})
        assert entry["status"] == "success", entry

    async def test_an_answer_nested_beyond_reason_is_no_answer(self, service: Service, host: Host) -> None:
        host.offer("/api/v1/model-versions/5", b"[" * 100_000, content_type="application/json")
        entry = await service.fetch("x.safetensors", {"civitai": "1@5"})
        assert (entry["status"], entry["code"]) == ("error", "source_failed"), entry

    async def test_a_name_it_gives_a_file_can_be_sent_on(self, service: Service, host: Host) -> None:
        version = {"id": 5, "files": [{"name": "\ud800.ckpt", "pickleScanResult": "\ud800"}]}
        host.offer("/api/v1/model-versions/5", json.dumps(version).encode(), content_type="application/json")
        entry = await service.fetch("x.safetensors", {"civitai": "1@5"})
        assert (entry["status"], entry["code"]) == ("error", "pickle_refused"), entry
        encode(service.downloads.listed())
