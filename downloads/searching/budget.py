"""The budget of a search: the requests it may send, the seconds it may take, and what failed within it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yarl import URL

from ...common.errors import UiapiError
from ..common.credentials import Secret
from ..common.error_report import presentable
from ..transfer.http_client import Transient, refused
from ..transfer.transfer_thread import Engine

# Requests at a time; few, since a search is not urgent for its hosts.
AT_A_TIME = 4
# A host is not asked again in a search after this many failures.
MOST_STRIKES = 2
# Failures that a report lists.
MOST_FAILURES = 20


@dataclass(frozen=True)
class Limits:
    """The most requests and seconds of a search for all models of one plan, and the most seconds of one request."""

    requests: int = 80
    seconds: float = 15.0
    each: float = 8.0


class Budget:
    """Sends the requests of one search.

    Args:
        engine: sends them.
        limits: what may be spent.
        clock: a monotonic clock in seconds.
    """

    def __init__(self, engine: Engine, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._limits = limits
        self._clock = clock
        self._began = clock()
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._strikes: Counter[str] = Counter()
        self._failures: dict[tuple[str, str], str] = {}
        self._requests = 0
        # Whether every request that the search wanted was sent and answered.
        self.complete = True

    async def ask(self, url: URL, secret: Secret | None = None) -> Any:
        """The decoded JSON at a URL; None if there is none, it could not be had, or the budget is spent."""
        async with self._turns:
            left = self._limits.seconds - (self._clock() - self._began)
            host = host_of(url)
            if left <= 0 or self._requests >= self._limits.requests or self._strikes[host] >= MOST_STRIKES:
                self.complete = False
                return None
            self._requests += 1
            patience = min(left, self._limits.each)
            try:
                status, data = await asyncio.wait_for(
                    self._engine.run(lambda web: web.json(url, secret=secret)), patience
                )
            except asyncio.TimeoutError:
                self.failed(host, UiapiError("timeout", f"{host} did not answer within {patience:.0f} s."))
            except Transient as error:
                self.failed(host, error.error)
            except UiapiError as error:
                if error.code == "shutting_down":
                    raise
                self.failed(host, error)
            else:
                return self._judged(url, status, data)
        return None

    def failed(self, host: str, error: UiapiError) -> None:
        """Note a failure at a host."""
        self.complete = False
        # A host that limits the rate is not asked again at once.
        self._strikes[host] += MOST_STRIKES if error.code in ("rate_limited", "offline") else 1
        if len(self._failures) < MOST_FAILURES:
            self._failures[host, error.code] = presentable(error).message

    def report(self) -> dict[str, Any]:
        """What was spent of the budget, and what failed, as plan_downloads returns it."""
        return {
            "requests": self._requests,
            "most_requests": self._limits.requests,
            "seconds": round(self._clock() - self._began, 3),
            "most_seconds": self._limits.seconds,
            "complete": self.complete,
            "failures": [
                {"host": host, "code": code, "message": message} for (host, code), message in self._failures.items()
            ],
        }

    def _judged(self, url: URL, status: int, data: Any) -> Any:
        host = host_of(url)
        if status == 404:
            return None
        if status != 200:
            self.failed(host, refused(status, url))
            return None
        if data is None:
            self.failed(host, UiapiError("source_failed", f"{host} did not answer with JSON; try again later."))
        return data


def host_of(url: URL) -> str:
    """The host of a URL, with its port if it is not the usual one."""
    return f"{url.host}:{url.explicit_port}" if url.explicit_port else str(url.host)
