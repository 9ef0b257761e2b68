"""Both clients with a served bridge: requests, results, errors and reconnection."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from comfyui_uiapi.bridge.policy.access import Guard
from comfyui_uiapi.client import AsyncClient, Client, UiapiError, UiapiWarning, Unreachable
from comfyui_uiapi.client.protocol.address import Address
from comfyui_uiapi.tests.client.conftest import PNG, Blocking

WRITTEN = {"requested": 5, "value": 5, "warnings": []}
UNKNOWN = {"status": "error", "code": "unknown_path", "error": "no such field", "details": {"nearest": ["A.b", "A.c"]}}


def written(data: dict[str, Any]) -> dict[str, Any]:
    return {path: {"requested": value, "value": value, "warnings": []} for path, value in data["fields"]}


# -- fields -----------------------------------------------------------------------------------------------------


async def test_one_field_is_read_as_its_value_and_several_by_their_paths(
    server: Any, client: Client, async_client: AsyncClient, blocking: Blocking
) -> None:
    tab = await server.tab()
    tab.on("get_fields", lambda data: {path: len(path) for path in data["fields"]})
    assert await blocking(client.get, "A.b") == 3 == await async_client.get("A.b")
    assert await blocking(client.get, ["A.b", "c"]) == {"A.b": 3, "c": 1} == await async_client.get(["A.b", "c"])
    assert await blocking(lambda: client["A.b"]) == 3


async def test_one_field_is_written_or_several_at_once(
    server: Any, client: Client, async_client: AsyncClient, blocking: Blocking
) -> None:
    tab = await server.tab()
    tab.on("set_fields", written)
    assert await blocking(client.set, "A.b", 5) == WRITTEN == await async_client.set("A.b", 5)
    assert await blocking(client.set, "A.b", None) == {"requested": None, "value": None, "warnings": []}
    both = {"A.b": 5, "A.c": "x"}
    answers = [await blocking(client.set, both), await async_client.set(both), await blocking(client.set, both.items())]
    for answer in answers:
        assert {path: one["value"] for path, one in answer.items()} == both
    with pytest.raises(TypeError):
        client.set("A.b")


async def test_a_warning_about_a_written_field_is_a_python_warning(
    server: Any, client: Client, blocking: Blocking
) -> None:
    tab = await server.tab()
    tab.on("set_fields", {"seed": {"requested": 5, "value": 5, "warnings": ["it will be randomised"]}})
    with pytest.warns(UiapiWarning, match="seed: it will be randomised"):
        await blocking(client.__setitem__, "seed", 5)


async def test_a_picture_lands_in_comfyuis_input_folder(server: Any, client: Client, blocking: Blocking) -> None:
    tab = await server.tab()
    tab.on("set_fields", written)
    answer = await blocking(client.set, "Photo.image", numpy.zeros((2, 3, 3), numpy.uint8))
    assert answer["value"].startswith("INPUT_Photo_")
    assert (Path(server.folders.get_input_directory()) / answer["value"]).read_bytes().startswith(b"\x89PNG")


async def test_nan_and_infinity_reach_no_tab(server: Any, client: Client, async_client: AsyncClient) -> None:
    tab = await server.tab()
    for value in (float("nan"), numpy.float32("inf")):
        with pytest.raises(UiapiError, match=r"A\.b"):
            client.set("A.b", value)
        with pytest.raises(UiapiError, match=r"A\.b"):
            await async_client.set({"A.b": value})
    assert tab.requests == []


async def test_another_tab_than_the_main_one_can_be_addressed(server: Any, blocking: Blocking) -> None:
    main, other = await server.tab(), await server.tab()
    main.on("get_fields", {"a": "main"})
    other.on("get_fields", {"a": "other"})
    with Client(server.url("").rstrip("/"), webui=other.client_id) as client:
        assert await blocking(client.get, "a") == "other"
        assert (await blocking(client.status))["active_clients"] == 2


async def test_a_write_can_depend_on_the_graphs_revision(
    server: Any, client: Client, async_client: AsyncClient, blocking: Blocking
) -> None:
    tab = await server.tab(capabilities=["revisions"])
    for asked, of in ((blocking(client.get, "a"), client), (async_client.get("a"), async_client)):
        asking = asyncio.ensure_future(asked)
        await tab.respond((await tab.next())["id"], {"a": 1}, revision="r7")
        assert await asking == 1 and of.revision == "r7"


# -- workflows and runs -----------------------------------------------------------------------------------------


async def test_a_workflow_is_loaded_from_a_dict_a_text_or_a_file(
    server: Any, client: Client, async_client: AsyncClient, blocking: Blocking, tmp_path: Path
) -> None:
    tab = await server.tab()
    tab.on("load_workflow", lambda data: {"loaded": data["workflow"] == {"1": {}}, "message": str(data.get("name"))})
    (tmp_path / "w.json").write_text('{"1": {}}')
    sources: list[Any] = [{"1": {}}, '{"1": {}}', tmp_path / "w.json", str(tmp_path / "w.json")]
    for source in sources:
        assert (await blocking(client.load, source))["loaded"]
        assert (await async_client.load(source, "name"))["message"] == "name"


@pytest.mark.parametrize("source", ["no.json", "{", "[1]", "{]"])
def test_an_invalid_workflow_is_refused_before_it_is_sent(source: str) -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(UiapiError) as refused:
        client.load(source)
    assert refused.value.code == "invalid"


async def test_the_open_workflow_is_saved_in_either_format(
    server: Any, client: Client, async_client: AsyncClient, blocking: Blocking, tmp_path: Path
) -> None:
    tab = await server.tab()
    tab.on("get_workflow", {"workflow": {"workflow": {"nodes": []}, "output": {"1": {}}}})
    assert await blocking(client.save, tmp_path / "ui.json") == {"nodes": []}
    assert await async_client.save(tmp_path / "api.json", api=True) == {"1": {}}
    assert [(tmp_path / name).read_text().split() for name in ("ui.json", "api.json")] == [
        ["{", '"nodes":', "[]", "}"],
        ["{", '"1":', "{}", "}"],
    ]


@pytest.fixture
def comfy(server: Any) -> Any:
    """A ComfyUI that finishes a prompt as soon as a tab queues it, and serves the picture."""

    class Comfy:
        started: ClassVar[list[dict[str, Any]]] = []

        def execute(self, data: dict[str, Any]) -> dict[str, Any]:
            self.started.append(data)
            prompt_id = f"p{len(self.started)}"
            images = [{"filename": "a b.png", "subfolder": "", "type": "output"}]
            prompt = [0, prompt_id, {"3": {"class_type": "SaveImage", "_meta": {"title": "Result"}}}, {}, []]
            status = {"status_str": "success", "messages": []}
            entry = {"prompt": prompt, "outputs": {"3": {"images": images}}, "status": status}
            send = server.comfy.send_sync
            send("execution_start", {"prompt_id": prompt_id})
            send("progress", {"prompt_id": prompt_id, "value": 1, "max": 2, "node": "3"})
            send("execution_success", {"prompt_id": prompt_id})
            server.comfy.prompt_queue.history[prompt_id] = entry
            send("status", {})
            return {"prompt_id": prompt_id, "number": 1, "node_errors": {}}

    return Comfy()


async def view(request: web.Request) -> web.Response:
    return web.Response(body=PNG) if request.query["filename"] == "a b.png" else web.Response(status=404)


@pytest.fixture
def viewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """ComfyUI's own /view, on the server that `server` starts."""
    from comfyui_uiapi import server as extension

    add_routes = extension.add_routes

    def with_view(routes: web.RouteTableDef, bridge: Any) -> None:
        routes.get("/view")(view)
        add_routes(routes, bridge)

    monkeypatch.setattr(extension, "add_routes", with_view)


async def test_a_run_answers_its_pictures_as_bytes_and_arrays(
    viewed: None, server: Any, comfy: Any, client: Client, async_client: AsyncClient, blocking: Blocking, tmp_path: Path
) -> None:
    tab = await server.tab(capabilities=["execute.fields"])
    tab.on("execute", comfy.execute)
    for done in (await blocking(client.run, {"A.b": 1}), await async_client.run({"A.b": 1})):
        assert done.execution_time is not None and done.prompt_id.startswith("p")
        assert (bytes(done.image), done.image.title, done.image.node_type) == (PNG, "Result", "SaveImage")
        assert done.image.numpy().tolist() == [[[1, 2, 3]]] and done.image.pil().size == (1, 1)
        assert done.image.save(tmp_path) == tmp_path / "a b.png" and (tmp_path / "a b.png").read_bytes() == PNG
    assert [data["fields"] for data in comfy.started] == [[["A.b", 1]], [["A.b", 1]]]


async def test_a_run_reports_its_progress_in_order_on_the_calling_thread(
    viewed: None, server: Any, comfy: Any, client: Client, async_client: AsyncClient, blocking: Blocking
) -> None:
    tab = await server.tab()
    tab.on("execute", comfy.execute)
    received: list[tuple[str, int]] = []

    def run() -> int:
        client.run(on_event=lambda event: received.append((event.name, threading.get_ident())))
        return threading.get_ident()

    thread = await blocking(run)
    assert received == [(name, thread) for name in ("execution_start", "progress", "execution_success")]
    names: list[str] = []
    await async_client.run(on_event=lambda event: names.append(event.name))
    assert names == ["execution_start", "progress", "execution_success"]


async def test_a_file_can_be_fetched_later_and_one_that_is_gone_says_so(
    viewed: None, server: Any, comfy: Any, client: Client, blocking: Blocking
) -> None:
    tab = await server.tab()
    tab.on("execute", comfy.execute)
    done = await blocking(client.run, fetch=False)
    with pytest.raises(UiapiError, match="fetch"):
        done.image.pil()
    assert await blocking(client.fetch, done.image) == PNG
    done.files[0].data, done.files[0].url = b"", "/view?filename=gone.png"
    with pytest.raises(UiapiError, match="no longer"):
        await blocking(client.fetch, done.image)


# -- errors -----------------------------------------------------------------------------------------------------


async def test_an_error_carries_its_code_its_sentence_and_paths_that_would_work(
    server: Any, client: Client, async_client: AsyncClient, blocking: Blocking
) -> None:
    tab = await server.tab()
    asking = [asyncio.ensure_future(blocking(client.get, "A.x")), asyncio.ensure_future(async_client.get("A.x"))]
    for _ in asking:
        await tab.ws.send_json({"type": "response", "id": (await tab.next())["id"], **UNKNOWN})
    for asked in asking:
        with pytest.raises(UiapiError, match="no such field") as failed:
            await asked
        error = failed.value
        assert (error.code, error.status, error.candidates) == ("unknown_path", 404, ["A.b", "A.c"])


async def test_without_a_tab_the_error_says_so_at_once(server: Any, client: Client, blocking: Blocking) -> None:
    with pytest.raises(UiapiError) as failed:
        await blocking(client.get, "A.b")
    assert (failed.value.code, failed.value.status) == ("no_webui", 503)


def test_a_url_without_a_server_is_an_error_at_once_that_says_what_to_do() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(Unreachable, match="COMFYUI_URL") as failed:
        client.status()
    assert failed.value.code == "unreachable" and isinstance(failed.value, ConnectionError)


async def test_a_url_without_a_server_is_the_same_error_in_the_async_client() -> None:
    async with AsyncClient("http://127.0.0.1:1") as client:
        for asking in (client.status(), client.on("*", print)):
            with pytest.raises(Unreachable, match="COMFYUI_URL") as failed:
                await asking
            assert failed.value.code == "unreachable"


async def test_a_server_without_the_extension_is_named(blocking: Blocking) -> None:
    other = TestServer(web.Application())
    await other.start_server()
    url = str(other.make_url("")).rstrip("/")
    try:
        async with AsyncClient(url) as client:
            for asking in (client.status(), client.on("*", print)):
                with pytest.raises(Unreachable, match="extension") as failed:
                    await asking
                assert (failed.value.code, failed.value.status) == ("no_extension", 404)
        with Client(url) as blocked, pytest.raises(Unreachable, match="extension"):
            await blocking(blocked.status)
    finally:
        await other.close()


@pytest.mark.parametrize("url", ["ftp://a", "http:///a", "://"])
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(UiapiError, match="not a valid URL"):
        Client(url)


def test_url_and_token_come_from_the_environment_unless_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Address.of(None, None) == Address("http://127.0.0.1:8188", None)
    monkeypatch.setenv("COMFYUI_URL", "studio:8000/")
    monkeypatch.setenv("UIAPI_TOKEN", "secret")
    assert Address.of(None, None) == Address("http://studio:8000", "secret")
    assert Address.of("https://here", "mine").websocket == "wss://here/uiapi/ws"


# -- tokens -----------------------------------------------------------------------------------------------------


class TestWithAToken:
    """A server that requires a token."""

    @pytest.fixture
    def guard(self) -> Guard:
        return Guard(beyond_loopback=True, token="secret")  # noqa: S106

    async def test_the_token_opens_http_and_websocket(self, server: Any, blocking: Blocking) -> None:
        url = server.url("").rstrip("/")
        async with AsyncClient(url, "secret") as client:
            assert await client.webuis() == []
            (await client.on("webui_*", lambda event: None))()
        with Client(url, "secret") as blocked:
            assert await blocking(blocked.webuis) == []

    async def test_without_the_token_both_are_refused_with_advice(self, server: Any) -> None:
        async with AsyncClient(server.url("").rstrip("/")) as client:
            for asking in (client.webuis(), client.on("*", lambda event: None)):
                with pytest.raises(UiapiError, match="UIAPI_TOKEN") as failed:
                    await asking
                assert failed.value.code == "token_required"
