"""Kills ComfyUI with SIGKILL at random moments of saves, downloads and commands, and checks it after each restart.

After each kill: every URL whose saving was confirmed is in the map, the person's last decision holds, no model and no
picture has wrong bytes, interrupted downloads are listed and can be resumed, no half-written file is left, and the
open tab is connected again without a reload, with the field values of the last response.
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
from ..harness.comfy.process import ComfyProcess
from ..harness.comfy.workflows import photo, picture
from ..harness.models.model_host import Host, model_bytes, sha256
from ..harness.programs.program import PATIENCE, Program
from ..tools import build
from ..tools.steps import say

FILES, SIZE = 12, 6 << 20
# Bytes per second of each connection, so that most downloads are in progress at a kill; seconds until a kill.
RATE = 2 << 20
SOONEST, LATEST = 0.05, 2.5
DEADLINE = 240.0
PHOTO = "INPUT_Photo.png"
GRAPH = {**picture(), **{f"photo {number}": node for number, node in photo(PHOTO).items()}}
GRAPH["photo 2"] = {**GRAPH["photo 2"], "inputs": {"images": ["photo 1", 0], "filename_prefix": "photo"}}


class Killing:
    """One ComfyUI that is killed repeatedly while one tab is open."""

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
        # The values confirmed last and those requested since, which may or may not have been written.
        self.width, self.rule, self.stored = {64}, {"allow"}, {self.pictures[0]}
        self.counts: Counter[str] = Counter()

    async def open(self, chromium: Chromium) -> None:
        """Start ComfyUI and open the tab with a graph."""
        await asyncio.to_thread(self.comfy.start)
        self.tab = await chromium.open(self.comfy)
        async with Program(self.comfy) as program:
            await program.ok("load_workflow", {"workflow": GRAPH})
            await program.ok("set_fields", {"fields": [["Canvas.width", 64], ["Canvas.height", 64]]})

    async def once(self) -> None:
        """Check the state, send requests, kill ComfyUI and start it again."""
        async with Program(self.comfy) as program:
            await self.look(program)
            person = await self.person(program)
            work = [self.save(program), self.save(program), self.fetch(program)]
            work += [self.write(program), self.store(program), self.run(program), self.decide(person)]
            tasks = [asyncio.ensure_future(each) for each in work]
            await until(self.has_confirmed, "a confirmed URL and a confirmed write", DEADLINE)
            await asyncio.sleep(self.dice.uniform(SOONEST, LATEST))
            os.kill(self.comfy.pid, signal.SIGKILL)
            await asyncio.to_thread(self.comfy.kill)
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(ended, (aiohttp.ClientError, ConnectionError)), ended
        self.counts["kills"] += 1
        await asyncio.to_thread(self.comfy.start)

    async def has_confirmed(self) -> bool:
        """Whether there is anything yet that a kill could lose."""
        return self.counts["saved"] > 0 and self.counts["written"] > 0

    async def look(self, program: Program) -> None:
        """Check the state after the last kill."""
        _, body = await program.get("model_urls")
        assert self.saved.items() <= body["response"]["urls"].items(), "a saved URL is gone"
        for name, data in self.models.items():
            path = self.loras / name
            if path.exists():
                assert path.read_bytes() == data, f"{name} has wrong bytes"
                self.counts["whole"] += 1
        _, body = await program.get("downloads")
        listed = body["response"]["downloads"]
        assert all(one["resumable"] or one["completed"] for one in listed), listed
        known = {name for one in listed for name in one["progress"]}
        for part in self.loras.glob(".*.uiapi-part"):
            self.counts["partial"] += 1
            assert part.name[1 : -len(".uiapi-part")] in known, f"{part.name} belongs to no listed download"
        for journal in self.loras.glob(".*.uiapi-json"):
            json.loads(journal.read_text("utf-8"))
        # The temporary file of an interrupted write is removed at the second start after it.
        assert len([*self.comfy.base.glob("user/**/.*.tmp")]) <= 2
        await self.look_at_page(program)

    async def look_at_page(self, program: Program) -> None:
        """Check the graph and the pictures that programs have written."""
        assert self.tab is not None
        assert await self.tab.wait_connected(set()) == self.tab.webui, "the tab has another id"
        fields = ["Canvas.width", "Canvas.height", "Photo.image"]
        values = await program.ok("get_fields", {"fields": fields})
        assert values["Canvas.width"] == values["Canvas.height"], "a write was done only in part"
        assert values["Canvas.width"] in self.width, "a confirmed write is lost"
        shown = (self.comfy.base / "input" / values["Photo.image"]).read_bytes()
        assert shown in self.stored, "a confirmed write of a picture is lost"
        for path in self.comfy.base.glob("input/INPUT_*"):
            assert path.read_bytes() in self.pictures, "a picture has wrong bytes"
        assert len([*self.comfy.base.glob("input/.*.tmp")]) <= 1

        async def answered() -> bool:
            return bool((await program.get("connection_status"))[1]["pending_requests"] == 0)

        # The tab reloads its lists after a finished download.
        await until(answered, "a response to every request", DEADLINE)

    async def person(self, program: Program) -> aiohttp.ClientWebSocketResponse:
        """Connect a second page, which sets rules, and check that the last rule still holds."""
        page = await program.http.ws_connect(program.url("/uiapi/ws"))
        hello = {"type": "hello", "role": "webui", "protocol": 1, "page_key": await program.page_key()}
        await page.send_json({**hello, "capabilities": ["panel"]})
        while (frame := await page.receive_json(timeout=PATIENCE)).get("event") != "panel_state":
            pass
        assert frame["data"]["rules"]["load"] in self.rule, "the person's decision is lost"
        return page

    async def decide(self, page: aiohttp.ClientWebSocketResponse) -> None:
        """Set the rule of an unused kind of command until the kill."""
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
        """Write two fields at once until the kill."""
        while True:
            width = 8 * self.dice.randrange(2, 32)
            self.width.add(width)
            await program.ok("set_fields", {"fields": [["Canvas.width", width], ["Canvas.height", width]]})
            self.width = {width}
            self.counts["written"] += 1

    async def store(self, program: Program) -> None:
        """Write pictures until the kill."""
        while True:
            data = self.dice.choice(self.pictures)
            self.stored.add(data)
            value = {"type": "image_base64", "data": base64.b64encode(data).decode()}
            await program.ok("set_fields", {"fields": [["Photo.image", value]]})
            self.stored = {data}
            self.counts["stored"] += 1

    async def run(self, program: Program) -> None:
        """Run the graph until the kill."""
        while True:
            done = await program.ok("run", {"outputs": "urls"})
            assert done["status"] == "success", done
            self.counts["run"] += 1

    async def save(self, program: Program) -> None:
        """Save URLs of models until the kill."""
        while True:
            name = f"saved{self.dice.randrange(10**6)}.safetensors"
            url = f"https://huggingface.co/a/b/resolve/main/{name}"
            status, body = await program.post("add_model_url", {"model_name": name, "url": url, "model_type": "loras"})
            assert status == 200, body
            self.saved[name] = body["model_def"]
            self.counts["saved"] += 1

    async def fetch(self, program: Program) -> None:
        """Resume interrupted downloads, start others, and sometimes cancel one, until the kill."""
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
        """Check that all models can still be downloaded completely."""
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

            await until(whole, "every model, and no other file", DEADLINE)
            await self.look(program)


def noise_picture(dice: random.Random) -> bytes:
    """Return a PNG large enough to be written in several pieces."""
    file = io.BytesIO()
    Image.frombytes("RGB", (256, 256), dice.randbytes(256 * 256 * 3)).save(file, "PNG")
    return file.getvalue()


async def kill_again_and_again(
    playwright: Playwright, times: int, seed: int = 1, report: Any = lambda text: None
) -> Counter[str]:
    """Start a ComfyUI and kill it `times` times; raises AssertionError if something was lost or half-written.

    `report` is called with the counts after every tenth kill.
    """
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
                report(f"  {dict(killing.counts)}")
        await killing.finish()
        return killing.counts


def main(times: int) -> int:
    """Kill ComfyUI `times` times with a random seed, and print the counts."""
    seed = random.SystemRandom().randrange(10**6)
    say(f"  seed {seed}")

    async def run() -> Counter[str]:
        async with async_playwright() as playwright:
            return await kill_again_and_again(playwright, times, seed, say)

    began = time.monotonic()
    counts = asyncio.run(run())
    say(f"  {dict(counts)} in {time.monotonic() - began:.0f} s")
    return 0
