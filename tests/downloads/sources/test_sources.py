"""Lookups at Hugging Face and CivitAI: metadata, and the errors of each refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.sources import civitai
from comfyui_uiapi.downloads.sources.references import CivitaiFile, read_reference
from comfyui_uiapi.tests.downloads.conftest import Pauses, Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256
from comfyui_uiapi.tests.harness.models.model_sites import COMMIT, civitai_file, civitai_version, hub_file

SIZE = 300_000


@pytest.fixture
def settings(host: Host, other_host: Host) -> Settings:
    """The scripted host stands for every endpoint, the other one for where the bytes are."""
    mirror = host.url("")
    named = (host.authority, other_host.authority)
    return Settings(allowed_hosts=named, hf_endpoint=mirror, civitai_endpoint=mirror)


@pytest.fixture(autouse=True)
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_API_TOKEN", "civitai-sesame")
    monkeypatch.setenv("HF_TOKEN", "hf-sesame-open")


# -- Hugging Face ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "definition",
    [
        {"url": "{host}/org/repo/resolve/main/sub/x.safetensors"},
        {"url": "{host}/org/repo/blob/main/sub/x.safetensors?download=true"},
        {"huggingface": "org/repo/sub/x.safetensors"},
        {"huggingface": "hf://org/repo@main/sub/x.safetensors"},
        {"url": "{host}/org/repo/tree/main/sub"},
    ],
)
async def test_a_file_of_the_hub_is_fetched_by_its_commit_and_verified_by_its_hash(
    service: Service, host: Host, other_host: Host, definition: dict[str, str]
) -> None:
    data = model_bytes(SIZE)
    hub_file(host, other_host, "sub/x.safetensors", data)
    filled = {key: value.replace("{host}", host.url("")) for key, value in definition.items()}
    entry = await service.fetch("x.safetensors", filled)
    assert entry["status"] == "success", entry
    assert entry["source"] == "huggingface" and COMMIT in entry["url"]
    assert {seen.headers["authorization"] for seen in host.seen} == {"Bearer hf-sesame-open"}
    assert other_host.seen and all("authorization" not in seen.headers for seen in other_host.seen)
    assert service.path("x.safetensors").read_bytes() == data


async def test_a_file_of_the_hub_that_has_not_its_own_hash_does_not_land(
    service: Service, host: Host, other_host: Host
) -> None:
    data = model_bytes(SIZE)
    hub_file(host, other_host, "x.safetensors", data)
    other_host.answers[f"/cdn/{sha256(data)}"].data = model_bytes(SIZE, seed=2)
    entry = await service.fetch("x.safetensors", {"huggingface": "org/repo/x.safetensors"})
    assert entry["code"] == "hash_mismatch" and not service.path("x.safetensors").exists()


def hub_listing(host: Host, *paths: str) -> None:
    """Offer the list of the files of the repository."""
    tree = [{"type": "file", "path": path, "size": 1, "oid": "0"} for path in paths]
    host.offer("/api/models/org/repo/tree/main", json.dumps(tree).encode(), content_type="application/json")
    info = {"id": "org/repo", "siblings": [{"rfilename": path} for path in paths]}
    for path in ("/api/models/org/repo", "/api/models/org/repo/revision/main"):
        host.offer(path, json.dumps(info).encode(), content_type="application/json")


async def test_a_file_of_the_same_name_in_another_folder_is_not_the_one_that_was_named(
    service: Service, host: Host, other_host: Host
) -> None:
    hub_file(host, other_host, "other/x.safetensors", model_bytes(SIZE))
    hub_listing(host, "other/x.safetensors")
    gone = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
    host.offer("/org/repo/resolve/main/sub/x.safetensors", status=404, headers=gone)
    entry = await service.fetch("x.safetensors", {"huggingface": "org/repo/sub/x.safetensors"})
    assert (entry["code"], service.path("x.safetensors").exists()) == ("not_at_source", False), entry


async def test_a_repository_alone_is_searched_for_the_models_name(
    service: Service, host: Host, other_host: Host
) -> None:
    data = model_bytes(SIZE)
    hub_file(host, other_host, "split/vae/x.safetensors", data)
    host.offer(
        "/org/repo/resolve/main/x.safetensors",
        status=404,
        headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT},
    )
    hub_listing(host, "a.txt", "split/vae/x.safetensors")
    entry = await service.fetch("x.safetensors", {"huggingface": "org/repo"})
    assert entry["status"] == "success", entry
    assert "split/vae/x.safetensors" in entry["url"]


@pytest.mark.parametrize(
    ("status", "error_code", "code", "says"),
    [
        (403, "GatedRepo", "gated", "accept its terms at"),
        (401, "GatedRepo", "gated", "accept its terms at"),
        (401, "RepoNotFound", "not_at_source", "org/repo"),
        (404, "RepoNotFound", "not_at_source", "org/repo"),
        (404, "RevisionNotFound", "not_at_source", "revision"),
        (404, "EntryNotFound", "not_at_source", "x.safetensors"),
        (429, None, "rate_limited", "later"),
        (500, None, "source_failed", "org/repo"),
    ],
)
async def test_each_refusal_of_the_hub_has_its_own_code(
    service: Service, host: Host, status: int, error_code: str | None, code: str, says: str
) -> None:
    headers = {"X-Error-Code": error_code} if error_code else {}
    host.offer("/org/repo/resolve/main/x.safetensors", status=status, headers=headers)
    entry = await service.fetch("x.safetensors", {"huggingface": "org/repo/x.safetensors"})
    assert (entry["status"], entry["code"]) == ("error", code), entry
    assert says in entry["error"]
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_without_a_token_a_missing_repository_may_also_be_a_closed_one(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    host.offer("/org/repo/resolve/main/x.safetensors", status=401)
    entry = await service.fetch("x.safetensors", {"huggingface": "org/repo/x.safetensors"})
    assert entry["code"] == "login_required" and "HF_TOKEN" in entry["error"]
    assert all("authorization" not in seen.headers for seen in host.seen)


async def test_offline_mode_of_the_hub_is_honoured(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    entry = await service.fetch("x.safetensors", {"huggingface": "org/repo/x.safetensors"})
    assert entry["code"] == "offline" and host.seen == []


# -- CivitAI --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        "https://civitai.com/models/12?modelVersionId=34",
        "https://civitai.com/models/12/some-name",
        "https://civitai.red/api/download/models/34",
        "urn:air:sdxl:lora:civitai:12@34",
        "12@34",
    ],
)
async def test_a_file_of_civitai_is_fetched_through_the_mirror_and_verified(
    service: Service, host: Host, reference: str
) -> None:
    data = model_bytes(SIZE)
    civitai_version(host, [civitai_file("x.safetensors", data, primary=True)])
    host.redirect("/api/download/models/34", host.url("/bucket/x?X-Amz-Signature=secret"), 307)
    host.offer("/bucket/x", data)
    entry = await service.fetch("x.safetensors", {"civitai": reference})
    assert entry["status"] == "success", entry
    assert service.path("x.safetensors").read_bytes() == data
    asked = host.asked("/api/v1/model-versions/34") + host.asked("/api/v1/models/12")
    assert all(seen.headers["authorization"] == "Bearer civitai-sesame" for seen in asked)
    assert "mozilla" not in asked[0].headers["user-agent"].lower()
    assert not any("civitai-sesame" in seen.path for seen in host.seen)


async def test_a_file_of_civitai_that_has_not_its_own_hash_does_not_land(service: Service, host: Host) -> None:
    civitai_version(host, [civitai_file("x.safetensors", model_bytes(SIZE), primary=True)])
    host.offer("/api/download/models/34", model_bytes(SIZE, seed=2))
    entry = await service.fetch("x.safetensors", {"civitai": "12@34"})
    assert entry["code"] == "hash_mismatch" and not service.path("x.safetensors").exists()


async def test_a_model_in_early_access_says_until_when(service: Service, host: Host) -> None:
    early = {"availability": "EarlyAccess", "earlyAccessEndsAt": "2026-12-24T00:00:00Z"}
    civitai_version(host, [civitai_file("x.safetensors", model_bytes(SIZE), primary=True)], **early)
    host.offer("/api/download/models/34", b"{}", status=403, content_type="application/json")
    entry = await service.fetch("x.safetensors", {"civitai": "12@34"})
    assert entry["code"] == "early_access" and "2026-12-24" in entry["error"]


async def test_civitai_that_is_not_available_for_a_moment_is_asked_again(
    service: Service, host: Host, pauses: Pauses
) -> None:
    data = model_bytes(SIZE)
    civitai_version(host, [civitai_file("x.safetensors", data, primary=True)])
    host.answers["/api/v1/model-versions/34"].refusals += [503, (429, {"Retry-After": "9"})]
    host.offer("/api/download/models/34", data)
    entry = await service.fetch("x.safetensors", {"civitai": "12@34"})
    assert entry["status"] == "success", entry
    assert [*pauses] == [None, 9.0]


def choose(files: list[dict[str, Any]], reference: str, name: str) -> str:
    wanted: Any = read_reference("civitai", reference, Settings())
    return str(civitai._choose(files, wanted, name)["name"])


def test_among_several_files_the_one_that_was_meant_is_chosen() -> None:
    data = model_bytes(1000)
    files = [
        civitai_file("x.ckpt", data, id=1, primary=True, format="PickleTensor"),
        civitai_file("x_full.safetensors", data, id=2),
        civitai_file("x_pruned.safetensors", data, id=3, size="pruned"),
        civitai_file("x_vae.safetensors", data, id=4, type="VAE"),
    ]
    assert choose(files, "12@34", "x.ckpt") == "x.ckpt"
    assert choose(files, "12@34", "mine.safetensors") == "x_full.safetensors"
    assert choose(files, "12@34", "loras/x_pruned.safetensors") == "x_pruned.safetensors"
    assert choose(files, "air:a:b:civitai:12@34+4", "mine.safetensors") == "x_vae.safetensors"
    address = "https://civitai.com/api/download/models/34?type={}&format=SafeTensor&size={}"
    assert choose(files, address.format("Model", "pruned"), "mine.safetensors") == "x_pruned.safetensors"
    assert choose(files, address.format("VAE", "full"), "mine.safetensors") == "x_vae.safetensors"
    assert choose(files, "air:a:b:civitai:12@34.ckpt", "mine.safetensors") == "x.ckpt"
    with pytest.raises(UiapiError, match="no file 9"):
        choose(files, "air:a:b:civitai:12@34+9", "mine.safetensors")


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (401, "You must be logged in to download", "login_required"),
        (403, "This model is in early access until 2026-12-24", "early_access"),
        (404, "Model not found", "not_at_source"),
        (410, "Model archived", "gone_at_source"),
    ],
)
async def test_each_refusal_of_civitai_has_its_own_code_and_its_message(
    service: Service, host: Host, status: int, message: str, code: str
) -> None:
    civitai_version(host, [civitai_file("x.safetensors", model_bytes(SIZE), primary=True)])
    body = json.dumps({"error": "Unauthorized", "message": message}).encode()
    host.offer("/api/download/models/34", body, status=status, content_type="application/json")
    entry = await service.fetch("x.safetensors", {"civitai": "12@34"})
    assert (entry["status"], entry["code"]) == ("error", code), entry
    assert message in entry["error"]


async def test_a_model_that_one_host_of_civitai_lacks_is_requested_from_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    data = model_bytes(1000)
    version = {"id": 34, "files": [civitai_file("x.safetensors", data)]}

    async def ask(url: Any, engine: Any, secret: Any) -> dict[str, Any]:
        asked.append(url.host)
        if url.host != "civitai.red":
            raise UiapiError("not_at_source", "There is no such model.")
        return version

    monkeypatch.setattr(civitai, "_ask", ask)
    wanted = CivitaiFile(34)
    engine: Any = None
    offer = await civitai.look_up(wanted, "x.safetensors", Settings(), engine)
    assert asked == ["civitai.com", "civitai.red"]
    assert str(offer.url) == "https://civitai.red/api/download/models/34"
    assert offer.secret is not None
    assert "civitai.com:443" in offer.secret.hosts and "sesame" not in repr(offer)


async def test_a_pickle_that_civitais_scan_did_not_pass_is_refused() -> None:
    version = {"id": 34, "files": [civitai_file("x.ckpt", model_bytes(1000), scan="Danger")]}
    with pytest.raises(UiapiError) as caught:
        civitai._offer(version, CivitaiFile(34), "x.ckpt", "https://civitai.com", None)
    assert caught.value.code == "pickle_refused"
