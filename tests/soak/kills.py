"""ComfyUI killed with SIGKILL at random moments of saves, downloads and commands, and what it finds when it is back.

After each kill: every address whose saving was answered is in the map and the person's last decision holds, no model
and no picture has bytes that are not its own, what was under way is listed to be resumed, nothing half-written lies
beside it, and the one open tab is back without a reload, its fields as the last answer said.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image
from playwright.async_api import Playwright, async_playwright

from ..harness.browser.tab import Chromium, Tab, until
from ..harness.comfy import ComfyProcess
from ..harness.model_host import Host, model_bytes, sha256
from ..harness.program import PATIENCE, Program
from ..harness.workflows import photo, picture
from ..tools import build
from ..tools.steps import say

FILES, SIZE = 12, 6 << 20
# Bytes per second of each connection, so that a kill finds most files on their way; seconds until it comes.
RATE = 2 << 20
SOONEST, LATEST = 0.05, 2.5
DEADLINE = 60.0
PHOTO = "INPUT_Photo.png"
GRAPH = {**picture(), **{f"photo {number}": node for number, node in photo(PHOTO).items()}}
GRAPH["photo 2"] = {**GRAPH["photo 2"], "inputs": {"images": ["photo 1", 0], "filename_prefix": "photo"}}


class Killing:
    """One ComfyUI that is killed again and again under one open tab."""

    def __init__(self, base: Path, host: Host, seed: int) -> None:
        self.host = host
        self.dice = random.Random(seed)  # noqa: S311
        env = {"UIAPI_ALLOWED_HOSTS": host.authority}
        self.comfy = ComfyProcess(base, frontend=build.FRONTENDS[-1], env=env)
        self.loras = base / "models" / "loras"
        self.models = {f"m{at}.safetensors": model_bytes(SIZE, at) for at in range(FILES)}
        for name, data in self.models.items():
            host.offer(f"/{name}", data, rate=RATE)
        self.pictures = [noise_picture(self.dice) for _ in range(8)]
        (base / "input" / PHOTO).write_bytes(self.pictures[0])
        self.tab: Tab | None = None
        self.saved: dict[str, str] = {}
        # What was answered last and what has been asked since: whether that was done nobody knows.
        self.width, self.rule, self.stored = {64}, {"allow"}, {self.pictures[0]}
        self.counts: Counter[str] = Counter()

    async def open(self, chromium: Chromium) -> None:
        """The one tab, with a graph in it."""
        await asyncio.to_thread(self.comfy.start)
        self.tab = await chromium.open(self.comfy)
        async with Program(self.comfy) as program:
            await program.ok("load_workflow", {"workflow": GRAPH})
            await program.ok("set_fields", {"fields": [["Canvas.width", 64], ["Canvas.height", 64]]})

    async def once(self) -> None:
        """Look, work, kill, start."""
        async with Program(self.comfy) as program:
            await self.look(program)
            person = await self.person(program)
            work = [self.save(program), self.save(program), self.fetch(program)]
            work += [self.write(program), self.store(program), self.run(program), self.decide(person)]
            tasks = [asyncio.ensure_future(each) for each in work]
            await asyncio.sleep(self.dice.uniform(SOONEST, LATEST))
            os.kill(self.comfy.pid, signal.SIGKILL)
            await asyncio.to_thread(self.comfy.kill)
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(ended, (aiohttp.ClientError, ConnectionError)), ended
        self.counts["kills"] += 1
        await asyncio.to_thread(self.comfy.start)

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
        await self.look_at_page(program)

    async def look_at_page(self, program: Program) -> None:
        """The graph and the pictures that programs have written."""
        assert self.tab is not None
        assert await self.tab.wait_connected(set()) == self.tab.webui, "the tab has another id"
        fields = ["Canvas.width", "Canvas.height", "Photo.image"]
        told = await program.ok("get_fields", {"fields": fields})
        assert told["Canvas.width"] == told["Canvas.height"], "half of a write was done"
        assert told["Canvas.width"] in self.width, "a write that was answered is not there"
        shown = (self.comfy.base / "input" / told["Photo.image"]).read_bytes()
        assert shown in self.stored, "a write of a picture that was answered is not there"
        for path in self.comfy.base.glob("input/INPUT_*"):
            assert path.read_bytes() in self.pictures, "a picture has bytes not its own"
        assert len([*self.comfy.base.glob("input/.*.tmp")]) <= 1

        async def answered() -> bool:
            return bool((await program.get("connection_status"))[1]["pending_requests"] == 0)

        # A model that has just landed has the tab read its lists anew.
        await until(answered, "an answer to everything", DEADLINE)

    async def person(self, program: Program) -> aiohttp.ClientWebSocketResponse:
        """A second page, which only decides; the rule that was decided last holds."""
        page = await program.http.ws_connect(program.url("/uiapi/ws"))
        hello = {"type": "hello", "role": "webui", "protocol": 1, "page_key": await program.page_key()}
        await page.send_json({**hello, "capabilities": ["panel"]})
        while (frame := await page.receive_json(timeout=PATIENCE)).get("event") != "panel_state":
            pass
        assert frame["data"]["rules"]["load"] in self.rule, "the person's decision is gone"
        return page

    async def decide(self, page: aiohttp.ClientWebSocketResponse) -> None:
        """Rules for what nobody does here, until the end."""
        for number in range(10**6):
            rule = self.dice.choice(["allow", "once", "always", "refuse"])
            self.rule.add(rule)
            data = {"rules": {"load": rule}}
            await page.send_json({"type": "request", "id": number, "command": "panel_decide", "data": data})
            while True:
                message = await page.receive(PATIENCE)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise ConnectionError
                frame = message.json()
                if frame["type"] == "response":
                    break
            assert frame["status"] == "ok", frame
            self.rule = {rule}
            self.counts["decided"] += 1

    async def write(self, program: Program) -> None:
        """Two fields at once, until the end."""
        while True:
            width = 8 * self.dice.randrange(2, 32)
            self.width.add(width)
            await program.ok("set_fields", {"fields": [["Canvas.width", width], ["Canvas.height", width]]})
            self.width = {width}
            self.counts["written"] += 1

    async def store(self, program: Program) -> None:
        """Pictures, until the end."""
        while True:
            data = self.dice.choice(self.pictures)
            self.stored.add(data)
            value = {"type": "image_base64", "data": base64.b64encode(data).decode()}
            await program.ok("set_fields", {"fields": [["Photo.image", value]]})
            self.stored = {data}
            self.counts["stored"] += 1

    async def run(self, program: Program) -> None:
        """What is in the graph, until the end."""
        while True:
            done = await program.ok("run", {"outputs": "urls"})
            assert done["status"] == "success", done
            self.counts["run"] += 1

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

    def workflow(self, name: str) -> dict[str, Any]:
        need = {"name": name, "directory": "loras", "url": self.host.url(f"/{name}")}
        need |= {"hash": sha256(self.models[name]), "hash_type": "SHA256"}
        node = {"id": 1, "type": "LoraLoaderModelOnly", "widgets_values": [name, 1.0], "properties": {"models": [need]}}
        return {"nodes": [node], "links": []}

    async def finish(self) -> None:
        """At last everything can be had whole."""
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


def noise_picture(dice: random.Random) -> bytes:
    """A PNG that is written in more than one piece."""
    file = io.BytesIO()
    Image.frombytes("RGB", (256, 256), dice.randbytes(256 * 256 * 3)).save(file, "PNG")
    return file.getvalue()


async def kill_again_and_again(
    playwright: Playwright, times: int, seed: int = 1, tell: Any = lambda text: None
) -> Counter[str]:
    """Kill a ComfyUI of its own that often; AssertionError where something was lost or half-written."""
    async with AsyncExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kills-")))
        host = await Host().start()
        stack.push_async_callback(host.close)
        killing = Killing(base / "comfy", host, seed)
        stack.callback(killing.comfy.kill)
        chromium = await Chromium(base / "chromium").start(playwright)
        stack.callback(chromium.kill)
        await killing.open(chromium)
        for number in range(times):
            await killing.once()
            if (number + 1) % 10 == 0:
                tell(f"  {dict(killing.counts)}")
        await killing.finish()
        return killing.counts


def main(times: int) -> int:
    """Kill it that often, at other moments each time, and tell."""
    seed = random.SystemRandom().randrange(10**6)
    say(f"  seed {seed}")

    async def run() -> Counter[str]:
        async with async_playwright() as playwright:
            return await kill_again_and_again(playwright, times, seed, say)

    began = time.monotonic()
    counts = asyncio.run(run())
    say(f"  {dict(counts)} in {time.monotonic() - began:.0f} s")
    return 0
