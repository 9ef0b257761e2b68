"""Hostile names wherever a name can become a path, and links where files are written, on a running ComfyUI: nothing is
created or changed outside the intended directories."""

from __future__ import annotations

import base64
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.bridge.conftest import FakeTab
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.alone import Alone
from comfyui_uiapi.tests.harness.comfy.disk import Disk
from comfyui_uiapi.tests.harness.comfy.workflows import picture
from comfyui_uiapi.tests.harness.fakes.scripted_tabs import ScriptedTabs
from comfyui_uiapi.tests.harness.models.model_host import model_bytes
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program
from comfyui_uiapi.tests.tools import build

GOOD = "https://huggingface.co/a/b/resolve/main/x.safetensors"
SIZE = 200_000
# Spellings of a place outside; each is also tried with the ending of a model.
AWAY = (
    "../x",
    "..\\x",
    "sub/../../x",
    "sub\\..\\..\\x",
    "../../custom_nodes/x",
    "/x",
    "//server/share/x",
    "\\\\server\\share\\x",
    "C:\\x",
    "C:x",
    "%2e%2e%2fx",
    "..%2fx",
    "....//x",
    "x\0",
    "x\n",
    "nul",
    "x:stream",
    "~/x",
    "${HOME}/x",
    "\u2025/x",
    "..\u2215x",
)
# Those of them that only look like a way out, and are plain names of a file or of a folder below.
PLAIN = frozenset({"%2e%2e%2fx", "..%2fx", "${HOME}/x", "\u2025/x", "..\u2215x", "~/x"})
MODELS = (
    *(f"{name}.safetensors" for name in AWAY if name not in PLAIN),
    *("..", ".", "sub//x.safetensors", ".. /x.safetensors", ".hidden.safetensors", "CON.safetensors"),
    *("sub/nul.safetensors", "x.safetensors.", "x.safetensors ", "x.safetensors:stream"),
)
# ComfyUI's own, with the files that SQLite puts next to it.
DATABASE = [f"user/comfyui.db{ending}" for ending in ("", "-journal", "-wal", "-shm")]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="


@pytest.fixture
def outside(alone: Alone) -> Iterator[Path]:
    """A folder next to the ComfyUI's with a model in it; nothing in it changes."""
    folder = alone.comfy.base.parent / "outside"
    folder.mkdir()
    (folder / "x.safetensors").write_bytes(model_bytes(SIZE, 7))
    disk = Disk(folder)
    yield folder
    changes = disk.changes()
    shutil.rmtree(folder)
    assert changes == []


@pytest_asyncio.fixture(loop_scope="session")
async def program(alone: Alone) -> AsyncIterator[Program]:
    """A program after which nothing is on the disk, nor saved, that was not there before."""
    disk = Disk(alone.comfy.base)
    alone.listen()
    async with Program(alone.comfy) as asking:
        yield asking
        assert (await asking.get("model_urls"))[1]["response"]["urls"] == {}
    alone.forget()
    assert disk.changes() == []
    assert "Traceback" not in alone.logged()


@pytest_asyncio.fixture(loop_scope="session")
async def scripted(program: Program) -> AsyncIterator[FakeTab]:
    """A scripted tab."""
    tabs = ScriptedTabs(program)
    yield await tabs()
    await tabs.close()


# -- names ----------------------------------------------------------------------------------------------------------


async def refused(program: Program, command: str, body: Any, *codes: str) -> None:
    """Send a request that must be refused with one of these codes."""
    _, envelope = await program.post(command, body)
    assert (envelope["status"], envelope.get("code") in codes) == ("error", True), (command, body, envelope)


async def test_no_name_of_a_model_that_leads_away_is_fetched_saved_or_asked_for(
    program: Program, alone: Alone, scripted: FakeTab
) -> None:
    alone.models.offer("/x.safetensors", model_bytes(SIZE))
    url = alone.models.url("/x.safetensors")
    scripted.on("get_model_url", lambda data: {"url": GOOD, "urls": dict.fromkeys(data.get("ckpt_names") or [], GOOD)})
    workflow: dict[str, Any] = {"nodes": [], "links": []}
    for name in MODELS:
        model = {"url": url, "ckpt_type": "loras"}
        await refused(program, "download_model", {"model_name": name, "model_def": model}, "bad_path")
        await refused(program, "download_models", {"download_table": {name: model}, "workflow": workflow}, "bad_path")
        await refused(program, "add_model_url", {"model_name": name, "url": GOOD}, "bad_path")
        await refused(program, "get_model_url", {"ckpt_name": name}, "bad_path")
        await refused(program, "get_model_url", {"ckpt_names": ["x.safetensors", name]}, "bad_path")
        await refused(program, "remove_model_url", {"model_name": name}, "unknown_model")
    for folder in (*AWAY, "custom_nodes", "configs", "..", ""):
        model = {"url": url, "ckpt_type": folder}
        await refused(
            program, "download_model", {"model_name": "x.safetensors", "model_def": model}, "bad_path", "unknown_folder"
        )
    assert alone.models.seen == []


async def test_a_workflow_with_hostile_model_names_gets_none_of_them(program: Program, alone: Alone) -> None:
    alone.models.offer("/x.safetensors", model_bytes(SIZE))
    nodes = []
    for number, name in enumerate([*MODELS, "x.safetensors"]):
        folder = "loras" if name != "x.safetensors" else "../custom_nodes"
        need = {"name": name, "directory": folder, "url": alone.models.url("/x.safetensors")}
        widgets = [name, 1] if name != "x.safetensors" else ["none.safetensors", 1]
        node = {"id": number, "type": "LoraLoaderModelOnly", "widgets_values": widgets}
        nodes.append({**node, "properties": {"models": [need]}})
    begun = await program.ok("download_models", {"workflow": {"nodes": nodes, "links": []}})

    async def over() -> dict[str, Any] | None:
        state = (await program.get(f"download_status/{begun['download_id']}"))[1]
        return state if state["completed"] else None

    state = await until(over, "the end of the download", PATIENCE)
    assert [item for item in state["progress"].values() if item["status"] == "success"] == []
    assert alone.models.seen == []


async def test_no_name_finds_a_file_outside_the_model_folders(program: Program, alone: Alone, outside: Path) -> None:
    (alone.loras / "own.safetensors").write_bytes(model_bytes(SIZE))
    assert (await program.get("model_status/own.safetensors"))[1]["exists"] is True
    from_models = f"{outside.name}/x.safetensors"
    ways = [f"{'../' * up}{from_models}" for up in range(1, 6)]
    ways += [way.replace("/", "\\") for way in ways]
    ways += [f"loras/{way}" for way in ways] + [str(outside / "x.safetensors"), f"sub/{ways[2]}", "loras/", "."]
    for way in ways:
        for spelled in (quote(way, safe=""), quote(quote(way, safe=""), safe="")):
            _, envelope = await program.get(f"model_status/{spelled}")
            assert envelope.get("exists") is not True, (way, envelope)


async def test_no_id_of_anything_is_a_path(program: Program, scripted: FakeTab) -> None:
    for name in (name for name in AWAY if name.strip()):
        spelled = quote(name, safe="")
        # A name with slashes is another route, which is none.
        assert (await program.get(f"download_status/{spelled}"))[1]["code"] in ("unknown_download", "wrong_method")
        await refused(program, "download_cancel", {"download_id": name}, "unknown_download")
        await refused(program, "download_resume", {"download_id": name, "model": name}, "unknown_download")
        await refused(program, "late_result", {"request_id": name}, "unknown_request")
        await refused(program, "webui_ready", {"client_id": name}, "invalid")
        assert (await program.get(f"connection_status?client_id={spelled}"))[1]["webui_connected"] is False
        # A script's own id, which existing clients send along with everything.
        scripted.on("get_fields", {"a.b": 1})
        assert await program.ok("get_fields", {"fields": ["a.b"], "client_id": name, "idempotency_key": name})
    [listed] = (await program.get("webuis"))[1]["response"]
    assert listed["id"] == scripted.client_id


async def test_a_picture_lands_in_the_input_folder_whatever_the_field_is_called(
    program: Program, alone: Alone, scripted: FakeTab
) -> None:
    scripted.on("set_fields", lambda data: {path: {"requested": v, "value": v} for path, v in data["fields"]})
    folder = alone.comfy.base / "input"
    here = {path.name for path in folder.iterdir()}
    picture = {"type": "image_base64", "data": PIXEL}
    for name in AWAY:
        for path in (f"{name}.image", f'"{name}".image', f"Outer/{name}.{name}", name, f"#1.{name}"):
            _, envelope = await program.post("set_fields", {"fields": [[path, picture]]})
            assert envelope["status"] == "ok", envelope
            stored = envelope["response"][path]["value"]
            assert stored.startswith("INPUT_") and stored.endswith(".png") and not {*"/\\:\0\n%~"} & {*stored}
            names = {file.name for file in folder.iterdir()} - here
            assert names == {stored}
            file = folder / stored
            assert file.read_bytes() == base64.b64decode(PIXEL)
            file.unlink()


# -- links that somebody has planted --------------------------------------------------------------------------------


async def test_nothing_is_written_through_a_linked_folder_into_code_or_what_is_comfyuis_own(
    program: Program, alone: Alone
) -> None:
    alone.models.offer("/x.safetensors", model_bytes(SIZE))
    base, own = alone.comfy.base, ("custom_nodes", "user", "input", "output")
    for name, leads in (("up", Path("../..")), ("core", build.COMFYUI), *((name, base / name) for name in own)):
        link = alone.loras / name
        link.symlink_to(leads, target_is_directory=True)
        for model in (f"{name}/x.safetensors", f"{name}/new.safetensors", f"{name}/sub/x.safetensors"):
            wanted = {**alone.models.wanted("x.safetensors"), "model_name": model, "overwrite": True}
            await refused(program, "download_model", wanted, "bad_path")
        link.unlink()
    assert alone.models.seen == []


async def test_a_linked_file_is_replaced_and_what_it_leads_to_stays(
    program: Program, alone: Alone, outside: Path
) -> None:
    alone.models.offer("/x.safetensors", model_bytes(SIZE))
    link = alone.loras / "x.safetensors"
    link.symlink_to(outside / "x.safetensors")
    wanted = alone.models.wanted("x.safetensors")
    assert (await program.post("download_model", wanted))[1]["code"] == "damaged"
    assert link.is_symlink() and alone.models.seen == []
    assert (await program.post("download_model", {**wanted, "overwrite": True}))[1]["status"] == "success"
    assert not link.is_symlink() and link.read_bytes() == model_bytes(SIZE)
    link.unlink()
    # One that leads nowhere could have a file made where it leads.
    link.symlink_to(outside / "new.safetensors")
    for overwrite in (False, True):
        await refused(program, "download_model", {**wanted, "overwrite": overwrite}, "bad_path")


@pytest.mark.parametrize("ending", ["part", "json", "json-new", "lock"])
async def test_nothing_is_written_through_links_where_a_download_keeps_its_own(
    program: Program, alone: Alone, outside: Path, ending: str
) -> None:
    # Slow enough for the journal to be written, and cut, so that what is there is looked at again.
    alone.models.offer("/x.safetensors", model_bytes(6 << 20), cuts=[1 << 20], rate=4e6)
    for leads in (outside / "x.safetensors", outside / "new"):
        planted = alone.loras / f".x.safetensors.uiapi-{ending}"
        planted.symlink_to(leads)
        _, envelope = await program.post("download_model", alone.models.wanted("x.safetensors"))
        # It goes past the link or refuses to; both leave what it leads to alone, which `outside` sees to.
        assert envelope["status"] == "success" or envelope["code"] == "storage_failed", envelope
        names = alone.loras / "x.safetensors"
        if envelope["status"] == "success":
            assert not names.is_symlink() and names.read_bytes() == alone.models.answers["/x.safetensors"].data
        for left in alone.loras.iterdir():
            left.unlink()


async def test_a_file_of_the_server_is_to_be_had_as_a_model_only_if_it_is_one(
    program: Program, alone: Alone, outside: Path
) -> None:
    disk, files = Disk(outside), outside.parent / "files"
    files.mkdir()
    for name in ("secret.txt", "secret.safetensors", "secret.gguf", "secret.ckpt"):
        (files / name).write_text("the server's secret, which is no model")
    (files / "link.safetensors").symlink_to(files / "secret.txt")
    (files / "folder.safetensors").mkdir()
    tried = [*files.iterdir(), Path("/etc/passwd"), Path("/proc/self/environ"), files / "none.safetensors"]
    relative = ("../outside/x.safetensors", f"../../{outside.name}/x.safetensors", "C:\\x.safetensors")
    for path in (*map(str, tried), *relative):
        body = {"model_name": "x.safetensors", "model_def": {"local": path, "ckpt_type": "loras"}}
        await refused(
            program, "download_model", body, "not_a_model", "unsupported_type", "pickle_refused", "not_at_source"
        )
        assert alone.lora_files() == []
    shutil.rmtree(files)
    # A person who names a model of theirs by its whole path gets it.
    own = {"local": str(outside / "x.safetensors"), "ckpt_type": "loras"}
    assert (await program.post("download_model", {"model_name": "x.safetensors", "model_def": own}))[0] == 200
    assert (alone.loras / "x.safetensors").read_bytes() == model_bytes(SIZE, 7)
    assert disk.changes() == []


# -- a real page ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frontend", [build.FRONTENDS[0]], indirect=True, scope="session")
async def test_no_name_sent_to_a_page_creates_a_file_outside_the_persons_workflows(tab: Tab) -> None:
    disk = Disk(tab.comfy.base, kept=("user/default", *DATABASE, "comfyui.log", "temp"))
    own = tab.comfy.base / "user" / "default"
    before = {path.name for path in own.iterdir()}
    async with Program(tab.comfy) as program:
        for name in AWAY:
            for command, body in (
                ("load_workflow", {"workflow": picture(), "name": name}),
                ("save_tab", {"name": name}),
                ("rename_tab", {"name": f"{name}2"}),
                ("open_tab", {"path": name}),
                ("new_tab", {"name": name}),
                ("switch_tab", {"tab": name}),
                ("take_snapshot", {"name": name}),
                ("restore_snapshot", {"snapshot": name}),
            ):
                status, envelope = await program.post(command, body)
                assert status != 500 and envelope.get("code") != "internal", (command, name, envelope)
    assert disk.changes() == []
    # Among the person's own files it is only workflows that it makes.
    assert {path.name for path in own.iterdir()} - before <= {"comfy.templates.json", "workflows"}
