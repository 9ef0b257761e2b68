"""Decides which hosts downloads may reach: listed hosts, over https, at public IP addresses only.

`HostGuard.check` is called for every hop of a redirect. Connections are made only to addresses that `PinnedResolver`
has checked, so that a name cannot resolve to one address when it is checked and to another when it is used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ...common.errors import UiapiError
from ..common.settings import Settings
from ..common.urls import shown

# Model hosts, and the storage hosts that their downloads redirect to. CivitAI's bucket is listed with its account,
# since anyone can create a bucket. github.com serves release files, where upscale models are published.
BUILT_IN_HOSTS = (
    "huggingface.co",
    "*.huggingface.co",
    "hf.co",
    "*.hf.co",
    "civitai.com",
    "*.civitai.com",
    "civitai.red",
    "*.civitai.red",
    "civitai.green",
    "*.civitai.green",
    "civitai-delivery-worker-prod.5ac0637cfd0766c97916cefa3764fbdf.r2.cloudflarestorage.com",
    "drive.google.com",
    "docs.google.com",
    "drive.usercontent.google.com",
    "github.com",
    "objects.githubusercontent.com",
    "release-assets.githubusercontent.com",
)

# Seconds a name may take to resolve.
RESOLVE_TIMEOUT = 15.0
# The prefix under which IPv6-only networks reach IPv4 addresses (RFC 6052), and the global unicast addresses of IPv6
# (RFC 4291, 2.4); all others are local, or may stand for local addresses.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_OPEN_IPV6 = ipaddress.ip_network("2000::/3")
# An IPv4 address as operating systems parse it: one to four numbers, decimal, octal or hexadecimal.
_NUMERIC = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+)){0,3}")
# A valid DNS name; resolving other names fails in unexpected ways.
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class NamedHost:
    """A host that the operator allows; `port` is None for any port."""

    host: str
    port: int | None

    def matches(self, host: str, port: int | None) -> bool:
        return self.host == host and self.port in (None, port)


class HostGuard:
    """Decides whether a URL may be requested.

    Args:
        settings: the operator's hosts and endpoints are added to the built-in list.
    """

    def __init__(self, settings: Settings) -> None:
        named = [_named_host(text) for text in settings.allowed_hosts]
        for endpoint in (settings.hf_endpoint, settings.civitai_endpoint):
            url = URL(endpoint)
            named.append(NamedHost(_plain(url.host or ""), url.port))
        self.named = tuple(named)
        # Hosts allowed by the person while ComfyUI runs; the same rules apply as for the built-in ones.
        self._allowed: set[str] = set()

    def allow(self, name: str) -> None:
        """Allow downloads from a host. UiapiError `host_refused` unless it is the name of a public host."""
        host = _plain(name)
        if _address(host) is not None or is_loopback_name(host) or "." not in host:
            raise UiapiError("host_refused", f"{name[:100]} is not a public host name; only the operator can allow it.")
        self._allowed.add(host)

    def check(self, url: URL, *, reached_by: str = "") -> None:
        """Raise UiapiError `invalid` or `host_refused` unless `url` may be requested.

        Args:
            reached_by: the host that redirected there, for the message.
        """
        by = f", where {reached_by} redirects to," if reached_by else ""
        if not url.raw_host or url.scheme not in ("http", "https"):
            raise UiapiError("invalid", f"{shown(url)}{by} is not an https URL.")
        if not _is_host(url.raw_host):
            raise UiapiError("invalid", f"{ascii(url.raw_host)[:100]}{by} is not a valid host name; check the URL.")
        host = _plain(url.host or "")
        if url.user is not None or url.password is not None:
            raise UiapiError("invalid", f"Remove the user name and password from the URL of {host}.")
        named = any(rule.matches(host, url.port) for rule in self.named)
        if not named and not self._built_in(host, url):
            where = host if url.is_default_port() else f"{host}:{url.port}"
            raise UiapiError(
                "host_refused",
                f"{where}{by} is not on the list of download hosts; "
                f"start ComfyUI with UIAPI_ALLOWED_HOSTS={where} to allow it.",
                {"host": host},
            )
        loopback = named and is_loopback_name(host)
        if url.scheme != "https" and not loopback:
            raise UiapiError("host_refused", f"{host}{by} would be reached over plain http; use https.", {"host": host})
        address = _address(host)
        # aiohttp does not pass IP addresses to the resolver, so they are checked here.
        if address is not None and not loopback and not is_public(address):
            raise _private(host, by)

    def allows_address(self, host: str, port: int, address: IpAddress) -> bool:
        """Whether a host name may be connected to at an address that it resolved to."""
        if is_public(address):
            return True
        host = _plain(host)
        return address.is_loopback and is_loopback_name(host) and any(r.matches(host, port) for r in self.named)

    def _built_in(self, host: str, url: URL) -> bool:
        if not url.is_default_port():
            return False
        return host in self._allowed or any(fnmatchcase(host, pattern) for pattern in BUILT_IN_HOSTS)


class PinnedResolver(AbstractResolver):
    """Resolves names for aiohttp, which connects only to the addresses returned here."""

    def __init__(self, guard: HostGuard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The allowed addresses of `host`; UiapiError `host_refused` if it has none."""
        loop = asyncio.get_running_loop()
        lookup = loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.wait_for(lookup, RESOLVE_TIMEOUT)
        except asyncio.TimeoutError:
            raise OSError(f"{host} did not resolve within {RESOLVE_TIMEOUT:.0f} s") from None
        answers: list[ResolveResult] = []
        for found_family, _, protocol, _, where in found:
            address = ipaddress.ip_address(str(where[0]).partition("%")[0])
            if self._guard.allows_address(host, port, address):
                answers.append(
                    ResolveResult(
                        hostname=host,
                        host=str(where[0]),
                        port=port,
                        family=found_family,
                        proto=protocol,
                        flags=socket.AI_NUMERICHOST,
                    )
                )
        if found and not answers:
            raise _private(host, "")
        return answers

    async def close(self) -> None:
        """Do nothing; no resources are held."""


def is_public(address: IpAddress) -> bool:
    """Whether an address is public; an IPv6 address that embeds an IPv4 address is judged by that."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _OPEN_IPV6:
            return False
    return address.is_global and not address.is_multicast


def is_loopback_name(host: str) -> bool:
    """Whether a host name or address always means this machine."""
    address = _address(host)
    return address.is_loopback if address is not None else host == "localhost"


def _private(host: str, by: str) -> UiapiError:
    return UiapiError(
        "host_refused",
        f"{host}{by} leads to a private or local address; only public addresses are allowed.",
        {"host": host},
    )


def _plain(host: str) -> str:
    return host.lower().rstrip(".").strip("[]")


def _is_host(host: str) -> bool:
    return _address(host) is not None or _HOST_NAME.fullmatch(host.removesuffix(".")) is not None


def _address(host: str) -> IpAddress | None:
    try:
        # Only IPv6 addresses may have a zone.
        return ipaddress.ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        pass
    if not _NUMERIC.fullmatch(host):
        return None
    try:
        # As operating systems parse 127.1, 0177.0.0.1, 0x7f000001 and 2130706433.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _named_host(text: str) -> NamedHost:
    bare = text.rpartition("//")[2].partition("/")[0]
    if _address(bare.strip("[]")) is not None:
        return NamedHost(_plain(bare), None)
    host, _, port = bare.rpartition(":")
    if host and port.isdecimal():
        return NamedHost(_plain(host), int(port))
    return NamedHost(_plain(bare), None)
