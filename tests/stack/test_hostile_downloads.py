"""Addresses and names that somebody hostile would ask a running ComfyUI to fetch: refused, and nothing is made."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.downloads.host import Host, model_bytes
from comfyui_uiapi.tests.stack.comfy import ComfyProcess
from comfyui_uiapi.tests.stack.program import Program

# This machine by its own name, which is no public address.
OWN_NAME = socket.gethostname()
GOOD = "good.safetensors"
# Other spellings of addresses that are nobody's business, and of names that are on no list.
ADDRESSES = (
    "http://127.0.0.1:1/x.safetensors",
    "https://127.0.0.1/x.safetensors",
    "https://localhost/x.safetensors",
    "https://2130706433/x.safetensors",
    "https://0x7f000001/x.safetensors",
    "https://0177.0.0.1/x.safetensors",
    "https://127.1/x.safetensors",
    "https://[::1]/x.safetensors",
    "https://[::ffff:127.0.0.1]/x.safetensors",
    "https://[::ffff:7f00:1]/x.safetensors",
    "https://[fe80::1]/x.safetensors",
    "https://169.254.169.254/x.safetensors",
    "https://10.0.0.1/x.safetensors",
    "https://100.64.0.1/x.safetensors",
    "https://0.0.0.0/x.safetensors",
    f"https://{OWN_NAME}/x.safetensors",
    "https://huggingface.co@127.0.0.1/x.safetensors",
    "https://huggingface.co.elsewhere.example/x.safetensors",
    "https://elsewhere.example/x.safetensors#huggingface.co",
    "http://huggingface.co/x.safetensors",
    "https://huggingface.co:8443/x.safetensors",
    "file:///etc/passwd.safetensors",
    "ftp://huggingface.co/x.safetensors",
    "gopher://127.0.0.1/x.safetensors",
    "//127.0.0.1/x.safetensors",
    "https:///x.safetensors",
    "https://hugging\nface.co/x.safetensors",
)
NAMES = (
    "../x.safetensors",
    "..\\x.safetensors",
    "sub/../../x.safetensors",
    "sub/./../../x.safetensors",
    "/x.safetensors",
    "//server/share/x.safetensors",
    "\\\\server\\share\\x.safetensors",
    "C:\\x.safetensors",
    "C:x.safetensors",
    "x\0.safetensors",
    "x\n.safetensors",
    "x.safetensors:stream",
    "CON.safetensors",
    "sub/nul.safetensors",
    "x.safetensors.",
    "x.safetensors ",
    ".. /x.safetensors",
    "planted/x.safetensors",
    "..",
    "",
)
FOLDERS = ("..", "../custom_nodes", "custom_nodes", "loras/../../custom_nodes", "/etc", "configs/..", "loras\0", "C:\\")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ComfyUI's base with a link planted among its models that leads out of them."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "outside").mkdir()
    loras = folder / "comfy" / "models" / "loras"
    loras.mkdir(parents=True)
    (loras / "planted").symlink_to(folder / "outside", target_is_directory=True)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def host() -> AsyncIterator[Host]:
    """A host on the list."""
    host = await Host().start()
    host.offer(f"/{GOOD}", model_bytes(100_000))
    yield host
    await host.close()


@pytest.fixture(scope="module")
def comfy(base: Path, host: Host) -> Iterator[ComfyProcess]:
    env = {"UIAPI_ALLOWED_HOSTS": f"{host.authority},{OWN_NAME}"}
    with ComfyProcess(base / "comfy", env=env) as process:
        yield process


@pytest_asyncio.fixture(loop_scope="session")
async def program(comfy: ComfyProcess, base: Path) -> AsyncIterator[Program]:
    """A program; when it ends there is no file that was not there before."""
    before = files(base)
    async with Program(comfy) as asking:
        yield asking
        _, state = await asking.get("connection_status")
        assert state["active_downloads"] == 0
    assert files(base) == before
    assert "Traceback" not in comfy.log_text()


def files(base: Path) -> set[Path]:
    """Every file, without what ComfyUI and this package keep of themselves."""
    kept = (base / "comfy" / "user", base / "comfy" / "comfyui.log")
    return {path for path in base.rglob("*") if not any(path.is_relative_to(one) for one in kept)}


async def refusal(program: Program, url: str, name: str = "x.safetensors", folder: str = "loras") -> dict[str, Any]:
    """What is answered to a model wanted from there; it has to be an error that is the caller's or the host's."""
    body = {"model_name": name, "model_def": {"url": url, "ckpt_type": folder}}
    status, envelope = await program.post("download_model", body)
    assert envelope["status"] == "error" and 400 <= status < 505 and status != 500, (url, name, folder, envelope)
    return envelope


async def test_addresses_that_are_nobodys_business_are_refused(program: Program) -> None:
    for url in ADDRESSES:
        assert (await refusal(program, url))["code"] in ("host_refused", "invalid"), url
        _, saved = await program.post(
            "add_model_url", {"model_name": "x.safetensors", "url": url, "model_type": "loras"}
        )
        # The name of this machine is on the list; what is wrong with it is where it leads.
        assert saved["status"] == "error" or OWN_NAME in url, url
    await program.post("remove_model_url", {"model_name": "x.safetensors"})


async def test_redirects_lead_to_no_address_that_is_refused_itself(program: Program, host: Host) -> None:
    other = await Host().start()
    other.offer(f"/{GOOD}", model_bytes(100_000))
    try:
        for number, target in enumerate((*ADDRESSES[:16], other.url(f"/{GOOD}"))):
            # The second of a chain, whose first is harmless.
            host.redirect(f"/r{number}.safetensors", f"/s{number}.safetensors")
            host.redirect(f"/s{number}.safetensors", target, 307)
            assert (await refusal(program, host.url(f"/r{number}.safetensors")))["code"] == "host_refused", target
        assert other.seen == []
        host.redirect("/round.safetensors", "/round.safetensors")
        await refusal(program, host.url("/round.safetensors"))
    finally:
        await other.close()


async def test_no_spelling_of_a_name_leads_out_of_the_model_folders(program: Program, host: Host) -> None:
    for name in NAMES:
        assert (await refusal(program, host.url(f"/{GOOD}"), name))["code"] in ("bad_path", "invalid"), name
        need = {"name": name, "directory": "loras", "url": host.url(f"/{GOOD}")}
        node = {"id": 1, "type": "LoraLoaderModelOnly", "widgets_values": [name, 1], "properties": {"models": [need]}}
        workflow = {"nodes": [node], "links": []}
        await ended(program, (await program.post("download_models", {"workflow": workflow}))[1])
        await program.get(f"model_status/{name.replace('/', '%2F')}") if name.isprintable() else None
    for folder in FOLDERS:
        assert (await refusal(program, host.url(f"/{GOOD}"), "x.safetensors", folder))["code"] in (
            "bad_path",
            "unknown_folder",
            "invalid",
        ), folder


async def ended(program: Program, begun: dict[str, Any]) -> None:
    """Wait for the end of a download that must not have fetched anything."""
    if "download_id" not in begun:
        return
    await program.post("download_cancel", {"download_id": begun["download_id"]})
    _, state = await program.get(f"download_status/{begun['download_id']}")
    assert all(item["status"] != "success" for item in state.get("progress", {}).values()), state


async def test_files_that_could_run_code_are_refused(program: Program, host: Host) -> None:
    for ending in ("ckpt", "pt", "pth", "bin", "CKPT"):
        host.offer(f"/x.{ending}", b"\x80\x04")
        assert (await refusal(program, host.url(f"/x.{ending}"), f"x.{ending}"))["code"] == "pickle_refused", ending
    for ending in ("py", "exe", "sh", "so", "pkl", "html"):
        assert (await refusal(program, host.url(f"/{GOOD}"), f"x.{ending}"))["status"] == "error"


async def test_files_of_the_server_are_not_to_be_had_as_models(program: Program) -> None:
    for path in ("/etc/passwd", "../../../../etc/passwd", "/proc/self/environ", "C:\\Windows\\win.ini"):
        body = {"model_name": "x.safetensors", "model_def": {"local": path, "ckpt_type": "loras"}}
        status, envelope = await program.post("download_model", body)
        assert envelope["status"] == "error" and status < 505, envelope
