"""Which version of this package runs here, and which of the websocket's protocol it speaks."""

from __future__ import annotations

# pyproject.toml's: `python3 dev.py generate` copies it from there.
VERSION = "0.2.0"
PROTOCOL = 1
