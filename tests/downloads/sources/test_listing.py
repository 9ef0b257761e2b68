"""The search of a Hugging Face repository for a model's name: its requests, its use of the token, and its limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.sources import huggingface
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Answer, Host, model_bytes
from comfyui_uiapi.tests.harness.models.model_sites import hub_file

TREE = "/api/models/org/repo/tree/main"


@pytest.fixture
def settings(host: Host, other_host: Host) -> Settings:
    """One scripted host is the hub; the other, where its large files are, is named too."""
    return Settings(hf_endpoint=host.url(""), allowed_hosts=(other_host.authority,))


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf-sesame-open")


@pytest.fixture
async def unlisted() -> AsyncIterator[Host]:
    """A host that is not allowed."""
    host = await Host().start()
    yield host
    await host.close()


def listing(host: Host, *paths: str, path: str = TREE, following: str | None = None) -> Answer:
    """A page of the repository's list of files."""
    host.offer(
        "/org/repo/resolve/main/x.safetensors",
        status=404,
        headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": "a" * 40},
    )
    page = json.dumps([{"type": "file", "path": path, "size": 1, "oid": "0"} for path in paths]).encode()
    link = {"Link": f'<{following}>; rel="next"'} if following else {}
    return host.offer(path, page, content_type="application/json", headers=link)


async def test_a_list_of_several_pages_is_read_to_its_end(service: Service, host: Host, other_host: Host) -> None:
    data = model_bytes(300_000)
    hub_file(host, other_host, "late/x.safetensors", data)
    listing(host, "a.txt", following=host.url(f"{TREE}/more?cursor=Q%3D%3D"))
    listing(host, "late/x.safetensors", path=f"{TREE}/more")
    entry = await service.fetch("x.safetensors", {"huggingface": "org/repo"})
    assert entry["status"] == "success", entry
    assert [seen.path for seen in host.asked(f"{TREE}/more")] == [f"{TREE}/more?cursor=Q%3D%3D"]
    assert service.path("x.safetensors").read_bytes() == data


async def test_a_list_that_goes_on_at_another_host_is_left_and_the_token_stays(
    service: Service, host: Host, other_host: Host, unlisted: Host
) -> None:
    for elsewhere in (unlisted, other_host):
        listing(host, "a.txt", following=elsewhere.url("/latest/meta-data"))
        entry = await service.fetch("x.safetensors", {"huggingface": "org/repo"})
        assert (entry["status"], entry["code"]) == ("error", "host_refused"), entry
        assert elsewhere.seen == []


async def test_a_list_that_redirects_to_an_unlisted_host_is_left_and_the_token_stays(
    service: Service, host: Host, unlisted: Host
) -> None:
    listing(host)
    host.redirect(TREE, unlisted.url("/internal"))
    entry = await service.fetch("x.safetensors", {"huggingface": "org/repo"})
    assert (entry["status"], entry["code"]) == ("error", "host_refused"), entry
    assert unlisted.seen == []


async def test_a_list_without_end_is_given_up(service: Service, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface, "MOST_PAGES", 3)
    listing(host, "a.txt", following=host.url(TREE))
    entry = await service.fetch("x.safetensors", {"huggingface": "org/repo"})
    assert (entry["status"], entry["code"]) == ("error", "not_at_source"), entry
    assert len(host.asked(TREE)) == 3


@pytest.mark.parametrize("kind", ["datasets", "spaces"])
async def test_datasets_and_spaces_are_searched_where_they_are(service: Service, host: Host, kind: str) -> None:
    host.offer(f"/api/{kind}/org/repo/tree/main", b"[]", content_type="application/json")
    entry = await service.fetch("x.safetensors", {"huggingface": f"hf://{kind}/org/repo"})
    assert entry["code"] == "not_at_source" and len(host.asked(f"/api/{kind}/org/repo/tree/main")) == 1


async def test_several_files_of_the_name_are_listed(service: Service, host: Host) -> None:
    listing(host, "a/x.safetensors", "b\ud800/x.safetensors", "c.txt")
    entry = await service.fetch("x.safetensors", {"huggingface": "org/repo"})
    assert entry["code"] == "conflict"
    assert entry["details"]["candidates"] == ["a/x.safetensors", "b?/x.safetensors"]


@pytest.mark.parametrize("silent", [TREE, "/org/repo/resolve/main/x.safetensors"])
async def test_a_silent_hub_holds_none_of_the_threads_comfyui_shares(service: Service, host: Host, silent: str) -> None:
    # ComfyUI's threads cut down to one, so that a single call that waits in them is noticed.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    reached = asyncio.Event()
    listing(host, "a.txt")
    answer = host.offer(silent, b"[]", headers=dict(host.answers[silent].headers), status=host.answers[silent].status)
    answer.silent, answer.on_request = True, lambda seen: reached.set()
    run = await service.downloads.fetch_one("x.safetensors", {"huggingface": "org/repo"})
    await asyncio.wait_for(reached.wait(), 60)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 60) == "free"
    await asyncio.wait_for(service.downloads.stop(run.id, None, "cancelled"), 60)
    assert run.items[0].state == "cancelled"
