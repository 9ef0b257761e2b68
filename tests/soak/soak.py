"""The soak test: twenty programs, three tabs that reload at random, and downloads that fail at random.

Meanwhile ComfyUI's memory, tasks, file descriptors and this package's registries are sampled. After the warm-up none
of them may grow by more than ALLOWED: memory while there is work, the counts while all programs and tabs rest, since
under load there are as many tasks as requests in progress. When all programs and tabs have left, tasks, descriptors and
registries must be where they were before.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from playwright.async_api import Playwright, async_playwright

from ..harness.browser.tab import Chromium, Tab, until
from ..harness.comfy.process import ComfyProcess
from ..harness.comfy.workflows import picture
from ..harness.models.model_host import Host, model_bytes
from ..harness.programs.program import PATIENCE, Program
from ..tools.steps import Stop, say
from . import chart

PROBE = Path(__file__).with_name("probe.py")
PROGRAMS, TABS = 20, 3
# Programs that download, and programs that use the websocket; the others use HTTP.
DOWNLOADERS, TALKERS = 3, 8
# Seconds between samples, and the share of the time that is warm-up.
INTERVAL, WARM_UP = 1.0, 1 / 3
# By how much each series may grow: MB from the middle to the last third, and counts from the first rest to the last.
ALLOWED = {"memory": 32.0, "tasks": 15.0, "descriptors": 10.0, "registries": 5.0}
# Seconds for which finished downloads are remembered.
AGE = 4
PROBED = f"/soak_probe?age={AGE}"
# Entries that are kept for a while by design, so that their number depends on the programs. That they are removed is
# checked at the end.
REMEMBERED = frozenset({"download entries", "download runs"})
# Error codes that are expected while tabs reload and hosts fail. Any other is a defect.
EXPECTED = frozenset(
    "no_webui unknown_webui client_disconnected timeout unknown_path ambiguous_path tab_changed revision_changed "
    "cancelled conflict gone_at_source source_failed size_mismatch not_at_source rate_limited unknown_download "
    "not_a_model "
    "execution_interrupted".split()
)
# What ComfyUI's log must not contain afterwards.
SIGNS = (
    *("was destroyed", "never retrieved", "never awaited", "Unclosed", "failed inside", "Task exception"),
    "Traceback",
)
SIZE = 1 << 20
# The commands that programs send, and how often each has to succeed; otherwise little was tested. Where tabs take long
# to load, the soak is extended for it, by at most 2 * PATIENCE seconds.
COMMANDS = ("get_fields", "set_fields", "query_fields", "get_workflow", "load_workflow", "download_model")
ENOUGH = 5


@dataclass
class Soak:
    """The samples and answers of a soak.

    Attributes:
        times: seconds since the beginning for each sample.
        series: the sampled values by name.
        rests: the counts while all rested, at the end of the warm-up and at the end.
        held: each registry's size in the last sample.
        answers: how often each error code was returned; "ok" for success.
        succeeded: how often each command succeeded.
        left: how many more tasks, descriptors and registry entries ComfyUI had at the end than before.
    """

    times: list[float] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ALLOWED})
    rests: list[dict[str, float]] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    left: dict[str, int] = field(default_factory=dict)
    log: str = ""

    def is_enough(self) -> bool:
        """Whether each command has succeeded often enough."""
        return all(self.succeeded[command] >= ENOUGH for command in COMMANDS)

    def grown(self, name: str) -> float:
        """Return by how much a series grew, as ALLOWED has it."""
        if name != "memory":
            return self.rests[-1][name] - self.rests[0][name]
        values = self.series[name]
        third = len(values) // 3
        return median(values[-third:]) - median(values[-2 * third : -third])

    def faults(self) -> list[str]:
        """Return a description of each fault; empty if the soak passed."""
        found = [
            f"{name} grew by {self.grown(name):.1f}, more than {most:g}"
            for name, most in ALLOWED.items()
            if self.grown(name) > most
        ]
        found += [f"{count} more {name} at rest than before" for name, count in self.left.items() if count > 0]
        found += [f"{code} was answered {self.answers[code]} times" for code in self.answers.keys() - EXPECTED - {"ok"}]
        rare = [command for command in COMMANDS if self.succeeded[command] < ENOUGH]
        found += [f"{command} succeeded {self.succeeded[command]} times" for command in rare]
        return found + [f"the log holds {sign!r}" for sign in SIGNS if sign in self.log]

    def draw(self, path: Path) -> None:
        """Write the samples as a PNG."""
        chart.draw(self.times, self.series, self.times[-1] * WARM_UP, path)


def main(minutes: float, path: Path) -> int:
    """Run the soak, draw and print its result, and return 1 if it found a fault."""

    async def run() -> Soak:
        async with async_playwright() as playwright:
            return await soak(playwright, minutes)

    result = asyncio.run(run())
    result.draw(path)
    for name, values in result.series.items():
        change = f"grew by {result.grown(name):+.1f}"
        say(f"  {name}: {values[0]:.0f} at first, {values[-1]:.0f} at last, {change}")
    say(f"  succeeded: {dict(result.succeeded)}")
    say(f"  answers: {', '.join(f'{count} {code}' for code, count in result.answers.most_common())}")
    say(f"  held at last: {result.held}")
    say(f"  more at rest than before: {result.left}")
    say(f"  drawn to {path}")
    faults = result.faults()
    for fault in faults:
        say(f"  {fault}")
    return 1 if faults else 0


async def soak(playwright: Playwright, minutes: float, seed: int = 1) -> Soak:
    """Start a ComfyUI and soak it for `minutes`."""
    if sys.platform != "linux":
        raise Stop("The soak reads /proc, which this system does not have; run it on Linux.")
    result = Soak()
    async with AsyncExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        host = await Host().start()
        stack.push_async_callback(host.close)
        comfy = ComfyProcess(base / "comfy", env={"UIAPI_ALLOWED_HOSTS": host.authority, "MALLOC_ARENA_MAX": "2"})
        shutil.copy(PROBE, comfy.base / "custom_nodes")
        stack.enter_context(comfy)
        chromium = await Chromium(base / "chromium").start(playwright)
        stack.callback(chromium.kill)
        before = await warm(comfy, host)
        tabs = [await chromium.open(comfy) for _ in range(TABS)]
        crowd = Crowd(PROGRAMS + TABS)
        players = [
            Player(comfy, host, random.Random(seed + number), result, crowd)  # noqa: S311
            for number in range(PROGRAMS)
        ]
        kinds = [Player.download] * DOWNLOADERS + [Player.talk] * TALKERS
        kinds += [Player.ask] * (PROGRAMS - len(kinds))
        work = [kind(player) for kind, player in zip(kinds, players, strict=True)]
        work += [reload(tab, random.Random(-number), crowd) for number, tab in enumerate(tabs)]  # noqa: S311
        await asyncio.gather(sample(comfy, 60 * minutes, crowd, result), *work)
        chromium.kill()
        result.left = await left(comfy, before)
        result.log = comfy.log_text()
    return result


async def warm(comfy: ComfyProcess, host: Host) -> dict[str, int]:
    """Use everything once that is created at first use, and return the counts at rest."""
    host.offer("/first.safetensors", model_bytes(SIZE, 2))
    async with Program(comfy) as program:
        await (await program.socket()).request("subscribe")
        _, envelope = await program.post("download_model", host.wanted("first.safetensors", "checkpoints"))
        assert envelope["status"] == "success", envelope
    return await left(comfy, {})


async def left(comfy: ComfyProcess, before: dict[str, int]) -> dict[str, int]:
    """Return how much each count exceeds `before`, once nothing does or after PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while True:
        # The request removes old entries.
        await asyncio.to_thread(comfy.get, "/uiapi/downloads")
        seen = await asyncio.to_thread(comfy.get, PROBED, 60)
        counts = {"tasks": seen["tasks"], "descriptors": seen["descriptors"], **seen["held"]}
        more = {name: count - before.get(name, 0) for name, count in counts.items()}
        quiet = not any(seen["held"][name] for name in ("tabs", "connections", "download entries"))
        if (quiet and (not before or all(count <= 0 for count in more.values()))) or time.monotonic() > end:
            return more
        await asyncio.sleep(INTERVAL)


class Crowd:
    """Programs and tabs, which can be made to rest.

    Attributes:
        resting: how many of them wait to go on.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.resting = 0
        self._over = False
        self._go = asyncio.Event()
        self._go.set()

    def is_over(self) -> bool:
        """Whether they should leave."""
        return self._over

    def end(self) -> None:
        """Let them leave."""
        self._over = True

    async def pause(self, seconds: float) -> None:
        """Wait between two requests, as long as all have to rest or at least `seconds`."""
        await asyncio.sleep(seconds)
        self.resting += 1
        await self._go.wait()
        self.resting -= 1

    @asynccontextmanager
    async def rest(self) -> AsyncIterator[None]:
        """Have all of them rest."""
        self._go.clear()

        async def all_rest() -> bool:
            return self.resting == self.size

        await until(all_rest, "the end of every request", 2 * PATIENCE)
        try:
            yield
        finally:
            self._go.set()


async def probe(comfy: ComfyProcess, result: Soak) -> dict[str, float]:
    """Return a value for each series."""
    seen: dict[str, Any] = await asyncio.to_thread(comfy.get, PROBED, 60)
    result.held = seen["held"]
    seen["registries"] = sum(count for name, count in seen["held"].items() if name not in REMEMBERED)
    return {name: seen[name] for name in ALLOWED}


async def sample(comfy: ComfyProcess, seconds: float, crowd: Crowd, result: Soak) -> None:
    """Sample ComfyUI every INTERVAL seconds and at both rests, and let the crowd leave at the end."""
    began = time.monotonic()

    def is_over(end: float) -> bool:
        more = 2 * PATIENCE if end == seconds and not result.is_enough() else 0
        return time.monotonic() - began >= end + more

    for end in (seconds * WARM_UP, seconds):
        while not is_over(end):
            values = await probe(comfy, result)
            result.times.append(time.monotonic() - began)
            for name, series in result.series.items():
                series.append(values[name])
            await asyncio.sleep(INTERVAL)
        async with crowd.rest():
            result.rests.append(await settled(comfy, result))
            if end == seconds:
                crowd.end()


async def settled(comfy: ComfyProcess, result: Soak) -> dict[str, float]:
    """Return the counts at rest, once they have not grown more than ALLOWED or after PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while True:
        values = await probe(comfy, result)
        before = result.rests[0] if result.rests else values
        quiet = result.held["pending"] == 0 and all(values[name] <= before[name] + ALLOWED[name] for name in values)
        if quiet or time.monotonic() > end:
            return values
        await asyncio.sleep(INTERVAL)


async def reload(tab: Tab, dice: random.Random, crowd: Crowd) -> None:
    """Reload the page at random intervals."""
    while not crowd.is_over():
        await crowd.pause(dice.uniform(3, 12))
        await tab.load(clear=False, connected=False)


class Player:
    """One program, which sends random requests."""

    def __init__(self, comfy: ComfyProcess, host: Host, dice: random.Random, result: Soak, crowd: Crowd) -> None:
        self.comfy = comfy
        self.host = host
        self.dice = dice
        self.result = result
        self.crowd = crowd

    def _draw(self) -> tuple[str, dict[str, Any]]:
        choices: list[tuple[str, dict[str, Any]]] = [
            ("get_fields", {"fields": ["Canvas.width"]}),
            ("set_fields", {"fields": [["Canvas.width", 8 * self.dice.randint(2, 8)]]}),
            ("query_fields", {}),
            ("get_workflow", {}),
            ("load_workflow", {"workflow": picture(width=16, height=16)}),
            ("get_fields", {"fields": ["Canvas.width"], "wait_for_webui": True, "timeout": 5}),
            ("get_fields", {"fields": ["Canvas.width"], "timeout": 0.001}),
            ("set_fields", {"fields": [["Canvas.width", 16]], "idempotency_key": str(self.dice.randint(1, 50))}),
        ]
        return self.dice.choice(choices)

    def _count(self, command: str, envelope: dict[str, Any]) -> None:
        done = envelope["status"] in ("ok", "success")
        self.result.succeeded[command] += done
        self.result.answers["ok" if done else envelope.get("code", str(envelope))] += 1

    async def _pause(self) -> None:
        await self.crowd.pause(self.dice.uniform(0.1, 0.4))

    async def ask(self) -> None:
        """Send requests over HTTP and sometimes disconnect before the answer."""
        async with Program(self.comfy) as program:
            while not self.crowd.is_over():
                command, body = self._draw()
                patience = 0.002 if self.dice.random() < 0.1 else 60
                try:
                    _, envelope = await asyncio.wait_for(program.post(command, body), patience)
                    self._count(command, envelope)
                except asyncio.TimeoutError:
                    if patience == 60:
                        self.result.answers["hung"] += 1
                await self._pause()

    async def talk(self) -> None:
        """Send requests over the websocket with all events, and close it with requests in progress."""
        async with Program(self.comfy) as program:
            while not self.crowd.is_over():
                socket = await program.socket()
                await socket.request("subscribe")
                for _ in range(self.dice.randint(5, 40)):
                    command, data = self._draw()
                    self._count(command, await socket.request(command, data))
                    await self._pause()
                    if self.crowd.is_over():
                        break
                for number in range(3):
                    command, data = self._draw()
                    await socket.ws.send_json({"type": "request", "id": number, "command": command, "data": data})
                await socket.close()

    async def download(self) -> None:
        """Download models from a host that cuts, refuses, sends pages or is slow at random; cancel some."""
        async with Program(self.comfy) as program:
            while not self.crowd.is_over():
                name = f"{self.dice.randrange(10**9)}.safetensors"
                self._offer(name)
                model = {"url": self.host.url(f"/{name}"), "ckpt_type": "checkpoints"}
                asking = program.post("download_model", {"model_name": name, "model_def": model})
                patience = self.dice.choice([0.2, 60, 60, 60])
                try:
                    _, envelope = await asyncio.wait_for(asking, patience)
                    self._count("download_model", envelope)
                except asyncio.TimeoutError:
                    # Disconnected, which cancels the download; only the short timeout is intended.
                    if patience == 60:
                        self.result.answers["hung"] += 1
                for left in (self.comfy.base / "models" / "checkpoints").glob(f"*{name}"):
                    left.unlink()
                del self.host.answers[f"/{name}"]
                self.host.seen.clear()
                # The request removes old entries.
                await program.get("download_status/none")
                await self._pause()

    def _offer(self, name: str) -> None:
        answer = self.host.offer(f"/{name}", model_bytes(SIZE))
        kind = self.dice.randrange(7)
        if kind == 0:
            answer.cuts = [self.dice.randrange(SIZE) for _ in range(2)]
        elif kind == 1:
            answer.refusals = [(503, {"Retry-After": "0"})]
        elif kind == 2:
            answer.status = self.dice.choice([404, 410])
        elif kind == 3:
            answer.content_type, answer.data = "text/html", b"<html>"
        elif kind == 4:
            answer.rate = 1e6
        elif kind == 5:
            answer.ranges = False
