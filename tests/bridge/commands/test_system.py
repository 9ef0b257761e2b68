"""Tests of the commands about the running ComfyUI."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from comfyui_uiapi.bridge.policy.rules import Rule
from comfyui_uiapi.bridge.protocol.command_spec import Kind


class Memory:
    """The parts of ComfyUI's memory management that are read."""

    torch = SimpleNamespace(device=lambda name: name)

    def get_torch_device(self) -> Any:
        return SimpleNamespace(type="cuda", index=0)

    def get_torch_device_name(self, device: Any) -> str:
        return "cuda:0 Test"

    def get_total_memory(self, device: Any) -> float:
        return 16e9 if device == "cpu" else 8e9

    def get_free_memory(self, device: Any) -> float:
        return 4e9 if device == "cpu" else 2e9


class Flags:
    """The flags of ComfyUI's queue; the executor takes them when a test says so."""

    def __init__(self, queue: Any) -> None:
        self.flags: dict[str, bool] = {}
        self.asked: list[str] = []
        self.looks = 0
        # How many looks it takes until the executor takes a flag.
        self.after = 1
        # How many times a flag may be set while the executor is busy, and does not notice.
        self.overlooked = 0
        queue.set_flag, queue.get_flags = self.set, self.get

    def set(self, name: str, value: bool) -> None:
        if name not in self.asked:
            self.asked.append(name)
        if name == "uiapi_done":
            self.overlooked -= 1
        if name not in self.flags:
            self.looks = 0
        self.flags[name] = value

    def get(self, reset: bool = True) -> dict[str, bool]:
        assert not reset, "only the executor takes the flags"
        self.looks += 1
        if self.looks > self.after and ("uiapi_done" not in self.flags or self.overlooked < 0):
            self.flags.clear()
        return dict(self.flags)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "comfy.model_management", Memory())


@pytest.mark.usefixtures("memory")
async def test_system_reports_versions_memory_and_the_queue(server: Any, executor: Any) -> None:
    executor.put("p1")
    status, answer = await server.get("system")
    assert status == 200
    found = answer["response"]
    assert found["python_version"].startswith(f"{sys.version_info[0]}.")
    assert found["devices"] == [
        {"name": "cuda:0 Test", "type": "cuda", "index": 0, "vram_total": 8_000_000_000, "vram_free": 2_000_000_000}
    ]
    assert (found["ram_total"], found["ram_free"]) == (16_000_000_000, 4_000_000_000)
    assert (found["queue_running"], found["queue_waiting"]) == (0, 1)
    assert "argv" not in str(answer)


async def test_system_names_the_frontend_that_the_main_tab_shows(server: Any) -> None:
    await server.tab(info={"frontend_version": "1.99.0"})
    _, answer = await server.get("system")
    assert answer["response"]["frontend_version"] == "1.99.0"


async def test_free_memory_answers_when_the_executor_is_done(server: Any) -> None:
    flags = Flags(server.comfy.prompt_queue)
    _, answer = await server.post("free_memory")
    assert answer["response"]["freed"] is True
    assert answer["response"]["after"] == []
    # The last one is taken only after the work of those before.
    assert flags.asked == ["unload_models", "free_memory", "uiapi_done"]
    assert flags.flags == {}


async def test_a_flag_that_the_busy_executor_overlooks_is_set_again(server: Any) -> None:
    flags = Flags(server.comfy.prompt_queue)
    flags.overlooked = 2
    status, answer = await server.post("free_memory", {"timeout": 60})
    assert status == 200 and answer["response"]["freed"] is True and flags.flags == {}


async def test_free_memory_can_keep_the_cache(server: Any) -> None:
    flags = Flags(server.comfy.prompt_queue)
    _, answer = await server.post("free_memory", {"cache": False})
    assert flags.asked == ["unload_models", "uiapi_done"]
    assert answer["response"]["message"] == "Unloaded all models."


async def test_free_memory_says_if_it_comes_after_the_running_prompt(server: Any) -> None:
    flags = Flags(server.comfy.prompt_queue)
    flags.after = sys.maxsize
    server.comfy.prompt_queue.running.append((1, "p1", {}, {}, []))
    _, answer = await server.post("free_memory")
    assert answer["response"]["freed"] is False
    assert answer["response"]["after"] == ["p1"]
    assert "running prompt" in answer["response"]["message"]
    assert set(flags.flags) == {"unload_models", "free_memory"}


async def test_an_executor_that_hangs_is_an_error(server: Any) -> None:
    flags = Flags(server.comfy.prompt_queue)
    flags.after = sys.maxsize
    status, answer = await asyncio.wait_for(server.post("free_memory", {"timeout": 0.1}), 60)
    assert (status, answer["code"]) == (504, "timeout")


async def test_logs_returns_the_last_lines(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UIAPI_TEST_TOKEN", "swordfish42")
    entries = [{"t": "12:00", "m": f"line {at}, swordfish42\n"} for at in range(5)]
    monkeypatch.setitem(sys.modules, "app.logger", SimpleNamespace(get_logs=lambda: entries))
    status, answer = await server.post("logs", {"lines": 2})
    assert status == 200
    assert answer["response"]["lines"] == [{"time": "12:00", "text": f"line {at}, …"} for at in (3, 4)]
    assert answer["response"]["total"] == 5


@pytest.mark.usefixtures("person")
async def test_the_rule_on_reading_holds_for_the_log(server: Any) -> None:
    await server.bridge.approvals.decide(rules={Kind.READ: Rule.REFUSE})
    _, answer = await server.post("logs")
    assert answer["code"] == "refused_by_person"
