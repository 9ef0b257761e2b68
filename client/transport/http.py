"""HTTP for programs without an event loop, over requests: every thread its own connection, renewed where it ended."""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

import requests
import urllib3

from ..common.errors import Unreachable
from ..protocol.address import Address
from ..protocol.requests import CONNECT_TIMEOUT, FIRST_DELAY, LAST_DELAY, Asked, late, lost, not_reached


class Http:
    """Connections to one ComfyUI.

    Args:
        address: where it is.
        reconnect: seconds to keep trying while it cannot be reached although it answered before.
    """

    def __init__(self, address: Address, reconnect: float) -> None:
        self._address = address
        self.reconnect = reconnect
        self._answered_before = False
        # A requests.Session is for one thread only.
        self._local = threading.local()
        # Weak, so that a thread that has ended takes its connection with it.
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._opening = threading.Lock()

    def exchange(self, sending: Asked, reconnect: float | None = None) -> tuple[int, bytes]:
        """The answer's HTTP status and body.

        A command is sent again only if it did not arrive or only reads, for the seconds of `reconnect` or else for
        those of this. Raises Unreachable, or UiapiError `timeout`.
        """
        patience = self.reconnect if reconnect is None else reconnect
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
                until = until or time.monotonic() + patience
                if time.monotonic() + delay > until:
                    raise
            time.sleep(delay)
            delay = min(delay * 2, LAST_DELAY)

    def _send(self, sending: Asked) -> requests.Response:
        try:
            return self._session().request(
                "GET" if sending.body is None else "POST",
                self._address.url + sending.path,
                data=sending.body,
                timeout=(CONNECT_TIMEOUT, sending.patience),
                allow_redirects=False,
            )
        except requests.ReadTimeout:
            raise late(sending) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            why: Any = error.args[0] if error.args else error
            if isinstance(why, urllib3.exceptions.ReadTimeoutError):
                raise late(sending) from None
            if _never_left(error, why):
                raise not_reached(self._address.url, getattr(why, "reason", why)) from None
            raise lost(sending, why) from None

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers.update({"Content-Type": "application/json", **self._address.headers})
            # The environment is asked once instead of at every request, and .netrc must not replace the token.
            settings = session.merge_environment_settings(self._address.url, {}, None, None, None)
            proxy = self._address.proxy
            session.proxies, session.verify = {"all": proxy} if proxy else {}, settings["verify"]
            session.trust_env = False
            with self._opening:
                self._sessions.add(session)
        return session

    def close(self) -> None:
        """End every connection."""
        with self._opening:
            sessions, self._sessions = [*self._sessions], weakref.WeakSet()
        for session in sessions:
            session.close()
        self._local = threading.local()


def _never_left(error: Exception, why: Any) -> bool:
    """Whether the request was never sent, so that sending it again carries nothing out twice."""
    # What is wrong with an address or a header is a ValueError too.
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError, ValueError)):
        return True
    reason = getattr(why, "reason", None)
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return True
    # TLS that breaks later, when a run may be under way, is an SSLError as well.
    cause = reason.args[0] if isinstance(reason, urllib3.exceptions.SSLError) and reason.args else None
    return getattr(cause, "reason", None) in ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")
