"""HTTP for programs without an event loop, over requests: every thread its own connection, renewed where it ended."""

from __future__ import annotations

import threading
import time
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3

from .errors import Unreachable
from .wire import CONNECT_TIMEOUT, FIRST_DELAY, LAST_DELAY, Address, Asked, late, lost, not_reached


class Http:
    """Connections to one ComfyUI.

    Args:
        address: where it is.
        reconnect: seconds to keep trying while it cannot be reached although it answered before.
    """

    def __init__(self, address: Address, reconnect: float) -> None:
        self._address = address
        self._reconnect = reconnect
        self._answered_before = False
        # A requests.Session is for one thread only.
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def exchange(self, sending: Asked) -> tuple[int, bytes]:
        """The answer's HTTP status and body.

        A command is sent again only if it did not arrive or only reads. Raises Unreachable, or UiapiError `timeout`.
        """
        until: float | None = None
        delay = FIRST_DELAY
        while True:
            try:
                response = self._send(sending)
                self._answered_before = True
                return response.status_code, response.content
            except Unreachable as error:
                safe = error.code == "unreachable" or sending.route.risk == "read"
                if not safe or not self._answered_before:
                    raise
                until = until or time.monotonic() + self._reconnect
                if time.monotonic() + delay > until:
                    raise
            time.sleep(delay)
            delay = min(delay * 2, LAST_DELAY)

    def _send(self, sending: Asked) -> requests.Response:
        try:
            return self._session().request(
                "GET" if sending.body is None else "POST",
                urljoin(self._address.url + "/", sending.path.lstrip("/")),
                data=sending.body,
                timeout=(CONNECT_TIMEOUT, sending.patience),
                allow_redirects=False,
            )
        except requests.ConnectTimeout as error:
            raise not_reached(self._address.url, error) from None
        except requests.ReadTimeout:
            raise late(sending) from None
        except requests.ConnectionError as error:
            why: Any = error.args[0] if error.args else error
            if isinstance(getattr(why, "reason", None), urllib3.exceptions.NewConnectionError):
                raise not_reached(self._address.url, why.reason) from None
            raise lost(sending, why) from None

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers.update({"Content-Type": "application/json", **self._address.headers})
            # The environment is asked once instead of at every request, and .netrc must not replace the token.
            settings = session.merge_environment_settings(self._address.url, {}, None, None, None)
            session.proxies, session.verify = settings["proxies"], settings["verify"]
            session.trust_env = False
            self._sessions.append(session)
        return session

    def close(self) -> None:
        """End every connection."""
        while self._sessions:
            self._sessions.pop().close()
        self._local = threading.local()
