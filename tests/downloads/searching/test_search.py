"""Searches at stand-ins for Hugging Face and CivitAI: what becomes a candidate, which is first, and what it costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.finding.candidate import Candidate
from comfyui_uiapi.downloads.searching.budget import Limits
from comfyui_uiapi.downloads.searching.hub import ORGANISATIONS
from comfyui_uiapi.downloads.searching.search import KEEP_SECONDS, Searches
from comfyui_uiapi.downloads.transfer.host_guard import HostGuard
from comfyui_uiapi.downloads.transfer.transfer_thread import Engine
from comfyui_uiapi.downloads.workflow.required_models import Need
from comfyui_uiapi.tests.harness.models.model_host import Host
from comfyui_uiapi.tests.harness.models.search_sites import Civitai, File, Hub

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


@dataclass
class Web:
    """Both hosts, the searches, and the clock they go by."""

    hub: Hub
    civitai: Civitai
    engine: Engine
    settings: Settings
    now: float = 0.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.searches = self.anew()

    def anew(self, **limits: Any) -> Searches:
        """Searches that remember nothing."""
        # The seconds of a request are not enough for every busy machine.
        patient = Limits(**{"seconds": 120, "each": 60, **limits})
        self.searches = Searches(self.settings, self.engine, patient, lambda: self.now)
        return self.searches

    async def find(self, *needs: Need) -> list[tuple[Candidate, ...]]:
        self.report = await self.searches.find(needs)
        return [self.searches.known(need).candidates for need in needs]

    @property
    def seen(self) -> int:
        return len(self.hub.host.seen) + len(self.civitai.host.seen)


@pytest.fixture
async def web(host: Host, other_host: Host, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    monkeypatch.setenv("HF_TOKEN", "hf-sesame-open")
    monkeypatch.setenv("CIVITAI_API_TOKEN", "civitai-sesame")
    settings = Settings(hf_endpoint=host.url(""), civitai_endpoint=other_host.url(""))
    engine = Engine(settings, HostGuard(settings))
    yield Web(Hub(host), Civitai(other_host), engine, settings)
    await engine.close()


def need(name: str, directory: str | None = None, **more: Any) -> Need:
    return Need(name, directory, **more)


async def test_a_file_of_a_well_known_organisation_has_its_facts_and_its_reason(web: Web) -> None:
    file = {"split_files/vae/x.safetensors": File(ONE, 5), "split_files/vae/y_x.safetensors": File(TWO)}
    web.hub.repo("Comfy-Org/Things_repackaged", file, licence="mit", downloads=77, gated="auto")
    [[found]] = await web.find(need("sub\\x.safetensors", "vae"))
    assert found == Candidate(
        name="x.safetensors",
        url=web.hub.host.url("/Comfy-Org/Things_repackaged/resolve/main/split_files/vae/x.safetensors"),
        origin="huggingface",
        why="A file of exactly this name is in Comfy-Org/Things_repackaged on Hugging Face.",
        directory="vae",
        size=5,
        sha256=ONE,
        gated=True,
        licence="mit",
        date="2025-03-04",
        downloads=77,
    )
    assert web.searches.known(need("sub/x.safetensors", "vae")).certain


async def test_other_repositories_are_found_by_the_words_of_the_name(web: Web) -> None:
    web.hub.repo("someone/Qwen-Image-Edit-2511-GGUF", {"qwen-image-edit-2511-Q4_K_M.gguf": File(ONE)})
    web.hub.repo("someone/other", {"a.safetensors": File(TWO)})
    [[found]] = await web.find(need("Qwen/qwen-image-edit-2511-Q4_K_M.gguf"))
    assert found.sha256 == ONE


async def test_civitai_is_searched_by_name_and_its_type_and_base_model_are_compared(web: Web) -> None:
    file = "dreamShaper_8.safetensors"
    web.civitai.model("Dream Shaper", "LORA", {file: File(ONE)}, stats={"downloadCount": 900})
    web.civitai.model("Dream Shaper XL", "Checkpoint", {file: File(TWO)}, baseModel="SDXL 1.0")
    web.civitai.model("Dream Shaper copy", "Checkpoint", {file: File(THREE), "near_" + file: File("4" * 64)})
    wanted = need(f"SD1_5/{file}", "checkpoints")
    [found] = await web.find(wanted)
    assert [candidate.sha256 for candidate in found] == [THREE, TWO, ONE]
    first = found[0]
    assert (first.directory, first.base_model, first.date) == ("checkpoints", "SD 1.5", "2024-01-02")
    assert (first.licence, first.downloads, first.gated) == ("commercial use: Image", 7, False)
    assert first.url.startswith(web.civitai.host.url("/api/download/models/"))
    assert not web.searches.known(wanted).certain


@pytest.mark.parametrize("known", [{"sha256": ONE}, {"autov2": ONE[:10]}])
async def test_a_file_with_the_hash_is_found_under_any_name_and_nothing_else_is_searched(
    web: Web, known: dict[str, str]
) -> None:
    web.civitai.model("Renamed", "LORA", {"another.safetensors": File(ONE)})
    web.hub.repo("Comfy-Org/Things", {"loras/x.safetensors": File(TWO)})
    wanted = need("x.safetensors", "loras", **known)
    [[found]] = await web.find(wanted)
    assert (found.name, found.sha256, found.origin) == ("another.safetensors", ONE, "civitai_hash")
    assert web.searches.known(wanted).certain and web.hub.host.seen == []


async def test_of_a_known_digest_no_file_with_another_one_is_a_candidate(web: Web) -> None:
    web.hub.repo("Comfy-Org/Things", {"loras/x.safetensors": File(TWO)})
    web.hub.repo("Kijai/Things", {"loras/x.safetensors": File(ONE)})
    [[found]] = await web.find(need("x.safetensors", "loras", sha256=ONE))
    assert found.sha256 == ONE


async def test_near_names_are_no_candidates(web: Web) -> None:
    names = (
        "Thing.safetensors",
        "thing.safetensors.txt",
        "thing-fp16.safetensors",
        "thing.ckpt",
        "xthing.safetensors",
        "thing.safetensors/y",
    )
    web.hub.repo("Comfy-Org/x", {f"vae/{name}": File(ONE) for name in names})
    web.civitai.model("thing", "VAE", {name: File(ONE) for name in names})
    assert await web.find(need("thing.safetensors", "vae")) == [()]
    assert web.report["complete"]


async def test_one_digest_is_certain_and_several_are_a_choice_for_the_person(web: Web) -> None:
    web.hub.repo("stabilityai/one", {"x.safetensors": File(ONE)}, downloads=5)
    web.hub.repo("Comfy-Org/copy", {"vae/x.safetensors": File(ONE)}, downloads=1)
    [[found]] = await web.find(need("x.safetensors", "vae"))
    assert "Comfy-Org/copy" in found.url and web.searches.known(need("x.safetensors", "vae")).certain
    web.anew()
    web.hub.repo("Kijai/other", {"x.safetensors": File(TWO)}, downloads=900)
    [found, other] = (await web.find(need("x.safetensors", "vae")))[0]
    assert (found.sha256, other.sha256) == (ONE, TWO)
    assert not web.searches.known(need("x.safetensors", "vae")).certain


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.fp16.safetensors", "model.safetensors", "unet.bin"])
async def test_a_name_that_thousands_of_files_have_is_never_certain(web: Web, name: str) -> None:
    web.hub.repo("Comfy-Org/one", {name: File(ONE)})
    assert len((await web.find(need(name)))[0]) == 1 and not web.searches.known(need(name)).certain


async def test_a_lora_of_the_name_is_not_taken_for_a_checkpoint(web: Web) -> None:
    web.hub.repo("Comfy-Org/one", {"loras/x.safetensors": File(ONE)})
    wanted = need("x.safetensors", "checkpoints")
    assert len((await web.find(wanted))[0]) == 1 and not web.searches.known(wanted).certain


# -- what it costs ---------------------------------------------------------------------------------------------


async def test_results_are_kept_for_a_while_and_lists_are_read_once_for_all_models(web: Web) -> None:
    web.hub.repo("Comfy-Org/one", {"vae/x.safetensors": File(ONE), "vae/y.safetensors": File(TWO)})
    await web.find(need("x.safetensors", "vae"), need("y.safetensors", "vae"))
    assert len(web.hub.host.asked("/api/models")) == len(ORGANISATIONS)
    asked = web.seen
    assert len((await web.find(need("x.safetensors", "vae")))[0]) == 1
    assert web.seen == asked and web.report["requests"] == 0 and web.report["complete"]
    web.now += KEEP_SECONDS + 1
    await web.find(need("x.safetensors", "vae"))
    assert web.seen > asked


async def test_a_search_sends_no_more_requests_than_its_budget_and_says_that_it_is_incomplete(web: Web) -> None:
    web.anew(requests=3)
    await web.find(*(need(f"{number}.safetensors") for number in range(50)))
    assert web.seen == 3 == web.report["requests"] and not web.report["complete"]


async def test_a_search_ends_with_its_seconds_though_its_hosts_are_silent(web: Web) -> None:
    web.hub.list.silent = web.civitai.list.silent = True
    web.anew(each=0.05)
    assert await asyncio.wait_for(web.find(need("thing.safetensors")), 60) == [()]
    hosts = {(failure["host"], failure["code"]) for failure in web.report["failures"]}
    assert (
        hosts == {(web.hub.host.authority, "timeout"), (web.civitai.host.authority, "timeout")}
        and not web.report["complete"]
    )


async def test_two_searches_do_not_run_at_a_time(web: Web) -> None:
    web.hub.repo("Comfy-Org/one", {"vae/x.safetensors": File(ONE)})
    wanted = need("x.safetensors", "vae")
    reports = await asyncio.gather(*(web.searches.find([wanted]) for _ in range(3)))
    assert sorted(report["requests"] > 0 for report in reports) == [False, False, True]


async def test_tokens_are_sent_to_their_own_host_only(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.hub.repo("Comfy-Org/one", {"vae/x.safetensors": File(ONE)})
    web.hub.list.headers["Link"] = f'<{web.civitai.host.url("/next")}>; rel="next"'
    web.civitai.host.redirect("/api/v1/model-versions/by-hash/" + TWO, web.hub.host.url("/elsewhere"))
    await web.find(need("x.safetensors", "vae"), need("z.safetensors", sha256=TWO))
    assert {seen.headers.get("authorization") for seen in web.civitai.host.seen} == {"Bearer civitai-sesame"}
    to_hub = {seen.path == "/elsewhere": seen.headers.get("authorization") for seen in web.hub.host.seen}
    assert to_hub == {True: None, False: "Bearer hf-sesame-open"}
    assert web.civitai.host.asked("/next") == []


# -- hostile and failing hosts ---------------------------------------------------------------------------------

BROKEN: dict[str, dict[str, Any]] = {
    "a page": {"data": b"<html>", "content_type": "text/html"},
    "another type": {"data": b'{"items": {"a": 1}, "siblings": 7}'},
    "a list of nothing": {"data": b'[null, 1, "a", [], {"id": 7}, {"id": "a/b", "siblings": {}}]'},
    "nonsense in every place": {
        "data": json.dumps(
            [{"id": "a/b", "tags": 1, "gated": [], "downloads": 1e300, "siblings": [1, {"rfilename": ["x"]}]}]
        ).encode()
    },
    "nested": {"data": b"[" * 100_000},
    "an error": {"status": 500},
    "a refusal": {"status": 403},
    "a limit": {"status": 429, "headers": {"Retry-After": "9999"}},
    "a redirect to another host": {"status": 302, "headers": {"Location": "https://elsewhere.example/"}},
    "half of it": {"data": b'[{"id": "a/b"', "length": 5000},
}


@pytest.mark.parametrize("how", [*BROKEN])
async def test_a_broken_answer_of_one_host_leaves_what_the_other_found(web: Web, how: str) -> None:
    web.civitai.model("thing", "VAE", {"thing.safetensors": File(ONE)})
    web.hub.host.offer("/api/models", **{"content_type": "application/json", **BROKEN[how]})
    [[found]] = await web.find(need("thing.safetensors", "vae"))
    assert found.sha256 == ONE
    web.anew()
    web.hub.list = web.hub.host.offer("/api/models", b"[]", content_type="application/json")
    Hub(web.hub.host).repo("Comfy-Org/one", {"vae/thing.safetensors": File(TWO)})
    web.civitai.host.offer("/api/v1/models", **{"content_type": "application/json", **BROKEN[how]})
    [[found]] = await web.find(need("thing.safetensors"))
    assert found.sha256 == TWO


async def test_a_host_that_limits_requests_is_not_asked_again(web: Web) -> None:
    web.hub.host.offer("/api/models", status=429)
    await web.find(*(need(f"{number}.safetensors") for number in range(9)))
    # Those that were under way at the time.
    assert len(web.hub.host.asked("/api/models")) <= 4
    assert [failure["code"] for failure in web.report["failures"]] == ["rate_limited"]


async def test_paths_and_names_that_lead_elsewhere_are_left_out(web: Web) -> None:
    paths = (
        "../../other/thing.safetensors",
        "a//thing.safetensors",
        "a/./thing.safetensors",
        "a\\b/thing.safetensors",
        "\n/thing.safetensors",
    )
    web.hub.repo("Comfy-Org/one", {path: File(ONE) for path in paths})
    for repo in ("../x", "Comfy-Org/..", "a/b/c", "a b/c", "a/b?x"):
        web.hub.repo(repo, {"thing.safetensors": File(TWO)})
    web.civitai.model("thing", "VAE", {"../thing.safetensors": File(ONE), "a/thing.safetensors": File(ONE)})
    web.civitai.model("thing", "VAE", {"thing.safetensors": File(THREE)}, id="../../evil")
    assert await web.find(need("thing.safetensors")) == [()]


async def test_ten_thousand_entries_leave_a_few_candidates_and_a_few_requests(web: Web) -> None:
    for number in range(300):
        files = {f"{place}/thing.safetensors": File(f"{number:032x}{place:032x}") for place in range(34)}
        web.hub.repo(f"Kijai/x-{number}", files)
    for number in range(100):
        web.civitai.model(f"thing {number}", "VAE", {"thing.safetensors": File(f"{number:064x}")})
    [found] = await web.find(need("thing.safetensors"))
    assert 2 <= len(found) <= 10 and web.report["requests"] < 25


async def test_a_switched_off_hub_is_not_asked_and_civitai_is(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    web.civitai.model("thing", "VAE", {"thing.safetensors": File(ONE)})
    assert len((await web.find(need("thing.safetensors")))[0]) == 1
    assert web.hub.host.seen == [] and [failure["code"] for failure in web.report["failures"]] == ["offline"]
