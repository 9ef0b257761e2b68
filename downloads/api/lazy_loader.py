"""Creates the download service when ComfyUI starts to serve, so that importing the extension stays fast."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...bridge.app.bridge import Bridge
from ...bridge.comfyui.input_files import Fetched
from ...bridge.protocol.command_spec import COMMANDS, GRAPH_TIMEOUT
from ...common.errors import UiapiError
from ..jobs import registry
from ..storage import url_map

if TYPE_CHECKING:
    from .service import Downloads

log = logging.getLogger("uiapi")


def given_by(answer: Mapping[str, Any]) -> dict[str, str | dict[str, Any]]:
    """The URLs in the page's answer to get_model_url by name, each with its directory if the person chose one."""
    urls, directories = answer.get("urls"), answer.get("directories")
    folders = directories if isinstance(directories, dict) else {}
    return {
        name: {"url": url, "directory": folders[name]} if folders.get(name) else url
        for name, url in (urls if isinstance(urls, dict) else {}).items()
        if url
    }


class LazyDownloads:
    """Holds the download service, which `start` imports and creates.

    ComfyUI imports its extensions one after the other before it serves, so slow imports are put off until then.

    Args:
        bridge: starts and closes it.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._service: Downloads | None = None
        url_map.use_directory(bridge.comfy.state_directory())

    @property
    def service(self) -> Downloads:
        """The download service. UiapiError `shutting_down` before `start`."""
        if self._service is None:
            raise UiapiError("shutting_down", "ComfyUI is not ready for downloads; try again in a moment.")
        return self._service

    def counts(self) -> tuple[int, int]:
        """The numbers of downloads in progress and of those waiting for the person; expired ones are removed."""
        return registry.counts()

    async def start(self) -> None:
        """Create the service, and load downloads left unfinished when ComfyUI last stopped."""
        try:
            module = await asyncio.to_thread(importlib.import_module, ".service", __package__)
        except ImportError as error:
            # ComfyUI must start regardless.
            log.error("Models cannot be downloaded: %s; install the packages in requirements.txt.", error)
            return
        bridge = self._bridge
        service: Downloads = module.Downloads(
            folder_paths=bridge.comfy.folder_paths,
            node_classes=lambda: bridge.comfy.node_classes,
            state_directory=bridge.comfy.state_directory(),
            ask_urls=self._ask_urls,
            publish=bridge.publish,
            models_changed=self._models_changed,
        )
        await service.start()
        self._service = service

    async def fetch_input(self, url: str, target: Path) -> Fetched:
        """Download a file that a program names as the value of a field. UiapiError as for any download."""
        return await self.service.fetch_input(url, target)

    def pause_of(self, program: str) -> None:
        """Pause the downloads of a program, so that the person can resume them."""
        if self._service is not None:
            self._service.pause_of(program)

    async def close(self) -> None:
        """Stop every transfer; it can be resumed later."""
        if self._service is not None:
            await self._service.close()

    async def _ask_urls(
        self, names: list[str], models: list[dict[str, Any]], timeout: float, program: str
    ) -> Mapping[str, str | Mapping[str, Any]]:
        tab = self._bridge.webuis.find()
        answer = await tab.request("get_model_url", {"ckpt_names": names, "models": models}, timeout, program)
        return given_by(COMMANDS["get_model_url"].check_answer(answer))

    async def _models_changed(self) -> None:
        tabs = self._bridge.webuis.connected()
        asked = (tab.request("refresh_models", {}, GRAPH_TIMEOUT) for tab in tabs)
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException):
                log.info("A tab did not reload its file lists: %r", str(answer))
