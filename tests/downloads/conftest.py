"""A download service with a small ComfyUI around it: folders on disk, node classes, a person, a scripted host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.app.bridge import Bridge
from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.policy.access import Guard
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.api.lazy_loader import LazyDownloads
from comfyui_uiapi.downloads.api.service import Downloads
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.common.throttle import Backoff
from comfyui_uiapi.downloads.jobs import registry
from comfyui_uiapi.downloads.storage import url_map
from comfyui_uiapi.tests.bridge.conftest import FakePromptServer, Server, served
from comfyui_uiapi.tests.harness.models.model_host import Host

# Without it huggingface_hub asks its own host what program it is used by.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

EXTENSIONS = {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"}


class FolderPaths:
    """ComfyUI's folder_paths, as far as models go."""

    def __init__(self, base: Path) -> None:
        self.models_dir = str(base / "models")
        self.folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {
            name: ([str(base / "models" / name)], EXTENSIONS)
            for name in ("checkpoints", "loras", "vae", "controlnet", "upscale_models", "embeddings")
        }
        unet = [str(base / "models" / name) for name in ("unet", "diffusion_models")]
        clip = [str(base / "models" / name) for name in ("text_encoders", "clip")]
        self.folder_names_and_paths.update(
            diffusion_models=(unet, EXTENSIONS),
            text_encoders=(clip, EXTENSIONS),
            configs=([str(base / "models" / "configs")], {".yaml"}),
            custom_nodes=([str(base / "custom_nodes")], set()),
        )
        for paths, _ in self.folder_names_and_paths.values():
            for path in paths:
                os.makedirs(path)
        self.filename_list_cache: dict[str, Any] = {}

    def map_legacy(self, name: str) -> str:
        return {"unet": "diffusion_models", "clip": "text_encoders"}.get(name, name)

    def get_folder_paths(self, name: str) -> list[str]:
        return self.folder_names_and_paths[self.map_legacy(name)][0]

    def get_input_directory(self) -> str:
        return os.path.join(os.path.dirname(self.models_dir), "input")

    def get_filename_list(self, name: str) -> list[str]:
        paths, endings = self.folder_names_and_paths[self.map_legacy(name)]
        return sorted(
            os.path.relpath(os.path.join(where, file), root)
            for root in paths
            for where, _, files in os.walk(root, followlinks=True)
            for file in files
            if os.path.splitext(file)[1].lower() in endings
        )

    def root(self, name: str) -> Path:
        """Where new files of a folder go."""
        paths = self.folder_names_and_paths[name][0]
        return Path(next((path for path in paths if path.endswith(name)), paths[0]))

    def files(self) -> list[str]:
        """Every file below the base, leftovers of downloads included."""
        base = Path(self.models_dir).parent
        return sorted(str(path.relative_to(base)) for path in base.rglob("*") if path.is_file())


class Person:
    """The person who is asked for URLs: gives `urls`, or declines."""

    def __init__(self) -> None:
        self.urls: dict[str, str] | UiapiError = UiapiError("no_webui", "No tab is open; open ComfyUI in a browser.")
        self.asked: list[dict[str, Any]] = []
        self.thinks: asyncio.Event | None = None

    async def __call__(
        self, names: list[str], models: list[dict[str, Any]], timeout: float, program: str
    ) -> dict[str, str]:
        self.asked += models
        if self.thinks is not None:
            await self.thinks.wait()
        if isinstance(self.urls, UiapiError):
            raise self.urls
        return {name: url for name, url in self.urls.items() if name.rpartition("/")[2] in names}


class Pauses(list[float | None]):
    """Every wait between tries that was asked for; none of them is really waited."""

    def backoff(self) -> Backoff:
        waits = self

        class Noted(Backoff):
            def next_pause(self, retry_after: float | None = None) -> float | None:
                pause = super().next_pause(retry_after)
                waits.append(retry_after)
                return None if pause is None else 0.0

        return Noted()


class Service:
    """A download service with its folders and its person; records the events it publishes."""

    def __init__(
        self, base: Path, settings: Settings, person: Person, pauses: Pauses, classes: dict[str, type]
    ) -> None:
        self.folders = FolderPaths(base)
        self.state = base / "user" / "__uiapi"
        self.person = person
        self.pauses = pauses
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.refreshed = 0
        self.settings = settings
        self.classes = classes
        self.downloads = self.make()

    def make(self) -> Downloads:
        """A service over these folders; a second one stands for another ComfyUI, or for the next start."""

        async def models_changed() -> None:
            self.refreshed += 1

        return Downloads(
            folder_paths=self.folders,
            node_classes=lambda: self.classes,
            state_directory=self.state,
            ask_urls=self.person,
            publish=lambda event, data: self.events.append((event, data)),
            models_changed=models_changed,
            settings=self.settings,
            backoff=self.pauses.backoff,
        )

    async def fetch(self, name: str, url: str | dict[str, Any], **how: Any) -> dict[str, Any]:
        """Fetch one model into checkpoints and answer its progress when it has ended."""
        definition = {"url": url} if isinstance(url, str) else url
        run = await self.downloads.fetch_one(name, definition, **how)
        await self.ended(run)
        return run.items[0].to_dict()

    async def ended(self, run: Any) -> dict[str, Any]:
        """Wait for a download's end."""
        if run.task is not None:
            await asyncio.wait_for(asyncio.wait({run.task}), 240)
        entry: dict[str, Any] = run.to_dict()
        return entry

    def everything(self) -> list[Path]:
        """Every file and folder below the base."""
        return sorted(Path(self.folders.models_dir).parent.rglob("*"))

    def path(self, name: str, folder: str = "checkpoints") -> Path:
        return self.folders.root(folder) / name


@pytest.fixture(autouse=True)
def fresh_register() -> Iterator[None]:
    """The register and the map's place are of the process; every test starts with neither."""
    registry.download_tasks.clear()
    registry.pending_downloads.clear()
    kept = url_map.path
    yield
    url_map.path = kept
    registry.download_tasks.clear()
    registry.pending_downloads.clear()


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    """A host that the settings allow."""
    host = await Host().start()
    yield host
    await host.close()


@pytest.fixture
async def other_host() -> AsyncIterator[Host]:
    """A host that is not allowed."""
    host = await Host().start()
    yield host
    await host.close()


@pytest.fixture
def person() -> Person:
    return Person()


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def settings(host: Host) -> Settings:
    """The operator's settings; a test may override them."""
    return Settings(allowed_hosts=(host.authority,))


@pytest.fixture
def classes() -> dict[str, type]:
    """ComfyUI's node classes; a test may override them."""
    return {}


@pytest.fixture
async def service(
    tmp_path: Path, settings: Settings, person: Person, pauses: Pauses, classes: dict[str, type]
) -> AsyncIterator[Service]:
    """A running download service."""
    service = Service(tmp_path, settings, person, pauses, classes)
    url_map.use_directory(service.state)
    await service.downloads.start()
    yield service
    await service.downloads.close()


@pytest.fixture
def guard() -> Guard:
    """Loopback without a token; a test may override it."""
    return Guard(beyond_loopback=False)


@pytest.fixture
async def server(tmp_path: Path, host: Host, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A served bridge with a download service."""
    monkeypatch.setenv("UIAPI_ALLOWED_HOSTS", host.authority)
    folders = FolderPaths(tmp_path)
    folders.get_user_directory = lambda: str(tmp_path / "user")  # type: ignore[attr-defined]
    prompt_server = FakePromptServer()
    bridge = Bridge(Comfy(prompt_server, folders), guard)
    bridge.downloads = LazyDownloads(bridge)
    async with served(prompt_server, bridge, folders) as server:
        yield server


def received(run: Any, at: int = 0) -> int:
    """How many bytes of a model of a download are on the disk; some that its host has sent are still on their way."""
    fetch = run.items[at].fetch
    return 0 if fetch is None else int(fetch.progress.bytes)


async def finished(server: Server, download_id: str) -> dict[str, Any]:
    """The status once it says completed, as a program polls it."""

    async def poll() -> dict[str, Any]:
        while True:
            status, body = await server.get(f"download_status/{download_id}")
            assert status == 200
            if body["completed"]:
                return body
            await asyncio.sleep(0.02)

    return await asyncio.wait_for(poll(), 240)
