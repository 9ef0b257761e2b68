"""A real ComfyUI without a page, whose operator allows scripted model hosts, for tests of the server."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from comfyui_uiapi.tests.harness.comfy.adjusting import adjusting
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.models.model_host import Host
from comfyui_uiapi.tests.harness.programs.program import Program

# The custom node that reports how many tasks, files and entries a ComfyUI holds.
PROBE = Path(__file__).parents[2] / "soak" / "probe.py"
# A custom node that refuses connections to other machines, even if a check of the package fails, and logs them.
FENCE = """
import asyncio.selector_events, ipaddress, logging, socket

NODE_CLASS_MAPPINGS = {}

def check(where):
    if isinstance(where, tuple) and not ipaddress.ip_address(where[0].partition("%")[0]).is_loopback:
        logging.error("WENT OUT to %r", where)
        raise OSError(f"the fence of the tests: {where!r}")

class Fenced(socket.socket):
    def connect(self, where):
        check(where)
        return super().connect(where)

loop = asyncio.selector_events.BaseSelectorEventLoop
connect = loop.sock_connect

async def sock_connect(self, sock, where):
    check(where)
    return await connect(self, sock, where)

loop.sock_connect, socket.socket = sock_connect, Fenced
"""
WENT_OUT = "WENT OUT"
# A custom node that reads the person's rules again, as at a start.
READ_RULES = """
from aiohttp import web
import server

NODE_CLASS_MAPPINGS = {}

async def read_rules(_):
    app = server.PromptServer.instance.app
    [bridge] = [hook.__self__ for hook in app.on_response_prepare if hook.__name__ == "on_response_prepare"]
    await bridge.approvals.start()
    return web.Response()

server.PromptServer.instance.routes.post("/read_rules")(read_rules)
"""
# A custom node that shortens the time a silent host is waited for.
HASTE = adjusting("/haste", ".downloads.transfer.http_client", "HEADERS_TIMEOUT")
# The host name of this machine: allowed, but not a public address.
OWN_NAME = socket.gethostname()
# Addresses that the operator allowed although they are not public; see FENCE.
PRIVATE = ("10.0.0.1", "169.254.169.254", "192.168.0.1:8443", "[::ffff:10.0.0.1]", "[fd00::1]")
# The operator's tokens, which may be sent to the two endpoints only.
HF_TOKEN, CIVITAI_TOKEN = "hf-sesame-open", "civitai-sesame-open"


class Alone:
    """The ComfyUI and its model hosts; use it with `async with`.

    Attributes:
        models: a host that the operator allows.
        mirror: another allowed host, the target of redirects.
        hub: stands for Hugging Face.
        civitai: stands for CivitAI.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self.models, self.mirror, self.hub, self.civitai = (Host() for _ in range(4))
        self.comfy: ComfyProcess
        self._log_read = 0

    async def __aenter__(self) -> Alone:
        for host in self.hosts:
            await host.start()
        env = {
            "UIAPI_ALLOWED_HOSTS": f"{self.models.authority},{self.mirror.authority},{','.join((OWN_NAME, *PRIVATE))}",
            "HF_ENDPOINT": self.hub.url(""),
            "HF_TOKEN": HF_TOKEN,
            "CIVITAI_ENDPOINT": self.civitai.url(""),
            "CIVITAI_API_TOKEN": CIVITAI_TOKEN,
            # For huggingface_hub: its own cache directory, and no telemetry.
            "HF_HOME": str(self._base / "hf"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        self.comfy = ComfyProcess(self._base / "comfy", env=env)
        shutil.copy(PROBE, self.comfy.base / "custom_nodes")
        (self.comfy.base / "custom_nodes" / "fence.py").write_text(FENCE)
        (self.comfy.base / "custom_nodes" / "read_rules.py").write_text(READ_RULES)
        (self.comfy.base / "custom_nodes" / "haste.py").write_text(HASTE)
        self.loras.mkdir(parents=True)
        await asyncio.to_thread(self.comfy.start)
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.comfy.kill()
        for host in self.hosts:
            await host.close()

    @property
    def hosts(self) -> tuple[Host, Host, Host, Host]:
        """All four hosts."""
        return self.models, self.mirror, self.hub, self.civitai

    @property
    def loras(self) -> Path:
        """The directory that tests download to."""
        return self.comfy.base / "models" / "loras"

    def lora_files(self) -> list[str]:
        """Return the names of all files in `loras`, including the partial files of downloads."""
        return sorted(path.name for path in self.loras.iterdir())

    def listen(self) -> None:
        """Start `logged` at this point of the log."""
        self._log_read = len(self.comfy.log_text())

    def logged(self) -> str:
        """Return what was logged since `listen`."""
        return self.comfy.log_text()[self._log_read :]

    @asynccontextmanager
    async def hasty(self, program: Program, seconds: float) -> AsyncIterator[None]:
        """Have ComfyUI wait only `seconds` for a host's headers; it must have downloaded something before."""

        async def wait(how_long: float) -> float:
            async with program.http.get(program.url(f"/haste?value={how_long}")) as response:
                return float(await response.json())

        before = await wait(seconds)
        yield
        await wait(before)

    def forget(self) -> None:
        """Remove every model, and what the hosts offered and received."""
        for path in self.loras.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for host in self.hosts:
            host.answers.clear()
            host.seen.clear()
            host.sent.clear()


async def held(program: Program) -> dict[str, Any]:
    """Return how many tasks and descriptors ComfyUI holds, and how many entries each registry of this package has."""
    async with program.http.get(program.url("/soak_probe")) as response:
        seen = await response.json()
    return {"tasks": seen["tasks"], "descriptors": seen["descriptors"], **seen["held"]}
