"""Which hosts and IP addresses a download may reach."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.common import urls
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.transfer.host_guard import HostGuard, PinnedResolver, is_loopback_name, is_public
from yarl import URL


def refused(url: str, **settings: Any) -> str | None:
    """The code a URL is refused with, None if it is not."""
    try:
        HostGuard(Settings(**settings)).check(URL(url))
    except UiapiError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/a/b/resolve/main/x.safetensors",
        "https://HuggingFace.co./a/b",
        "https://cdn-lfs-us-1.hf.co/x?signature=1",
        "https://civitai.com/api/download/models/1",
        "https://b2.civitai.com/file/x",
        "https://drive.usercontent.google.com/download?id=1",
        "https://github.com/a/b/releases/download/v1/x.pth",
    ],
)
def test_the_hosts_models_come_from_are_on_the_list(url: str) -> None:
    assert refused(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://huggingface.co/x",
        "https://huggingface.co:8443/x",
        "https://huggingface.co.elsewhere.example/x",
        "https://elsewhere.example/huggingface.co/x",
        "https://nothf.co/x",
        "https://bucket.r2.cloudflarestorage.com/x",
        "https://127.0.0.1/x",
        "http://localhost/x",
        "https://localhost/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://169.254.169.254/latest",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://10.0.0.1/x",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    assert refused(url) == "host_refused"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://huggingface.co/x",
        "file:///etc/passwd",
        "https:///x",
        "https://u:p@hf.co/x",
        "https://a..civitai.com/x",
        "https://civitai.com../x",
        f"https://{'a' * 64}.civitai.com/x",
        f"https://{'a.' * 200}civitai.com/x",
        "https://*.civitai.com/x",
        "https://8.8.8.8%.civitai.com/x",
    ],
)
def test_a_text_that_is_no_plain_web_address_is_invalid(url: str) -> None:
    assert refused(url) == "invalid"


NUMBERS = ["127.1", "10.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "0x7f000001", "127.0.1", "1.1", "192.168.257"]


@pytest.mark.parametrize("name", [*NUMBERS, "localhost", "intranet", "127.0.0.1", "[::1]", "10.0.0.1."])
def test_the_person_can_allow_no_name_that_is_an_address_or_local(name: str) -> None:
    allowed = HostGuard(Settings())
    with pytest.raises(UiapiError) as caught:
        allowed.allow(name)
    assert caught.value.code == "host_refused"


@pytest.mark.parametrize("name", NUMBERS[:7])
def test_a_private_address_is_refused_in_every_spelling_and_on_every_list(name: str) -> None:
    assert refused(f"https://{name}/x") == "host_refused"
    # On a list, only this machine itself may be reached that way.
    expected = None if is_loopback_name(name) else "host_refused"
    assert refused(f"https://{name}/x", allowed_hosts=(name,)) == expected


def test_the_operator_adds_hosts_and_a_named_loopback_host_may_be_plain() -> None:
    named = ("models.example", "127.0.0.1:8080", "[::1]:9", "localhost:7")
    assert refused("https://models.example/x", allowed_hosts=named) is None
    assert refused("https://models.example:8443/x", allowed_hosts=named) is None
    assert refused("http://models.example/x", allowed_hosts=named) == "host_refused"
    assert refused("http://127.0.0.1:8080/x", allowed_hosts=named) is None
    assert refused("http://127.0.0.1:8081/x", allowed_hosts=named) == "host_refused"
    assert refused("http://[::1]:9/x", allowed_hosts=named) is None
    assert refused("http://localhost:7/x", allowed_hosts=named) is None
    assert refused("http://localhost:8/x", allowed_hosts=named) == "host_refused"


def test_an_endpoint_the_operator_names_is_thereby_on_the_list() -> None:
    assert refused("https://mirror.example/a", hf_endpoint="https://mirror.example") is None
    assert refused("http://127.0.0.1:5000/a", civitai_endpoint="http://127.0.0.1:5000") is None
    assert refused("http://mirror.example/a", hf_endpoint="http://mirror.example") == "host_refused"


def test_the_refusal_says_how_to_allow_the_host() -> None:
    with pytest.raises(UiapiError, match=r"UIAPI_ALLOWED_HOSTS=models\.example:444"):
        HostGuard(Settings()).check(URL("https://models.example:444/x"))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "64:ff9b:1::a00:1",
        "fec0::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:0:127.0.0.1",
        "2001:db8::1",
        "5f00::1",
    ],
)
def test_private_addresses_are_known_in_every_spelling(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> PinnedResolver:
    """A resolver that returns these addresses for every name."""

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port))
            for family, address in zip(families, addresses, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return PinnedResolver(HostGuard(Settings(allowed_hosts=("models.example", "localhost:80"))))


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "192.168.1.10", "::1", "::ffff:10.0.0.1"])
async def test_a_name_that_resolves_to_a_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with pytest.raises(UiapiError) as caught:
        await resolving(monkeypatch, address).resolve("models.example", 443)
    assert caught.value.code == "host_refused"


async def test_only_the_public_ones_of_a_names_addresses_are_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = await resolving(monkeypatch, "10.0.0.1", "8.8.8.8", "::1").resolve("models.example", 443)
    assert [answer["host"] for answer in answers] == ["8.8.8.8"]


async def test_localhost_resolves_to_loopback_only_where_the_operator_named_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolver = resolving(monkeypatch, "127.0.0.1")
    assert [answer["host"] for answer in await resolver.resolve("localhost", 80)] == ["127.0.0.1"]
    with pytest.raises(UiapiError):
        await resolver.resolve("localhost", 81)


def test_a_url_is_shown_without_parts_that_may_be_secret() -> None:
    url = "https://user:pass@b2.civitai.com:443/file/x.safetensors?X-Amz-Signature=abc#frag"
    assert urls.shown(url) == "https://b2.civitai.com/file/x.safetensors"


@pytest.mark.parametrize("url", ["https://[bad/x?token=abc", "https://u:secret@h:99999/x", "https://h:bad/x"])
def test_no_part_of_an_invalid_url_is_shown(url: str) -> None:
    assert urls.shown(url) == "That URL"
