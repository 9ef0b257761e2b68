"""Scripted tabs on the websocket of a real ComfyUI, which answer late, twice, wrongly or not at all."""

from __future__ import annotations

from typing import Any

from comfyui_uiapi.tests.bridge.conftest import FakeTab
from comfyui_uiapi.tests.harness.browser.tab import until
from comfyui_uiapi.tests.harness.programs.program import MAX_FRAME, PATIENCE, Program


class ScriptedTabs:
    """Opens and closes scripted tabs of a program's ComfyUI."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._tabs: list[FakeTab] = []

    async def __call__(self, **hello: Any) -> FakeTab:
        """Connect a tab; `hello` is added to its hello frame."""
        ws = await self._program.http.ws_connect(self._program.url("/uiapi/ws"), max_msg_size=MAX_FRAME)
        key = await self._program.page_key()
        await ws.send_json({"type": "hello", "role": "webui", "protocol": 1, "page_key": key, **hello})
        tab = FakeTab(ws)
        tab.welcome = await ws.receive_json(timeout=PATIENCE)
        assert tab.welcome["type"] == "welcome", tab.welcome
        tab.start()
        self._tabs.append(tab)
        return tab

    async def close(self) -> None:
        """Close all tabs and wait until the server lists none."""
        for tab in self._tabs:
            await tab.close()

        async def gone() -> bool:
            return not (await self._program.get("webuis"))[1]["response"]

        await until(gone, "no tab", PATIENCE)


async def until_pending(program: Program, tab: FakeTab, count: int) -> None:
    """Wait until so many requests wait for this tab; for a moment `refresh_models` may be another, which it answers."""

    async def pending() -> bool:
        status = (await program.get(f"connection_status?client_id={tab.client_id}"))[1]
        return bool(status["pending_requests"] == count)

    await until(pending, f"{count} pending requests", PATIENCE)
