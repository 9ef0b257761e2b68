"""The ports of servers that tests start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ..harness.comfy.process import SERVER_PORTS, free_port

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not OUTGOING.exists(), reason="only Linux says which ports outgoing connections take")
def test_no_outgoing_connection_takes_the_port_of_a_server_that_still_starts() -> None:
    first, last = map(int, OUTGOING.read_text().split())
    assert not set(SERVER_PORTS) & set(range(first, last + 1))
    assert free_port() in SERVER_PORTS


def test_no_other_test_process_gets_the_port_of_a_server_that_still_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    given = free_port()
    # As another process would, with the same ports to try first.
    monkeypatch.setattr("random.sample", lambda ports, _: [given, *ports])
    assert free_port() != given
    with socket.socket() as server:
        server.bind(("127.0.0.1", given))
