"""How much each address has under way over HTTP, so that none of them can take all of ComfyUI's time and memory."""

from __future__ import annotations

from collections import Counter

from .connection import MAX_FRAME
from .errors import UiapiError

# Requests one address may have under way, as many as one websocket. All programs of this machine are one address.
MAX_REQUESTS = 4096
# Bytes of bodies it may have under way.
MAX_BYTES = 8 * MAX_FRAME


class Loads:
    """What all addresses have under way.

    Attributes:
        requests: how many, by address.
        bytes: of their bodies, by address.
    """

    def __init__(self) -> None:
        self.requests: Counter[str | None] = Counter()
        self.bytes: Counter[str | None] = Counter()


class Load:
    """One request of an address, for as long as the context lasts. UiapiError `too_many` if it has enough of them."""

    def __init__(self, loads: Loads, address: str | None) -> None:
        self._loads = loads
        self._address = address
        self._bytes = 0

    def __enter__(self) -> Load:
        if self._loads.requests[self._address] >= MAX_REQUESTS:
            raise UiapiError("too_many", f"{MAX_REQUESTS} of your requests are under way; wait for some of them.")
        self._loads.requests[self._address] += 1
        return self

    def __exit__(self, *exception: object) -> None:
        for counter, amount in ((self._loads.requests, 1), (self._loads.bytes, self._bytes)):
            counter[self._address] -= amount
            if not counter[self._address]:
                del counter[self._address]

    def add(self, size: int) -> None:
        """Count some more bytes of its body. UiapiError `too_many`."""
        if self._loads.bytes[self._address] + size > MAX_BYTES:
            raise UiapiError(
                "too_many", f"Your requests under way have {MAX_BYTES // 2**20} MB; wait for some of them."
            )
        self._loads.bytes[self._address] += size
        self._bytes += size
