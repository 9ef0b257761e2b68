"""Runs a real ComfyUI in its own process, with this package among its custom nodes.

Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ...tools import build
from ...tools.steps import Stop
from .. import children

MAIN = Path(__file__).with_name("main.py")
# The package's directory in custom_nodes: with a hyphen, as `git clone` names it.
PACKAGE_NAME = "ComfyUI-uiapi"
# The test pack, whose nodes behave as those of popular packs do.
PACK = Path(__file__).with_name("pack")
PACK_NAME = "uiapi-test-pack"
# Seconds for ComfyUI to listen; importing torch on a cold disk takes most of them.
START_DEADLINE = 300.0
# Characters of the log that a failure shows.
TAIL = 3000

# Linux takes ports from 32768 for outgoing connections, other systems from 49152.
SERVER_PORTS = range(20000, 32000)

# Frontend settings for a page without first-run dialogs (tutorial, templates, news) and without a confirmation
# before the graph is cleared.
SETTINGS: dict[str, Any] = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Notification.ShowVersionUpdates": False,
    "Comfy.Minimap.Visible": False,
    "Comfy.ConfirmClear": False,
}


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that stays free until somebody listens on it.

    It is outside the range from which operating systems take the ports of outgoing connections, one of which could
    take it while ComfyUI still starts. A UDP socket of the same number reserves it against other test processes.
    """
    for port in random.sample(SERVER_PORTS, len(SERVER_PORTS)):
        reservation = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        reservation.detach()  # Stays open until this process ends.
        return port
    raise Stop("No port of 127.0.0.1 is free; end some of the servers on this machine.")


def is_taken(port: int) -> bool:
    """Return whether a process listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class ComfyProcess:
    """One ComfyUI with its own base directory.

    Args:
        base: its base directory (models, input, output, user, custom_nodes); created if missing.
        frontend: version of the frontend it serves, one of build.FRONTENDS.
        port: the port to listen on; a free one if None. It stays the same over restarts.
        args: more arguments for ComfyUI's main.py.
        env: variables added to its environment.
        settings: frontend settings in addition to SETTINGS, for a base directory without settings.
        package: the checkout to load as custom node; None loads none.
        pack: whether the test pack is loaded as well.
    """

    def __init__(
        self,
        base: Path,
        *,
        frontend: str = build.FRONTENDS[0],
        port: int | None = None,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        package: Path | None = build.ROOT,
        pack: bool = False,
    ) -> None:
        self.base = base
        self.frontend = frontend
        self.port = port or free_port()
        self.args = list(args)
        self.env = dict(env or {})
        self.log = base / "comfyui.log"
        self._process: subprocess.Popen[bytes] | None = None
        for folder in ("custom_nodes", "models", "input", "output", "temp", "user/default"):
            (base / folder).mkdir(parents=True, exist_ok=True)
        kept = base / "user/default/comfy.settings.json"
        if not kept.exists():
            kept.write_text(json.dumps({**SETTINGS, **(settings or {})}))
        for name, checkout in ((PACKAGE_NAME, package), (PACK_NAME, PACK if pack else None)):
            link = base / "custom_nodes" / name
            # The checkout may have moved since this base directory was last used.
            link.unlink(missing_ok=True)
            if checkout is not None:
                link.symlink_to(checkout, target_is_directory=True)

    @property
    def url(self) -> str:
        """Its URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running ComfyUI."""
        return self._running().pid

    @property
    def output(self) -> Path:
        """The directory of its saved pictures."""
        return self.base / "output"

    def start(self, deadline: float = START_DEADLINE) -> ComfyProcess:
        """Start it and return when it answers requests.

        Raises:
            Stop: the port is in use, ComfyUI ended, or it did not answer within `deadline` seconds.
        """
        if self.is_alive():
            raise RuntimeError("this ComfyUI is running already")
        if is_taken(self.port):
            raise Stop(f"Port {self.port} is taken; end what listens there or choose another with --port.")
        command: list[str | Path] = [
            build.PYTHON,
            MAIN,
            build.COMFYUI,
            *("--cpu", "--disable-api-nodes", "--disable-auto-launch"),
            *("--port", str(self.port)),
            *("--base-directory", str(self.base)),
            *("--database-url", f"sqlite:///{self.base / 'user' / 'comfyui.db'}"),
            *("--front-end-root", str(build.frontend_root(self.frontend))),
            *self.args,
        ]
        with self.log.open("ab") as output:
            # Not in the checkout, where a `server` module would shadow ComfyUI's.
            self._process = children.start(command, output=output, cwd=self.base, env=self.env)
        try:
            self._wait_until_it_answers(time.monotonic() + deadline)
        except BaseException:
            self.kill()
            raise
        return self

    def _wait_until_it_answers(self, deadline: float) -> None:
        while True:
            if not self.is_alive():
                raise Stop(f"ComfyUI ended while starting; the end of its log:\n{self.log_text()[-TAIL:]}")
            try:
                self.get("/system_stats", timeout=5)
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if time.monotonic() > deadline:
                    tail = self.log_text()[-TAIL:]
                    raise Stop(f"ComfyUI did not start in time; the end of its log:\n{tail}") from None
                time.sleep(0.05)

    def get(self, path: str, timeout: float = 120.0) -> Any:
        """GET a path and return the decoded JSON."""
        with urllib.request.urlopen(self.url + path, timeout=timeout) as answer:  # noqa: S310 - its own address
            return json.load(answer)

    def post(self, path: str, body: Any, timeout: float = 120.0, name: str = "tests") -> Any:
        """POST JSON to a path as a program of that name and return the decoded JSON, whatever the HTTP status."""
        request = urllib.request.Request(  # noqa: S310 - its own address
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json", "User-Agent": name}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

    def open_gate(self, gate: str, runs: int = 1) -> None:
        """Let that many runs through a gate, those that wait there first; it needs the test pack."""
        self.post(f"/lab/gate?gate={gate}&runs={runs}", {})

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def log_text(self) -> str:
        """Return the log since the first start."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal without waiting (SIGSTOP and SIGCONT simulate a stalled server)."""
        os.kill(self._running().pid, number)

    def terminate(self) -> None:
        """Interrupt it, as Ctrl-C does, and wait until it has ended."""
        process = self._running()
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL); does nothing if it does not run."""
        if self._process is not None:
            children.stop(self._process, grace=0)
            self._process = None

    def restart(self) -> None:
        """End it and start it again on the same port with the same base directory."""
        if self.is_alive():
            self.terminate()
        self.start()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this ComfyUI is not running")
        return self._process

    def __enter__(self) -> ComfyProcess:
        return self if self.is_alive() else self.start()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()
