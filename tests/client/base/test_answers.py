"""Both clients with responses that are broken, late, missing, or from another service."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client import AsyncClient, Client, UiapiError, Unreachable
from comfyui_uiapi.client.common.command_table import bound, route
from comfyui_uiapi.client.common.errors import refusal
from comfyui_uiapi.client.protocol import requests
from comfyui_uiapi.tests.client.conftest import Blocking, Invoke
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted, cut, silence

RUN = {"prompt_id": "p1", "outputs": [{"node_id": "3", "filename": "a.png", "url": "/view?filename=a.png"}]}


# -- broken and late --------------------------------------------------------------------------------------------


async def test_an_answer_that_breaks_off_is_a_lost_connection(scripted: Scripted, invoke: Invoke) -> None:
    scripted.answers["set_fields"] = cut
    with pytest.raises(Unreachable, match=r"may or may not") as failed:
        await invoke("set", {"a": 1})
    assert failed.value.code == "connection_lost" and len(scripted.seen) == 1


async def test_a_read_that_breaks_off_may_be_retried(scripted: Scripted, invoke: Invoke) -> None:
    scripted.answers["get_fields"] = cut
    with pytest.raises(Unreachable, match="try again"):
        await invoke("get", "a")


async def test_a_silent_server_is_waited_for_no_longer_than_the_timeout(
    scripted: Scripted, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "GRACE", 0.2)
    scripted.answers["get_fields"] = silence
    with pytest.raises(UiapiError, match=r"within 0\.3 s") as failed:
        await asyncio.wait_for(invoke("call", "get_fields", {"fields": [], "timeout": 0.1}), 60)
    assert failed.value.code == "timeout"


async def test_another_service_is_not_taken_for_comfyui(scripted: Scripted, invoke: Invoke) -> None:
    for status, body in ((404, {"status": 404, "error": "Not Found"}), (302, {"status": "moved"}), (500, {"a": 1})):
        scripted.answers["connection_status"] = web.json_response(body, status=status)
        with pytest.raises(Unreachable, match="not a ComfyUI with the uiapi extension") as failed:
            await invoke("status")
        assert (failed.value.code, failed.value.status) == ("no_extension", status)


@pytest.fixture
async def self_signed(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a server with a self-signed certificate."""
    key, certificate = tmp_path / "k.pem", tmp_path / "c.pem"
    words = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 1 -subj /CN=localhost"
    subprocess.run(words.split(), check=True, capture_output=True)  # noqa: ASYNC221, S603 - a moment
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    app = web.Application()
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_self_signed_certificate_is_refused_and_nothing_is_sent(self_signed: str, invoke: Invoke) -> None:
    with pytest.raises(Unreachable, match=r"(?i)certificate verify failed") as failed:
        await invoke("set", {"a": 1}, of={"url": self_signed})
    assert failed.value.code == "unreachable"


async def test_without_the_proxy_nothing_is_sent(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(Unreachable) as failed:
        await invoke("set", {"a": 1}, of={"url": "http://studio.example"})
    assert failed.value.code == "unreachable"


async def test_a_run_whose_comfyui_dies_says_what_to_check_and_is_never_retried(
    scripted: Scripted, invoke: Invoke
) -> None:
    scripted.answers |= {"run": cut, "execute": cut}
    for asked in (invoke("run", of={"reconnect": 5}), invoke("call", "execute", {"wait": True}, of={"reconnect": 5})):
        with pytest.raises(Unreachable, match=r"may or may not have been queued.*restart.*history") as failed:
            await asked
        assert failed.value.code == "connection_lost" and failed.value.details == {}
    assert [request.path for request in scripted.seen] == ["/uiapi/run", "/uiapi/execute"]


async def test_a_run_that_had_events_before_comfyui_died_is_named_by_its_prompt(
    scripted: Scripted, invoke: Invoke
) -> None:
    event = {"type": "event", "event": "execution_start", "data": {"prompt_id": "p1"}}
    scripted.streams["run"] = lambda frame: [{**event, "request": frame["id"]}, {"type": "bye"}]
    with pytest.raises(Unreachable, match=r"had started p1.*restarted.*lost.*/history/p1") as failed:
        await invoke("run", on_event=lambda received: None, of={"reconnect": 5})
    assert (failed.value.code, failed.value.details) == ("connection_lost", {"prompt_ids": ["p1"]})
    assert scripted.commands() == ["run"]


# -- what is not sent -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "data", "says"),
    [
        ("download_status", {}, "parameter download_id is required"),
        ("get_fields", {"fields": [], "timeout": "soon"}, "number of seconds"),
        ("get_fields", {"fields": [], "timeout": [1]}, "number of seconds"),
        ("get_fields", {"fields": [], "timeout": float("nan")}, "number of seconds"),
        ("get_fields", {"fields": [], "timeout": 1e30}, "at most 86400"),
        ("set_fields", {"fields": [["a", "\udcff"]]}, "invalid UTF-8"),
        ("download_status", {"download_id": "\udcff"}, "invalid UTF-8"),
    ],
)
async def test_an_invalid_request_is_refused_before_it_is_sent(
    scripted: Scripted, invoke: Invoke, command: str, data: dict[str, Any], says: str
) -> None:
    with pytest.raises(UiapiError, match=says) as refused:
        await invoke("call", command, data)
    assert refused.value.code == "invalid" and scripted.seen == []


@pytest.mark.parametrize("spelling", ["model_name", "name"])
async def test_each_spelling_of_a_parameter_in_a_url_is_accepted(
    scripted: Scripted, invoke: Invoke, spelling: str
) -> None:
    await invoke("call", "model_status", {spelling: "a.safetensors"})
    assert scripted.seen[0].raw_path == "/uiapi/model_status/a.safetensors"


def test_a_method_takes_each_spelling_of_a_parameter() -> None:
    for spelling in ("ckpt_name", "model_name"):
        sent = bound(route("get_model_url"), lambda _, data: data)(**{spelling: "a.safetensors"})
        assert sent == {"model_name": "a.safetensors"}


async def test_special_characters_in_a_name_are_quoted_in_the_url(scripted: Scripted, invoke: Invoke) -> None:
    await invoke("call", "model_status", {"name": "sd xl/a?b#c%.ckpt"})
    assert scripted.seen[0].raw_path == "/uiapi/model_status/sd%20xl/a%3Fb%23c%25.ckpt"


# -- the files of a run -----------------------------------------------------------------------------------------


async def test_a_file_is_asked_for_again_when_the_connection_breaks(scripted: Scripted, invoke: Invoke) -> None:
    def view(request: web.Request) -> Any:
        return web.Response(body=b"PNG") if len(scripted.seen) > 2 else cut(request)

    scripted.answers |= {"run": RUN, "view": view}
    assert bytes((await invoke("run", of={"reconnect": 60})).files[0]) == b"PNG"
    assert [request.path for request in scripted.seen] == ["/uiapi/run", "/view", "/view"]


@pytest.mark.parametrize(
    ("status", "code", "says"), [(404, "not_found", "no longer has a.png"), (500, "fetch_failed", "HTTP 500")]
)
async def test_a_run_whose_file_cannot_be_fetched_is_not_lost(
    scripted: Scripted, invoke: Invoke, status: int, code: str, says: str
) -> None:
    scripted.answers |= {"run": RUN, "view": web.Response(status=status)}
    with pytest.raises(UiapiError, match=f"p1 has finished, so do not repeat it.*{says}") as failed:
        await invoke("run")
    assert (failed.value.code, failed.value.status) == (code, status)
    assert failed.value.details == RUN


async def test_a_run_whose_file_breaks_off_says_that_it_has_finished(scripted: Scripted, invoke: Invoke) -> None:
    scripted.answers |= {"run": RUN, "view": cut}
    with pytest.raises(Unreachable, match="p1 has finished") as failed:
        await invoke("run")
    assert failed.value.code == "connection_lost" and failed.value.details == RUN


# -- time and sockets -------------------------------------------------------------------------------------------


async def test_waiting_until_ready_ends_in_time_without_a_tab(scripted: Scripted) -> None:
    async def waited(client: Any, blocks: bool) -> None:
        with pytest.raises(UiapiError) as failed:
            # A daemon thread, so that the tests can end even if it hangs.
            if blocks:
                done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                loop = asyncio.get_running_loop()

                def wait() -> None:
                    try:
                        client.wait_until_ready(0.5)
                    except UiapiError as error:
                        loop.call_soon_threadsafe(done.set_exception, error)

                threading.Thread(target=wait, daemon=True).start()
                await asyncio.wait_for(done, 60)
            else:
                await asyncio.wait_for(client.wait_until_ready(0.5), 60)
        # The latter if the time was over during an attempt.
        assert failed.value.code in ("unreachable", "timeout")

    # Without the time-out it would wait for ComfyUI much longer than the test does.
    with Client(scripted.url, reconnect=300) as client:
        async with AsyncClient(scripted.url, reconnect=300) as async_client:
            await asyncio.to_thread(client.status)
            await async_client.status()
            await scripted.stop()
            await waited(client, True)
            await waited(async_client, False)


async def test_waiting_until_ready_does_not_hang_with_comfyui(scripted: Scripted, invoke: Invoke) -> None:
    scripted.answers["get_fields"] = silence
    with pytest.raises(UiapiError) as failed:
        await asyncio.wait_for(invoke("wait_until_ready", 0.2), 60)
    assert failed.value.code == "timeout"


async def test_a_thread_that_has_ended_leaves_no_connection(
    scripted: Scripted, blocking: Blocking, eventually: Callable[..., Any]
) -> None:
    def connections() -> int:
        gc.collect()
        # Not isinstance, which reads __class__ of every object, and some objects raise then.
        return sum(type(thing) is socket.socket and thing.fileno() != -1 for thing in gc.get_objects())

    def use(client: Client) -> None:
        for _ in range(10):
            thread = threading.Thread(target=client.status)
            thread.start()
            thread.join()

    with Client(scripted.url) as client:
        before = connections()
        await blocking(use, client)
        await eventually(lambda: connections() <= before + 1)
    assert len(scripted.seen) == 10


def test_an_error_has_the_status_of_the_response_or_else_of_its_code() -> None:
    frame = {"status": "error", "code": "too_many", "error": "Wait."}
    assert (refusal(frame).status, refusal(frame, 418).status) == (429, 418)
    assert refusal({**frame, "code": "nonsense"}).status == 0


@pytest.mark.parametrize(("status", "passes"), [(200, True), (299, True), (300, False), (399, False), (404, False)])
def test_only_a_successful_response_may_have_any_content(status: int, passes: bool) -> None:
    sent = requests.asked("connection_status", {})
    if passes:
        assert requests.answered(sent, status, b'{"status": "moved"}', "x") == {"status": "moved"}
    else:
        with pytest.raises(Unreachable):
            requests.answered(sent, status, b'{"status": "moved"}', "x")
