"""A tab's connection without a socket, for tests without a served bridge."""

from __future__ import annotations

from comfyui_uiapi.bridge.tabs.tab import PendingRequest


class Page:
    """A connection that records what is sent over it."""

    kind = "scripted"

    def __init__(self) -> None:
        self.requests: list[PendingRequest] = []
        self.cancelled: list[str] = []
        self.events: list[bytes] = []
        self.closed: list[tuple[int, str]] = []

    def send_request(self, request: PendingRequest) -> None:
        self.requests.append(request)

    def send_cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)

    def send_event(self, frame: bytes) -> None:
        self.events.append(frame)

    def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))
