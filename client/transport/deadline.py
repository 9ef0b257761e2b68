"""Connections for requests whose every wait, also between two bytes of a response, ends at one deadline.

The time-out of requests itself starts again with each byte, so that a slow server could keep a caller for ever.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

# Returns the seconds that are left.
Left = Callable[[], float]


def _limit(sock: Any, left: Left) -> None:
    seconds = left()
    if seconds <= 0:
        raise TimeoutError("the time-out has passed")
    sock.settimeout(seconds)


class _Reader(io.RawIOBase):
    """Reads from a connection, within the seconds that are left."""

    def __init__(self, raw: Any, sock: Any, left: Left) -> None:
        self._raw, self._sock, self._left = raw, sock, left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        _limit(self._sock, self._left)
        read: int | None = self._raw.readinto(buffer)
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, left: Left, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # The parent reads from the connection without asking for the time.
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_Reader(raw, sock, left))


def _limited(kind: Any, left: Left) -> Any:
    """Returns a kind of connection of urllib3 that keeps to the seconds that are left."""

    class Limited(kind):  # type: ignore[misc]
        def response_class(self, sock: Any, *args: Any, **kwargs: Any) -> _Response:
            """Called by http.client."""
            return _Response(sock, *args, left=left, **kwargs)

        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()
            _limit(self.sock, left)
            super().send(data)

    return Limited


class Adapter(HTTPAdapter):
    """Mounted on a requests.Session, keeps all of its requests to the seconds that `left` returns."""

    def __init__(self, left: Left) -> None:
        # Assigned before the parent makes its pools.
        self._pools = {
            "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": _limited(HTTPConnection, left)}),
            "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": _limited(HTTPSConnection, left)}),
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager
