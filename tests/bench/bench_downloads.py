"""Download times compared with curl and aria2c, and ComfyUI's latency and memory during downloads."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from playwright.async_api import Playwright

from ..harness.comfy.process import ComfyProcess
from ..tools import build
from .runner import Row, percentile, ratio
from .support.nginx import Nginx, tool

BIG, LONG, LIMITED = 2_000_000_000, 5_000_000_000, 800_000_000
SEGMENTS = 8
# Number of files, their size in bytes, and how many are downloaded at a time (the maximum of UIAPI_MAX_DOWNLOADS).
MANY, EACH, AT_A_TIME = 100, 10_000_000, 32
ROUNDS = 3
# Megabytes per second of each connection to the slow server.
RATE = 20
# Seconds between two measured requests.
INTERVAL = 0.005


async def measure(_: Playwright) -> list[Row]:
    """All rows; ComfyUI downloads on a program's request."""
    for program in ("nginx", "curl"):
        tool(program)
    return await asyncio.to_thread(_measure)


def _measure() -> list[Row]:
    with (
        tempfile.TemporaryDirectory(dir=build.STACK, prefix="bench-") as folder,
        Nginx(Path(folder) / "nginx", f"{RATE}m") as nginx,
        ComfyProcess(Path(folder) / "comfy", env={"UIAPI_ALLOWED_HOSTS": nginx.authorities}) as comfy,
    ):
        bench = Bench(nginx, comfy, Path(folder))
        rows = [*bench.full_speed(), *bench.disturbance()]
        comfy.env["UIAPI_SEGMENTS"] = str(SEGMENTS)
        comfy.restart()
        rows += bench.limited()
        comfy.env["UIAPI_MAX_DOWNLOADS"] = str(AT_A_TIME)
        comfy.restart()
        return rows + bench.many()


class Bench:
    """The measurements over one nginx and one ComfyUI."""

    def __init__(self, nginx: Nginx, comfy: ComfyProcess, folder: Path) -> None:
        self.nginx = nginx
        self.comfy = comfy
        self.folder = folder

    def full_speed(self) -> list[Row]:
        """2 GB, verified, with each tool in turn, so that other load on the machine affects all."""
        path = self.nginx.make("big.safetensors", BIG)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        url = self.nginx.url("big.safetensors")
        ours, curl, aria2c = [], [], []
        for _ in range(ROUNDS):
            curl.append(self.with_curl(url))
            ours.append(self.with_ours(url, sha256))
            aria2c.append(self.with_aria2c(url))
        rows = [ratio("2 GB with SHA256 / curl -o", median(ours), median(curl), 1.1, unit="s")]
        return [*rows, Row("2 GB with aria2c", median(aria2c), "s")] if all(aria2c) else rows

    def limited(self) -> list[Row]:
        """A host that limits each connection to 20 MB/s."""
        self.nginx.make("limited.safetensors", LIMITED)
        url = self.nginx.url("limited.safetensors", slow=True)
        curl = self.with_curl(url)
        ours = self.with_ours(url)
        speed = f"from {RATE} MB/s a connection, {SEGMENTS} segments, curl / ours"
        rows = [ratio(speed, curl, ours, 7.0, unit="s", at_least=True)]
        aria2c = self.with_aria2c(url)
        return [*rows, Row("the same with aria2c", aria2c, "s")] if aria2c else rows

    def many(self) -> list[Row]:
        """A hundred models requested at once."""
        names = [f"many{number}.safetensors" for number in range(MANY)]
        for name in names:
            self.nginx.make(name, EACH)
        urls = [self.nginx.url(name) for name in names]
        outputs = [word for url in urls for word in ("-o", str(self.folder / (url.rpartition("/")[2] + ".bin")), url)]
        at_once = ["--parallel", "--parallel-max", str(AT_A_TIME)]
        curl = self.run(["curl", "--no-progress-meter", "--fail", *at_once, *outputs])
        began = time.perf_counter()
        started = self.post("download_models", {"workflow": workflow(*urls)})
        status = f"/uiapi/download_status/{started['download_id']}"
        busy = self.latencies(until=lambda asked: asked % 5 == 0 and bool(self.comfy.get(status)["completed"]))
        ours = time.perf_counter() - began
        state = self.comfy.get(status)
        assert state["status"] == "completed", state
        compared = f"{len(busy)} asked, max {max(busy):.2f} ms"
        return [
            ratio(f"{MANY} files of {EACH // 10**6} MB / curl --parallel-max {AT_A_TIME}", ours, curl, None, unit="s"),
            Row(f"connection_status while {MANY} download, p99", percentile(busy, 99), "ms", compared=compared),
        ]

    def disturbance(self) -> list[Row]:
        """5 GB at full speed while connection_status is requested."""
        self.nginx.make("long.safetensors", LONG, sparse=True)
        # Files of earlier measurements are still being written to the disk.
        os.sync()
        idle = self.latencies(until=lambda asked: asked > 400)
        during_curl = self.latencies_during_curl(self.nginx.url("long.safetensors"))
        os.sync()
        before = self.resident()
        began = self.post("download_models", {"workflow": workflow(self.nginx.url("long.safetensors"))})
        status = f"/uiapi/download_status/{began['download_id']}"
        peak = [before]

        def ended(asked: int) -> bool:
            if asked % 20:
                return False
            peak[0] = max(peak[0], self.resident())
            return bool(self.comfy.get(status)["completed"])

        busy = self.latencies(until=ended)
        state = self.comfy.get(status)
        assert state["status"] == "completed", state
        idle_figures = f"idle: p99 {percentile(idle, 99):.2f} ms, max {max(idle):.2f} ms"
        curl_figures = f"while curl downloads: p99 {percentile(during_curl, 99):.2f} ms, max {max(during_curl):.2f} ms"
        return [
            Row("connection_status while downloading, p50", percentile(busy, 50), "ms", compared=f"{len(busy)} asked"),
            Row("connection_status while downloading, p99", percentile(busy, 99), "ms", 10.0, compared=idle_figures),
            Row("connection_status while downloading, max", max(busy), "ms", 50.0, compared=curl_figures),
            Row("memory grown by 5 GB", (peak[0] - before) / 2**20, "MB", 64.0),
        ]

    # -- each way -----------------------------------------------------------------------------------------

    def with_ours(self, url: str, sha256: str | None = None) -> float:
        name = "fetched.safetensors"
        model = {"url": url, "ckpt_type": "checkpoints"} | ({"sha256": sha256} if sha256 else {})
        began = time.perf_counter()
        answer = self.post("download_model", {"model_name": name, "model_def": model})
        took = time.perf_counter() - began
        assert answer["status"] == "success", answer
        (self.comfy.base / "models" / "checkpoints" / name).unlink()
        return took

    def with_curl(self, url: str) -> float:
        return self.run(["curl", "--silent", "--fail", "-o", str(self.folder / "curl.bin"), url])

    def with_aria2c(self, url: str) -> float:
        if shutil.which("aria2c") is None:
            return 0.0
        split = ["-x", str(SEGMENTS), "-s", str(SEGMENTS), "-k", "1M"]
        return self.run(["aria2c", "--quiet", *split, "-d", str(self.folder), "-o", "aria2c.bin", url])

    def run(self, command: list[str]) -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True)  # noqa: S603 - programs of this measurement
        took = time.perf_counter() - began
        for path in self.folder.glob("*.bin"):
            path.unlink()
        return took

    def post(self, command: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.comfy.post(f"/uiapi/{command}", body, timeout=600)
        return answer

    # -- what it does to ComfyUI --------------------------------------------------------------------------

    def latencies(self, until: Any) -> list[float]:
        """Return the milliseconds of consecutive requests on one connection, until `until(count)` is true."""
        connection = http.client.HTTPConnection("127.0.0.1", self.comfy.port, timeout=30)
        took: list[float] = []
        while not until(len(took)):
            began = time.perf_counter()
            connection.request("GET", "/uiapi/connection_status")
            connection.getresponse().read()
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(INTERVAL)
        connection.close()
        return took

    def latencies_during_curl(self, url: str) -> list[float]:
        """Return the latencies while curl downloads, as the floor for this machine."""
        with subprocess.Popen(["curl", "--silent", "-o", str(self.folder / "curl.bin"), url]) as curl:  # noqa: S603, S607
            took = self.latencies(until=lambda _: curl.poll() is not None)
        (self.folder / "curl.bin").unlink()
        return took

    def resident(self) -> int:
        """Return ComfyUI's resident memory in bytes."""
        for line in Path(f"/proc/{self.comfy.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("this system does not report a process's memory")


def workflow(*urls: str) -> dict[str, Any]:
    """Return a workflow that needs the models at these URLs."""
    nodes = []
    for number, url in enumerate(urls, 1):
        model = {"name": url.rpartition("/")[2], "directory": "checkpoints", "url": url}
        node = {"id": number, "type": "CheckpointLoaderSimple", "widgets_values": [model["name"]]}
        nodes.append(node | {"properties": {"models": [model]}})
    return {"nodes": nodes, "links": []}
