"""Limits: bandwidth, connections, files at a time, pauses between retries, and the settings for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.downloads.common import throttle
from comfyui_uiapi.downloads.common.credentials import Secret, redact, without_token
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.common.throttle import Backoff, Bandwidth, retry_after
from comfyui_uiapi.downloads.transfer import http_client, turns
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from yarl import URL

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0

        async def sleep(seconds: float) -> None:
            self.now += seconds

        monkeypatch.setattr(asyncio, "sleep", sleep)

    def __call__(self) -> float:
        return self.now


async def test_the_bandwidth_cap_holds_over_time_for_all_downloads_together(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    bandwidth = Bandwidth(1000, clock)
    for _ in range(50):
        await bandwidth.take(100)
    assert clock.now - 100.0 == pytest.approx(5.0, abs=0.2)


async def test_an_idle_line_does_not_save_up_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    bandwidth = Bandwidth(1000, clock)
    clock.now += 3600
    for _ in range(10):
        await bandwidth.take(100)
    assert clock.now - 3700.0 >= 0.8


async def test_without_a_limit_no_transfer_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    await Bandwidth(None, clock).take(10**12)
    assert clock.now == 100.0


def test_pauses_grow_are_spread_and_end() -> None:
    backoff = Backoff(first=1.0, most_tries=8)
    pauses = [backoff.next_pause() for _ in range(9)]
    assert pauses[7:] == [None, None]
    for number, pause in enumerate(pauses[:7]):
        full = min(throttle.LONGEST_PAUSE, 2.0**number)
        assert pause is not None and full / 2 <= pause <= full


def test_something_that_arrived_makes_pauses_short_again() -> None:
    backoff = Backoff(first=1.0, most_tries=3)
    for _ in range(20):
        pause = backoff.next_pause()
        assert pause is not None and pause <= 1.0
        backoff.arrived(throttle.STEP_FORWARD)


def test_a_little_between_any_two_failures_is_no_step_forward() -> None:
    backoff = Backoff(most_tries=4)
    pauses = []
    for _ in range(4):
        pauses.append(backoff.next_pause())
        backoff.arrived(throttle.STEP_FORWARD // 2)
    assert pauses[-1] is None and None not in pauses[:-1]
    backoff.arrived(throttle.STEP_FORWARD // 2)
    assert backoff.next_pause() is not None


def test_the_pause_that_a_host_asks_for_is_kept_unless_it_is_too_long() -> None:
    assert Backoff().next_pause(60.0) == 60.0
    assert Backoff().next_pause(throttle.LONGEST_RETRY_AFTER + 1) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=lambda: 100.0) == seconds


class TestOneFileAtATime:
    @pytest.fixture
    def settings(self, host: Host) -> Settings:
        return Settings(allowed_hosts=(host.authority,), max_downloads=1)

    async def test_further_files_wait_for_their_turn(
        self, service: Service, host: Host, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(turns, "PATIENCE", 1e6)
        gate = asyncio.Event()
        host.offer("/a", model_bytes(1000), held=gate)
        host.offer("/b", model_bytes(1000))
        runs = [await service.downloads.fetch_one(f"{name}.safetensors", host.url(f"/{name}")) for name in "ab"]
        await eventually(lambda: host.seen)
        await asyncio.sleep(0.05)
        assert [seen.path for seen in host.seen] == ["/a"]
        assert service.downloads.status(runs[1].id)["progress"]["b.safetensors"]["status"] == "pending"
        gate.set()
        for run in runs:
            await service.ended(run)
            assert run.items[0].state == "success"


async def test_a_host_has_no_more_connections_of_us_than_the_limit(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "CONNECTIONS_PER_HOST", 2)
    data = model_bytes(30_000_000)
    open_now, most, go = 0, 0, asyncio.Event()
    serve = host._file

    async def counted(*args: Any) -> bool:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        if most == 2:
            go.set()
        try:
            return await serve(*args)
        finally:
            open_now -= 1

    monkeypatch.setattr(host, "_file", counted)
    host.offer("/a", data, rate=60e6, held=go)
    entry = await service.fetch("a.safetensors", host.url("/a"))
    assert entry["status"] == "success" and most == 2


class TestCapped:
    @pytest.fixture
    def settings(self, host: Host) -> Settings:
        return Settings(allowed_hosts=(host.authority,), max_rate=4_000_000)

    async def test_the_operators_cap_slows_a_transfer_down(self, service: Service, host: Host) -> None:
        data = model_bytes(2_000_000)
        host.offer("/a", data)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await service.fetch("a.safetensors", host.url("/a")))["status"] == "success"
        assert loop.time() - began >= 0.3


def test_settings_are_read_from_the_environment() -> None:
    assert Settings.from_environment({}) == Settings()
    read = Settings.from_environment(
        {
            "UIAPI_SEGMENTS": "8",
            "UIAPI_MAX_DOWNLOADS": "3",
            "UIAPI_MAX_RATE": "2.5M",
            "UIAPI_ALLOW_PICKLE": "1",
            "UIAPI_ALLOWED_HOSTS": " models.example , 127.0.0.1:80,",
            "HF_ENDPOINT": "https://mirror.example/",
            "CIVITAI_ENDPOINT": "http://127.0.0.1:5000",
        }
    )
    assert read == Settings(
        8,
        3,
        2_500_000,
        True,
        ("models.example", "127.0.0.1:80"),
        "https://mirror.example",
        "http://127.0.0.1:5000",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UIAPI_SEGMENTS", "many"),
        ("UIAPI_SEGMENTS", "0"),
        ("UIAPI_SEGMENTS", "1000"),
        ("UIAPI_MAX_DOWNLOADS", "-1"),
        ("UIAPI_MAX_RATE", "fast"),
        ("UIAPI_MAX_RATE", "0"),
        ("HF_ENDPOINT", "mirror"),
    ],
)
def test_a_setting_that_cannot_be_read_is_reported_and_the_usual_kept(
    name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "uiapi"):
        assert Settings.from_environment({name: value}) == Settings()
    assert name in caplog.text


def test_a_pickle_is_allowed_by_1_and_nothing_else() -> None:
    for value in ("0", "false", "yes", ""):
        assert not Settings.from_environment({"UIAPI_ALLOW_PICKLE": value}).allow_pickle


def test_a_token_is_removed_from_texts_and_urls() -> None:
    secret = Secret("very-secret-token", frozenset({"civitai.com:443"}))
    assert "very-secret-token" not in repr(secret)
    assert secret.headers_for(URL("https://civitai.com/x")) == {"Authorization": "Bearer very-secret-token"}
    for other in ("https://civitai.com:8443/x", "http://civitai.com/x", "https://evil.example/x"):
        assert secret.headers_for(URL(other)) == {}
    said = redact(
        "GET https://b2.civitai.com/x?X-Amz-Signature=abc&y=1 with Authorization: Bearer other-token "
        "and very-secret-token"
    )
    for part in ("abc", "other-token", "very-secret-token"):
        assert part not in said
    url, token = without_token(URL("https://civitai.com/x?type=Model&token=pasted"))
    assert (str(url), token) == ("https://civitai.com/x?type=Model", "pasted")
