"""Asks a ComfyUI for `/` and `/prompt` in turn, in a process of its own, and writes when it asked and how long it took.

Standard library only; the load that is measured beside it must not slow it down more than the server is slowed down.
"""

from __future__ import annotations

import http.client
import json
import sys
import time

PATHS = ("/", "/prompt")
# Seconds between two requests.
INTERVAL = 0.005


def main(port: int) -> None:
    """Ask until the end of this process; a line of JSON each: seconds of the monotonic clock, path, milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while True:
        for path in PATHS:
            began = time.monotonic()
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            took = (time.monotonic() - began) * 1e3
            if answer.status != 200:
                raise RuntimeError(f"{path} answered {answer.status}")
            sys.stdout.write(json.dumps([began, path, took]) + "\n")
            sys.stdout.flush()
            time.sleep(INTERVAL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
