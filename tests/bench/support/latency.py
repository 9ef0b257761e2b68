"""Requests `/` and `/prompt` of a ComfyUI in turn, in its own process, and prints each time and latency.

Standard library only and a separate process, so that the measured load slows it down as little as possible.
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
    """Send requests until the process ends; prints a JSON line each: monotonic seconds, path, milliseconds."""
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
