"""The versions of this package and of its websocket protocol."""

from __future__ import annotations

# Copied from pyproject.toml by `python3 dev.py generate`.
VERSION = "0.2.0"
PROTOCOL = 1
