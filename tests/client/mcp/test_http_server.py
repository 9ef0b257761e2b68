"""`uiapi mcp --http` where it cannot serve; tests/e2e runs it."""

from __future__ import annotations

import socket
from pathlib import Path

from comfyui_uiapi.tests.client.cli.conftest import Uiapi

HERE = "127.0.0.1"


async def test_a_taken_port_is_one_sentence_and_not_announced(uiapi: Uiapi) -> None:
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
        ended = await uiapi("mcp", "--http", f"{HERE}:{port}")
    assert ended.code == 6 and ended.err.startswith(f"http://{HERE}:{port}/mcp cannot be served (Address ")
    assert ended.err.endswith("); choose another HOST:PORT.\n") and ended.err.count("\n") == 1


async def test_a_missing_certificate_is_one_sentence(uiapi: Uiapi, tmp_path: Path) -> None:
    ended = await uiapi("mcp", "--http", f"{HERE}:8765", "--tls-cert", str(tmp_path / "none.pem"))
    assert ended.code == 7 and ended.err.startswith("TLS cannot be used (No such file or directory); give PEM files")
