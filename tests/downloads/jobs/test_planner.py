"""Plans: what a download would do, without downloading."""

from __future__ import annotations

import json
from typing import Any

import pytest
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.storage import hash_cache, ledger, partial_file
from comfyui_uiapi.downloads.storage.file_check import sha256_of
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256
from comfyui_uiapi.tests.harness.models.model_sites import civitai_file, civitai_version, hub_file, workflow

SIZE = 300_000


@pytest.fixture
def settings(host: Host, other_host: Host) -> Settings:
    """The scripted host stands for every endpoint, the other one for where the bytes are."""
    mirror = host.url("")
    return Settings(allowed_hosts=(other_host.authority,), hf_endpoint=mirror, civitai_endpoint=mirror)


def named(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in plan["models"]}


async def test_a_plan_has_sizes_hashes_totals_and_the_free_space_of_each_disk(
    service: Service, host: Host, other_host: Host
) -> None:
    data = {name: model_bytes(SIZE + seed, seed) for seed, name in enumerate(("hub", "civitai", "plain"), 1)}
    hub_file(host, other_host, "hub.safetensors", data["hub"])
    civitai_version(host, [civitai_file("civitai.safetensors", data["civitai"], primary=True)])
    host.redirect("/api/download/models/34", other_host.url("/civitai"))
    other_host.offer("/civitai", data["civitai"])
    other_host.offer("/plain", data["plain"])
    service.path("there.safetensors", "vae").write_bytes(model_bytes(200))
    muted = workflow(("muted.safetensors", "vae", None))["nodes"][0] | {"mode": 2, "id": 99}
    wanted = workflow(
        ("hub.safetensors", "checkpoints", host.url("/org/repo/resolve/main/hub.safetensors")),
        ("civitai.safetensors", "loras", "https://civitai.com/models/12?modelVersionId=34"),
        ("plain.safetensors", "loras", other_host.url("/plain")),
        ("there.safetensors", "vae", other_host.url("/plain")),
    )
    wanted["nodes"].append(muted)
    plan = await service.downloads.plan(wanted, {})
    models = named(plan)
    actions = {name.partition(".")[0]: model["action"] for name, model in models.items()}
    assert actions == {
        "hub": "download",
        "civitai": "download",
        "plain": "download",
        "there": "present",
        "muted": "not_needed",
    }
    for name, content in data.items():
        model = models[f"{name}.safetensors"]
        assert model["size"] == model["remaining"] == len(content) and model["gated"] is False
        assert model["sha256"] == (None if name == "plain" else sha256(content))
    assert models["hub.safetensors"]["path"] == str(service.path("hub.safetensors"))
    total = sum(map(len, data.values()))
    assert plan["totals"] == {
        "models": 5,
        "present": 1,
        "damaged": 0,
        "spelled_differently": 0,
        "relink": 0,
        "choose": 0,
        "download": 3,
        "link": 0,
        "blocked": 0,
        "bytes": total,
        "unknown_sizes": 0,
    }
    (disk,) = plan["disks"]
    assert disk["needed"] == total and disk["fits"] is True and disk["free"] > total
    assert plan["verdict"] == "ready"
    assert sum(other_host.sent.values()) <= 2
    assert service.folders.files() == ["models/vae/there.safetensors"]


async def test_a_plan_has_the_size_that_civitai_says_where_its_host_says_none(
    service: Service, host: Host, other_host: Host
) -> None:
    data = model_bytes(SIZE)
    civitai_version(host, [civitai_file("x.safetensors", data, primary=True)])
    host.redirect("/api/download/models/34", other_host.url("/x"))
    other_host.offer("/x", data, ranges=False, framing="close")
    wanted = workflow(("x.safetensors", "loras", "https://civitai.com/models/12?modelVersionId=34"))
    [model] = (await service.downloads.plan(wanted, {}))["models"]
    assert (model["action"], model["size"]) == ("download", SIZE)


async def test_a_plan_names_what_stands_in_the_way_with_its_fix(service: Service, host: Host, other_host: Host) -> None:
    gated = {"X-Error-Code": "GatedRepo"}
    host.offer("/org/gated/resolve/main/x.safetensors", status=403, headers=gated)
    civitai_version(
        host,
        [civitai_file("early.safetensors", model_bytes(SIZE), primary=True)],
        availability="EarlyAccess",
        earlyAccessEndsAt="2026-12-24T00:00:00Z",
    )
    host.offer("/api/download/models/34", b"{}", status=403, content_type="application/json")
    other_host.offer("/page", b"<html>" * 100, content_type="text/html")
    plan = await service.downloads.plan(
        workflow(
            ("gated.safetensors", "checkpoints", host.url("/org/gated/resolve/main/x.safetensors")),
            ("early.safetensors", "checkpoints", "urn:air:sdxl:lora:civitai:12@34"),
            ("gone.safetensors", "checkpoints", other_host.url("/gone")),
            ("page.safetensors", "checkpoints", other_host.url("/page")),
            ("far.safetensors", "checkpoints", "https://elsewhere.example/x.safetensors"),
            ("old.ckpt", "checkpoints", other_host.url("/old")),
            ("folder.safetensors", "depth_models", other_host.url("/page")),
            ("nowhere.safetensors", "checkpoints", None),
        ),
        {},
    )
    models = named(plan)
    reasons = {name: model["reason"]["code"] for name, model in models.items()}
    assert reasons == {
        "gated.safetensors": "gated",
        "early.safetensors": "early_access",
        "gone.safetensors": "not_at_source",
        "page.safetensors": "not_a_model",
        "far.safetensors": "host_refused",
        "old.ckpt": "pickle_refused",
        "folder.safetensors": "unknown_folder",
        "nowhere.safetensors": "no_url",
    }
    assert models["gated.safetensors"]["gated"] is True
    assert host.url("/org/gated") in models["gated.safetensors"]["reason"]["message"]
    assert "2026-12-24" in models["early.safetensors"]["reason"]["message"]
    assert "UIAPI_ALLOWED_HOSTS=elsewhere.example" in models["far.safetensors"]["reason"]["message"]
    assert (plan["verdict"], plan["totals"]["blocked"], plan["disks"]) == ("blocked", 8, [])


async def test_a_plan_says_when_the_disk_has_no_space(
    service: Service, other_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_host.offer("/x", model_bytes(SIZE))
    monkeypatch.setattr("comfyui_uiapi.downloads.jobs.planner.DISK_RESERVE", 1 << 60)
    plan = await service.downloads.plan(workflow(("x.safetensors", "checkpoints", other_host.url("/x"))), {})
    assert plan["verdict"] == "disk_full" and plan["disks"][0]["fits"] is False


async def test_a_plan_counts_what_a_partial_already_holds(service: Service, other_host: Host) -> None:
    data = model_bytes(SIZE)
    other_host.offer("/x", data)
    left = partial_file.Partial(service.path("x.safetensors"))
    left.open()
    left.allocate(SIZE, fresh=True)
    left.note(ledger.Identity(SIZE, '"one"', None, other_host.url("/x")), [(100_000, SIZE)])
    left.close()
    plan = await service.downloads.plan(workflow(("x.safetensors", "checkpoints", other_host.url("/x"))), {})
    assert plan["models"][0]["remaining"] == plan["totals"]["bytes"] == SIZE - 100_000


async def test_an_identical_file_under_another_name_is_linked_instead_of_fetched(
    service: Service, host: Host, other_host: Host
) -> None:
    data = model_bytes(SIZE)
    same_file = service.path("sub/other-name.safetensors", "loras")
    same_file.parent.mkdir()
    same_file.write_bytes(data)
    service.path("same-size.safetensors", "vae").write_bytes(model_bytes(SIZE, 2))
    hub_file(host, other_host, "x.safetensors", data)
    wanted = workflow(("x.safetensors", "checkpoints", host.url("/org/repo/resolve/main/x.safetensors")))
    plan = await service.downloads.plan(wanted, {})
    assert (plan["models"][0]["action"], plan["models"][0]["url"]) == ("link", str(same_file))
    assert (plan["totals"]["link"], plan["totals"]["bytes"], plan["verdict"]) == (1, 0, "ready")
    run = await service.downloads.begin(wanted, {})
    status = await service.ended(run)
    assert status["progress"]["x.safetensors"]["source"] == "disk", status
    assert service.path("x.safetensors").samefile(same_file) and other_host.seen == []


async def test_a_file_is_hashed_once_and_again_only_when_it_changed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    def noted(path: Any, stop: object = None) -> str:
        hashed.append(str(path))
        return sha256_of(path)

    monkeypatch.setattr(hash_cache, "sha256_of", noted)
    path = service.path("x.safetensors")
    for content in (b"one", b"two!"):
        path.write_bytes(content)
        for index in (service.state / "hashes.json", service.state / "hashes.json"):
            known = hash_cache.Hashes(index, service.downloads.places)
            assert await known.of(path) == sha256(content)
    assert len(hashed) == 2
    kept = json.loads((service.state / "hashes.json").read_text())
    assert [*kept["files"]] == [str(path)]


async def test_digests_that_cannot_be_kept_do_not_fail_a_download(service: Service, other_host: Host) -> None:
    data = model_bytes(SIZE)
    other_host.offer("/x", data)
    for broken in ("[]", '{"version": 9}', '{"version": 1, "files": {"x": 3}}'):
        service.state.mkdir(parents=True, exist_ok=True)
        (service.state / "hashes.json").write_text(broken)
        service.downloads = service.make()
        entry = await service.fetch("x.safetensors", {"url": other_host.url("/x"), "sha256": sha256(data)})
        await service.downloads.close()
        assert entry["status"] == "success", entry
        service.path("x.safetensors").unlink()
