"""Blocking HTTP with the package requests: one connection per thread, with retries."""

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
from .deadline import Adapter


class Http:
    """Connections to one ComfyUI.

    Args:
        address: its URL and how to authenticate.
        reconnect: seconds to keep trying when a ComfyUI that responded before cannot be reached.
    """

    def __init__(self, address: Address, reconnect: float) -> None:
        self._address = address
        self.reconnect = reconnect
        self._answered_before = False
        # A requests.Session is not thread-safe.
        self._local = threading.local()
        # Weak, so that the session of a thread that has ended is released.
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._opening = threading.Lock()

    def exchange(self, sending: Asked, reconnect: float | None = None) -> tuple[int, bytes]:
        """Returns the HTTP status and body of the response.

        A command is retried only if it did not arrive or only reads; for `reconnect` seconds, or else those given to
        the constructor. Raises Unreachable, or UiapiError `timeout`.
        """
        patience = self.reconnect if reconnect is None else reconnect
        # The time-out of the request covers its repetitions too.
        ends = self._local.ends = time.monotonic() + sending.patience
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
                until = until or min(time.monotonic() + patience, ends)
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
            if _timed_out(why):
                raise late(sending) from None
            if _never_left(error, why):
                raise not_reached(self._address.url, getattr(why, "reason", why)) from None
            raise lost(sending, why) from None

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers.update({"Content-Type": "application/json", **self._address.headers})
            # The environment is read once instead of at every request, and .netrc must not replace the token.
            settings = session.merge_environment_settings(self._address.url, {}, None, None, None)
            proxy = self._address.proxy
            session.proxies, session.verify = {"all": proxy} if proxy else {}, settings["verify"]
            session.trust_env = False
            local = self._local
            adapter = Adapter(lambda: float(local.ends) - time.monotonic())
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            with self._opening:
                self._sessions.add(session)
        return session

    def close(self) -> None:
        """Close every connection."""
        with self._opening:
            sessions, self._sessions = [*self._sessions], weakref.WeakSet()
        for session in sessions:
            session.close()
        self._local = threading.local()


def _timed_out(why: Any) -> bool:
    # A request that could not be sent in time is a ProtocolError with the time-out as its reason.
    return isinstance(why, urllib3.exceptions.ReadTimeoutError) or any(
        isinstance(reason, TimeoutError) for reason in getattr(why, "args", ())
    )


def _never_left(error: Exception, why: Any) -> bool:
    """Returns whether the request was never sent, so that a retry cannot carry it out twice."""
    # Errors in a URL or a header are ValueErrors too.
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError, ValueError)):
        return True
    reason = getattr(why, "reason", None)
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return True
    # TLS that fails later, when a run may be in progress, is an SSLError as well.
    cause = reason.args[0] if isinstance(reason, urllib3.exceptions.SSLError) and reason.args else None
    return getattr(cause, "reason", None) in ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")
