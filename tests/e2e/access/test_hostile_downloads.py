"""Hostile URLs, files and log texts sent to a running ComfyUI are refused and leave no file, request or log line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import until
from comfyui_uiapi.tests.harness.comfy.alone import OWN_NAME, PRIVATE, WENT_OUT, Alone
from comfyui_uiapi.tests.harness.comfy.disk import Disk
from comfyui_uiapi.tests.harness.fakes.scripted_tabs import ScriptedTabs
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program

GOOD = "good.safetensors"
# Other spellings of private addresses and of hosts that are not allowed.
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


@pytest_asyncio.fixture(loop_scope="session")
async def program(alone: Alone) -> AsyncIterator[Program]:
    """A program; when it ends there is no file that was not there before, and nobody else was asked for one."""
    disk = Disk(alone.comfy.base)
    alone.models.offer(f"/{GOOD}", model_bytes(100_000))
    alone.listen()
    async with Program(alone.comfy) as asking:
        yield asking
        assert (await asking.get("connection_status"))[1]["active_downloads"] == 0
    assert disk.changes() == []
    alone.forget()
    assert [sign for sign in ("Traceback", WENT_OUT) if sign in alone.logged()] == []


@pytest_asyncio.fixture(loop_scope="session")
async def unlisted() -> AsyncIterator[Host]:
    """A host on loopback that the operator did not name."""
    host = await Host().start()
    host.offer(f"/{GOOD}", model_bytes(100_000))
    yield host
    await host.close()


async def refusal(program: Program, url: str, name: str = "x.safetensors") -> dict[str, Any]:
    """Request a model from this URL and return the error, which must blame the client or the host."""
    body = {"model_name": name, "model_def": {"url": url, "ckpt_type": "loras"}}
    status, envelope = await program.post("download_model", body)
    assert envelope["status"] == "error" and 400 <= status < 505 and status != 500, (url, name, envelope)
    return envelope


async def test_urls_of_private_addresses_and_unknown_hosts_are_refused(program: Program) -> None:
    for url in ADDRESSES:
        assert (await refusal(program, url))["code"] in ("host_refused", "invalid"), url
        _, saved = await program.post(
            "add_model_url", {"model_name": "x.safetensors", "url": url, "model_type": "loras"}
        )
        # The name of this machine is on the list; what is wrong with it is where it leads.
        assert saved["status"] == "error" or OWN_NAME in url, url
    await program.post("remove_model_url", {"model_name": "x.safetensors"})


async def test_a_listed_name_that_leads_to_an_address_that_is_not_public_is_refused_for_that(program: Program) -> None:
    for port in ("", ":8443"):
        envelope = await refusal(program, f"https://{OWN_NAME}{port}/{GOOD}")
        assert envelope["code"] == "host_refused" and "private or local address" in envelope["error"]


async def test_a_listed_address_that_is_not_public_is_refused_for_that(program: Program, alone: Alone) -> None:
    for where in PRIVATE:
        envelope = await refusal(program, f"https://{where}/{GOOD}")
        assert envelope["code"] == "host_refused", (where, envelope)
        alone.models.redirect("/x.safetensors", f"https://{where}/{GOOD}")
        assert (await refusal(program, alone.models.url("/x.safetensors")))["code"] == "host_refused", where


async def test_redirects_lead_to_no_address_that_is_refused_itself(
    program: Program, alone: Alone, unlisted: Host
) -> None:
    for number, target in enumerate((*ADDRESSES[:16], unlisted.url(f"/{GOOD}"))):
        # The second of a chain, whose first is harmless.
        alone.models.redirect(f"/r{number}.safetensors", f"/s{number}.safetensors")
        alone.models.redirect(f"/s{number}.safetensors", target, 307)
        refused = await refusal(program, alone.models.url(f"/r{number}.safetensors"))
        assert refused["code"] == "host_refused", target
        assert [seen.path for seen in alone.models.seen[-2:]] == [f"/{way}{number}.safetensors" for way in "rs"]
    assert unlisted.seen == []
    alone.models.redirect("/round.safetensors", "/round.safetensors")
    assert "redirects more than" in (await refusal(program, alone.models.url("/round.safetensors")))["error"]


async def test_files_that_could_run_code_are_refused(program: Program, alone: Alone) -> None:
    for ending in ("ckpt", "pt", "pth", "bin", "CKPT"):
        alone.models.offer(f"/x.{ending}", b"\x80\x04")
        envelope = await refusal(program, alone.models.url(f"/x.{ending}"), f"x.{ending}")
        assert envelope["code"] == "pickle_refused", ending
    for ending in ("py", "exe", "sh", "so", "pkl", "html"):
        envelope = await refusal(program, alone.models.url(f"/{GOOD}"), f"x.{ending}")
        assert envelope["code"] == "unsupported_type", ending
    assert alone.models.seen == []


async def test_no_line_of_the_log_can_be_forged(program: Program, alone: Alone) -> None:
    forged = "x\n[forged] a line\r\n[forged] another"
    secret = "sesame-open"  # noqa: S105 - a test's own
    tabs = ScriptedTabs(program)
    tab = await tabs(info={"browser": forged, "workflow_name": forged}, sid=forged, capabilities=[forged])
    # What a tab says too late, and what a person gives as an address.
    await tab.respond(forged, {"a.b": 1})
    tab.on("get_model_url", {"urls": {"x.safetensors": f"https://elsewhere.example/{forged}?token={secret}"}})
    node = {"id": 1, "type": "LoraLoaderModelOnly", "widgets_values": ["x.safetensors", 1], "title": forged}
    begun = await program.ok("download_models", {"workflow": {"nodes": [node], "links": []}})

    async def over() -> bool:
        return bool((await program.get(f"download_status/{begun['download_id']}"))[1]["completed"])

    await until(over, "the end of the download", PATIENCE)
    await program.post("webui_response", {"request_id": forged, "client_id": forged, "response": {}})
    await tabs.close()
    logged = alone.logged()
    # It did reach the log, three times.
    for sentence in ("too late or twice", "late or duplicate answer", "is not saved"):
        assert logged.count(sentence) == 1
    assert [line for line in logged.splitlines() if line.startswith("[forged]")] == []
    assert secret not in logged
