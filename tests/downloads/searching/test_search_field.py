"""The models of public workflows, searched for at stand-ins that have every one of them among wrong neighbours."""

from __future__ import annotations

import csv
import hashlib
import re
import zlib
from pathlib import Path

from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.searching.budget import Limits
from comfyui_uiapi.downloads.searching.search import Searches
from comfyui_uiapi.downloads.transfer.host_guard import HostGuard
from comfyui_uiapi.downloads.transfer.transfer_thread import Engine
from comfyui_uiapi.downloads.workflow.required_models import Need
from comfyui_uiapi.tests.harness.models.model_host import Host
from comfyui_uiapi.tests.harness.models.search_sites import Civitai, File, Hub

# Models that public workflows name: the name in the widget, and the directory as far as it is known.
TABLE = Path(__file__).parent.with_name("finding") / "field_models.csv"
# Models of a workflow.
AT_A_TIME = 8
# CivitAI's types; it has none for text encoders and the like.
TYPES = {"loras": "LORA", "vae": "VAE", "controlnet": "Controlnet", "upscale_models": "Upscaler"}
TYPES |= dict.fromkeys(("", "checkpoints", "diffusion_models"), "Checkpoint")
LEAST = 0.95


def needs_of_the_field() -> list[Need]:
    with TABLE.open(encoding="utf-8", newline="") as table:
        return [Need(row["model"], row["directory"] or None) for row in csv.DictReader(table)]


def name_of(need: Need) -> str:
    return need.name.replace("\\", "/").rpartition("/")[2]


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def publish(hub: Hub, civitai: Civitai, name: str, folder: str | None, *, known: bool) -> str:
    """Publish a file as one of three kinds of people do, and return its digest.

    Args:
        known: whether every workflow that needs it says in which directory.
    """
    stem, _, ending = name.rpartition(".")
    right, maker = digest_of(name), zlib.crc32(name.encode())
    words = re.split(r"[_ -]+", stem)
    if maker % 3 == 0:
        path = f"split_files/{folder}/{name}" if folder else name
        hub.repo(f"Comfy-Org/{'_'.join(words[:2])}_{maker}", {path: File(right)})
    elif maker % 3 == 1:
        hub.repo(f"maker{maker % 50}/{'-'.join(words[:3]).title()}-ComfyUI", {name: File(right)})
    else:
        title = re.sub(r"([a-z])([A-Z])", r"\1 \2", " ".join(words[:2]))
        civitai.model(f"{title} by maker", TYPES.get(folder or "", "Other"), {name: File(right)})
    if folder and known:
        # The same name for something else, which more people downloaded.
        other = "loras" if folder != "loras" else "vae"
        hub.repo(f"Kijai/{maker}", {f"{other}/{name}": File(digest_of("wrong" + name))}, downloads=9000)
        civitai.model(" ".join(words[:2]), TYPES[other], {name: File(digest_of("worse" + name))})
    near = {f"{stem}-copy.{ending}", f"{stem}.{ending}.txt", f"{stem.swapcase()}.{ending}", f"old_{name}"}
    wrong = {f"{place}/{one}": File(digest_of(f"{place}/{one}")) for place in ("vae", "a") for one in near - {name}}
    hub.repo(f"neighbour{maker % 70}/{'-'.join(words[:2])}-near", wrong, downloads=5000)
    civitai.model(" ".join(words[:2]) + " near", "LORA", {one: File(digest_of(one)) for one in near - {name}})
    return right


async def test_nearly_every_model_that_workflows_need_is_found_first_among_wrong_neighbours(
    host: Host, other_host: Host
) -> None:
    hub, civitai = Hub(host), Civitai(other_host)
    settings = Settings(hf_endpoint=host.url(""), civitai_endpoint=other_host.url(""))
    needed = needs_of_the_field()
    folders = {name_of(need): need.directory for need in needed}
    vague = {name_of(need) for need in needed if need.directory is None}
    rights = {name: publish(hub, civitai, name, folder, known=name not in vague) for name, folder in folders.items()}
    engine = Engine(settings, HostGuard(settings))
    # The seconds of a search are not enough for every busy machine.
    searches = Searches(settings, engine, Limits(seconds=240, each=60))
    most, wrong, first = 0, [], 0
    for start in range(0, len(needed), AT_A_TIME):
        needs = needed[start : start + AT_A_TIME]
        report = await searches.find(needs)
        most = max(most, report["requests"])
        assert report["complete"], report
        for need in needs:
            found = searches.known(need).candidates
            assert all(candidate.name == name_of(need) for candidate in found)
            if found and found[0].sha256 == rights[name_of(need)]:
                first += 1
            else:
                wrong.append(need.name)
    await engine.close()
    said = f"{first} of {len(needed)} have the right candidate first, with at most {most} requests; others: {wrong}"
    assert first >= LEAST * len(needed), said
