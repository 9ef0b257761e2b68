"""The base class of Client: HTTP with the package requests, events on a thread, and fields by subscript."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, overload

from ..common.events import Event, Listener
from ..protocol.address import Address
from ..protocol.requests import Asked
from ..sweep.blocking_sweep import Sweep
from ..sweep.farmed import FarmSweep, Runner
from ..sweep.variations import Variation
from ..transport.http import Http

if TYPE_CHECKING:
    # Imports aiohttp, which only events need.
    from ..transport.event_thread import Background


class SyncBase:
    """Connections to one ComfyUI, opened at first use.

    Args:
        address: its URL and how to authenticate.
        reconnect: seconds to keep trying when a ComfyUI that responded before cannot be reached.
    """

    if TYPE_CHECKING:
        # Defined by Client; the subscripts use them.
        def get(self, path: str) -> Any: ...
        def set(self, path: str, value: Any) -> dict[str, Any]: ...

    def __init__(self, address: Address, reconnect: float) -> None:
        self._address = address
        self._reconnect = reconnect
        self._http: Http | None = None
        self._background: Background | None = None
        self._locating = threading.Lock()
        self._starting = threading.Lock()
        # Those whose loops are not over.
        self._sweeps: weakref.WeakSet[Sweep | FarmSweep] = weakref.WeakSet()

    @property
    def url(self) -> str:
        """The URL of ComfyUI. Without a given one this is the ComfyUI that is found, or else Unreachable is raised."""
        return self._located().url

    @property
    def token(self) -> str | None:
        """The token that is sent with every request."""
        return self._address.token

    def __getitem__(self, path: str) -> Any:
        return self.get(path)

    def __setitem__(self, path: str, value: Any) -> None:
        self.set(path, value)

    @overload
    def on(
        self, events: str | Iterable[str], listener: Listener, *, paths: Iterable[str] = ()
    ) -> Callable[[], None]: ...
    @overload
    def on(self, events: str | Iterable[str], *, paths: Iterable[str] = ()) -> Callable[[Listener], Listener]: ...

    def on(self, events: str | Iterable[str], listener: Listener | None = None, *, paths: Iterable[str] = ()) -> Any:
        """Call `listener(event)` for events with these names or prefixes, such as "webui_*".

        `paths`, such as ["Sampler"], limits them to events about these fields or nodes. The listener is called on a
        separate thread; the subscription survives reconnections. Returns a function that ends it. Without a listener
        this is a decorator.
        """
        names = [events] if isinstance(events, str) else [*events]
        if listener is not None:
            return self._socket().on(names, listener, paths)

        def decorate(decorated: Listener) -> Listener:
            self._socket().on(names, decorated, paths)
            return decorated

        return decorate

    def events(self, *names: str, paths: Iterable[str] = (), timeout: float | None = None) -> Iterator[Event]:
        """Iterates over events (see `on`), by default over all, for `timeout` seconds or until `close`."""
        return self._socket().events(names or ("*",), paths, timeout)

    def close(self) -> None:
        """Close every connection; listeners are no longer called, and sweeps that are not to be kept are cancelled."""
        for sweep in [*self._sweeps]:
            sweep.close()
        with self._starting:
            background, self._background = self._background, None
            http, self._http = self._http, None
        if background is not None:
            background.close()
        if http is not None:
            http.close()

    def _runner(
        self,
        export: Callable[[list[Variation]], list[dict[str, Any]]],
        read: Callable[[str], bytes],
        *arguments: Any,
        **options: Any,
    ) -> Runner:
        """Returns what runs a sweep on a farm."""
        run = import_module("..farm.sweep", __package__).run
        return lambda stop: run(export, *arguments, read=read, stop=stop, **options)

    def _watched(self, command: str, data: dict[str, Any], listener: Listener) -> dict[str, Any]:
        """Sends a command, passes its events to `listener`, and returns the response envelope."""
        return self._socket().request(command, data, listener)

    def _exchange(self, sending: Asked, reconnect: float | None = None) -> tuple[int, bytes]:
        """Returns the HTTP status and body of the response; see Http.exchange."""
        address = self._located()
        with self._starting:
            if self._http is None:
                self._http = Http(address, self._reconnect)
            http = self._http
        return http.exchange(sending, reconnect)

    def _socket(self) -> Background:
        address = self._located()
        with self._starting:
            if self._background is None:
                from ..transport.event_thread import Background

                self._background = Background(address, self._reconnect)
            return self._background

    def _located(self) -> Address:
        with self._locating:
            if self._address.is_default:
                from ..transport.finder import located

                self._address = located(self._address)
            return self._address
