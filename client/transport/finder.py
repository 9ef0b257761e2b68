"""Finds the ComfyUI of a program that was given no URL: on this machine, at one of the usual ports."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import selectors
import socket
import threading
import time
from dataclasses import dataclass, replace

from ..common.errors import Unreachable
from ..protocol.address import DEFAULT_URL, Address

log = logging.getLogger("uiapi")

# ComfyUI's own port, those of its desktop app, and those that people take for a second ComfyUI.
PORTS = (8188, 8000, 8001, 8189, 8190)
# Seconds for all ports: to accept a connection, and to answer. Some systems refuse a connection only after a while.
LISTEN_TIMEOUT, ANSWER_TIMEOUT = 0.5, 2.0
# The longest answer that is read, in bytes.
LONGEST = 65536


@dataclass(frozen=True)
class _Answer:
    """The server at a URL.

    Attributes:
        is_ours: whether it is a ComfyUI with this extension.
        tabs: the number of its connected tabs, 0 if it does not say.
    """

    url: str
    is_ours: bool
    tabs: int


def located(address: Address) -> Address:
    """Returns the address with the URL of the ComfyUI that was found.

    Raises Unreachable: `unreachable` if there is none or a choice between several, `no_extension` if only other servers
    answer.
    """
    return replace(address, url=_found(), is_default=False)


def _found() -> str:
    listening = _listening()
    answers = _answers(listening)
    ours = [answer for answer in answers if answer.is_ours]
    chosen = ours if len(ours) == 1 else [answer for answer in ours if answer.tabs]
    if len(chosen) == 1:
        log.info("Using the ComfyUI at %s", chosen[0].url)
        return chosen[0].url
    if ours:
        urls = " and ".join(answer.url for answer in ours)
        state = "several have a connected tab" if chosen else "none has a connected tab"
        raise Unreachable(
            "unreachable",
            f"A ComfyUI answers at {urls}, and {state}; set COMFYUI_URL to the URL of one of them.",
            {"found": [answer.url for answer in ours]},
        )
    if _url(PORTS[0]) in listening and not any(answer.url == _url(PORTS[0]) for answer in answers):
        # A ComfyUI that loads a model may be slow to answer; the request itself waits for it.
        return _url(PORTS[0])
    tried = f"{', '.join(map(str, PORTS[:-1]))} or {PORTS[-1]}"
    if answers:
        others = " and ".join(answer.url for answer in answers)
        raise Unreachable(
            "no_extension",
            f"The server at {others} is not a ComfyUI with the uiapi extension, and none was found at port {tried} of "
            "127.0.0.1; install the extension and restart ComfyUI, or set COMFYUI_URL to its URL.",
        )
    raise Unreachable(
        "unreachable",
        f"No ComfyUI answers at {_url(PORTS[0])}, nor at another usual port ({tried}); start it, or set COMFYUI_URL to "
        "its URL.",
        {"tried": [_url(port) for port in PORTS]},
    )


def _url(port: int) -> str:
    return DEFAULT_URL.replace("8188", str(port))


def _listening() -> list[str]:
    """Returns the URLs of the ports that accept a connection."""
    found = []
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as opened:
        left: dict[socket.socket, int] = {}
        for port in PORTS:
            sock = opened.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            waiting.register(sock, selectors.EVENT_WRITE)
            left[sock] = port
        until = time.monotonic() + LISTEN_TIMEOUT
        while left and (seconds := until - time.monotonic()) > 0:
            for sock in [sock for key, _ in waiting.select(seconds) for sock in left if key.fileobj is sock]:
                waiting.unregister(sock)
                port = left.pop(sock)
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.append(port)
    return [_url(port) for port in PORTS if port in found]


def _answers(urls: list[str]) -> list[_Answer]:
    """Returns what answers in time at these URLs."""
    answers: dict[str, _Answer] = {}

    def ask(url: str) -> None:
        if (answer := _asked(url)) is not None:
            answers[url] = answer

    # A server that sends one byte at a time would hold up the others, and the caller.
    threads = [threading.Thread(target=ask, args=[url], daemon=True, name="uiapi finder") for url in urls]
    for thread in threads:
        thread.start()
    until = time.monotonic() + ANSWER_TIMEOUT
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [answers[url] for url in urls if url in answers]


def _asked(url: str) -> _Answer | None:
    # Without the token, since it is not known yet what listens there.
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=ANSWER_TIMEOUT)
    try:
        connection.request("GET", "/uiapi/connection_status", headers={"User-Agent": "uiapi finder"})
        response = connection.getresponse()
        answer = json.loads(response.read(LONGEST))
    except (OSError, http.client.HTTPException) as error:
        log.debug("%s does not answer: %s", url, error)
        return None
    except ValueError:
        return _Answer(url, False, 0)
    finally:
        connection.close()
    if not isinstance(answer, dict):
        return _Answer(url, False, 0)
    # A server with a token refuses the question in the form of this extension.
    refuses = answer.get("status") == "error" and isinstance(answer.get("code"), str)
    tabs = answer.get("active_clients")
    return _Answer(url, refuses or isinstance(tabs, int), tabs if isinstance(tabs, int) else 0)
