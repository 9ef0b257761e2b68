"""A model host for measurements: nginx on loopback, at full speed and with a rate limit for each connection."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

from ...harness import children
from ...harness.comfy.process import free_port, is_taken
from ...tools.steps import Stop

CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{fast}; root {folder}/www; }}
  server {{ listen 127.0.0.1:{slow}; root {folder}/www; limit_rate {rate}; }}
}}
"""
# Seconds until nginx must listen.
DEADLINE = 10.0
# Number of random bytes that a file repeats.
PATTERN = 32 << 20


def tool(name: str) -> str:
    """Return the path of a program; raises Stop with the package to install."""
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        raise Stop(f"This measurement needs {name}; install it (Debian: apt-get install {name.rstrip('c')}).")
    return found


class Nginx:
    """A running nginx, as a context manager.

    Args:
        folder: its own directory, created if missing.
        rate: the limit of each connection to the slow server, in nginx's notation.
    """

    def __init__(self, folder: Path, rate: str = "20m") -> None:
        self.folder = folder
        self.fast = free_port()
        self.slow = free_port()
        self._rate = rate
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def authorities(self) -> str:
        """Both servers, in the form of UIAPI_ALLOWED_HOSTS."""
        return f"127.0.0.1:{self.fast},127.0.0.1:{self.slow}"

    def url(self, name: str, *, slow: bool = False) -> str:
        """Return the URL of a file."""
        return f"http://127.0.0.1:{self.slow if slow else self.fast}/{name}"

    def make(self, name: str, size: int, *, sparse: bool = False) -> Path:
        """Create a safetensors file of about `size` bytes to serve; a `sparse` file occupies no disk space."""
        path = self.folder / "www" / name
        header = b'{"t":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
        with path.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            pattern = b"" if sparse else random.Random(size).randbytes(PATTERN)  # noqa: S311
            for start in range(0, 0 if sparse else size, PATTERN):
                file.write(pattern[: size - start])
            file.truncate(8 + len(header) + size)
        return path

    def __enter__(self) -> Nginx:
        program = tool("nginx")
        (self.folder / "www").mkdir(parents=True, exist_ok=True)
        for path in (self.folder.parent, self.folder, self.folder / "www"):
            path.chmod(0o755)
        config = self.folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=self.folder, fast=self.fast, slow=self.slow, rate=self._rate))
        with (self.folder / "output.log").open("wb") as output:
            self._process = children.start([program, "-c", config], output=output, cwd=self.folder, env={})
        deadline = time.monotonic() + DEADLINE
        while not is_taken(self.fast):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise Stop(f"nginx did not start: {(self.folder / 'output.log').read_text()[-500:]}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._process is not None:
            children.stop(self._process, grace=1)
