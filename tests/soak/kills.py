"""ComfyUI killed with SIGKILL at random moments of saves, downloads and commands, and what it finds when it is back.

After each kill: every address whose saving was answered is in the map, no model has bytes that are not its own,
what was under way is listed to be resumed, and nothing half-written lies beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from ..downloads.host import Host, model_bytes, sha256
from ..stack.comfy import ComfyProcess
from ..stack.program import Program
from ..stack.steps import say
from ..stack.tab import until

FILES, SIZE = 12, 6 << 20
# Bytes per second of each connection, so that a kill finds most files on their way; seconds until it comes.
RATE = 2 << 20
SOONEST, LATEST = 0.05, 2.5
DEADLINE = 60.0


class Killing:
    """One ComfyUI that is killed again and again."""

    def __init__(self, base: Path, host: Host, seed: int) -> None:
        self.host = host
        self.dice = random.Random(seed)  # noqa: S311
        self.comfy = ComfyProcess(base, env={"UIAPI_ALLOWED_HOSTS": host.authority})
        self.loras = base / "models" / "loras"
        self.models = {f"m{at}.safetensors": model_bytes(SIZE, at) for at in range(FILES)}
        for name, data in self.models.items():
            host.offer(f"/{name}", data, rate=RATE)
        self.saved: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    async def once(self) -> None:
        """Start, look, work, kill."""
        await asyncio.to_thread(self.comfy.start)
        async with Program(self.comfy) as program:
            await self.look(program)
            work = [self.save(program), self.save(program), self.fetch(program), self.ask(program)]
            tasks = [asyncio.ensure_future(each) for each in work]
            await asyncio.sleep(self.dice.uniform(SOONEST, LATEST))
            os.kill(self.comfy.pid, signal.SIGKILL)
            await asyncio.to_thread(self.comfy.kill)
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(ended, (aiohttp.ClientError, ConnectionError)), ended
        self.counts["kills"] += 1

    async def look(self, program: Program) -> None:
        """The state after the last kill."""
        _, body = await program.get("model_urls")
        assert self.saved.items() <= body["response"]["urls"].items(), "an address that was saved is gone"
        for name, data in self.models.items():
            path = self.loras / name
            if path.exists():
                assert path.read_bytes() == data, f"{name} has bytes that are not its own"
                self.counts["whole"] += 1
        _, body = await program.get("downloads")
        listed = body["response"]["downloads"]
        assert all(one["resumable"] or one["completed"] for one in listed), listed
        known = {name for one in listed for name in one["progress"]}
        for part in self.loras.glob(".*.uiapi-part"):
            self.counts["partial"] += 1
            assert part.name[1 : -len(".uiapi-part")] in known, f"{part.name} belongs to nothing that is listed"
        for journal in self.loras.glob(".*.uiapi-json"):
            json.loads(journal.read_text("utf-8"))
        # What the write that was killed just now left is taken away by the next start but one.
        assert len([*self.comfy.base.glob("user/**/.*.tmp")]) <= 2

    async def save(self, program: Program) -> None:
        """Addresses, until the end."""
        while True:
            name = f"saved{self.dice.randrange(10**6)}.safetensors"
            url = f"https://huggingface.co/a/b/resolve/main/{name}"
            status, body = await program.post("add_model_url", {"model_name": name, "url": url, "model_type": "loras"})
            assert status == 200, body
            self.saved[name] = body["model_def"]
            self.counts["saved"] += 1

    async def fetch(self, program: Program) -> None:
        """Go on with what was cut off; begin others; drop one now and then."""
        _, body = await program.get("downloads")
        for one in body["response"]["downloads"]:
            if one["resumable"]:
                await program.post("download_resume", {"download_id": one["download_id"]})
        while True:
            name = self.dice.choice([*self.models])
            if (self.loras / name).exists():
                (self.loras / name).unlink()
            _, begun = await program.post("download_models", {"workflow": self.workflow(name)})
            await asyncio.sleep(self.dice.uniform(0, 0.5))
            if self.dice.random() < 0.2:
                await program.post("download_cancel", {"download_id": begun["download_id"]})

    async def ask(self, program: Program) -> None:
        """Commands that need a tab, and there is none."""
        while True:
            status, _ = await program.post("get_fields", {"fields": ["a.b"]})
            assert status == 503
            await program.get("connection_status")

    def workflow(self, name: str) -> dict[str, Any]:
        need = {"name": name, "directory": "loras", "url": self.host.url(f"/{name}")}
        need |= {"hash": sha256(self.models[name]), "hash_type": "SHA256"}
        node = {"id": 1, "type": "LoraLoaderModelOnly", "widgets_values": [name, 1.0], "properties": {"models": [need]}}
        return {"nodes": [node], "links": []}

    async def finish(self) -> None:
        """At last everything can be had whole."""
        await asyncio.to_thread(self.comfy.start)
        for answer in self.host.answers.values():
            answer.rate = None
        async with Program(self.comfy) as program:
            await self.look(program)
            _, body = await program.get("downloads")
            for one in body["response"]["downloads"]:
                if one["resumable"]:
                    await program.post("download_resume", {"download_id": one["download_id"]})
            for name in self.models:
                await program.post("download_models", {"workflow": self.workflow(name)})

            async def whole() -> bool:
                return sorted(path.name for path in self.loras.iterdir()) == sorted(self.models)

            await until(whole, "every model, and nothing beside them", DEADLINE)
            await self.look(program)


async def kill_again_and_again(times: int, seed: int = 1, tell: Any = lambda text: None) -> Counter[str]:
    """Kill a ComfyUI of its own that often; AssertionError where something was lost or half-written."""
    host = await Host().start()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        killing = Killing(Path(folder), host, seed)
        try:
            for number in range(times):
                await killing.once()
                if (number + 1) % 10 == 0:
                    tell(f"  {dict(killing.counts)}")
            await killing.finish()
        finally:
            await asyncio.to_thread(killing.comfy.kill)
            await host.close()
    return killing.counts


def main(times: int) -> int:
    """Kill it that often and tell."""
    began = time.monotonic()
    counts = asyncio.run(kill_again_and_again(times, tell=say))
    say(f"  {dict(counts)} in {time.monotonic() - began:.0f} s")
    return 0
