"""A missing model that is on the disk under another path is relinked or chosen, and is never downloaded again."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.workflow import disk_copies
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.models.node_reader import Listed, Reader, classes_of, graph, node, put

NAME = "some.safetensors"


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def held(name: str = NAME, kind: str = "Checkpoint", node_id: int = 1, **more: Any) -> dict[str, Any]:
    values = [0, "fixed", name, 1.0] if kind == "Lora" else [name]
    return node(kind, values, node_id, **more)


def recorded(name: str, content: bytes, url: str = "") -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    record = {"name": name, "directory": "checkpoints", "url": url, "hash": digest, "hash_type": "SHA256"}
    return held(name, properties={"models": [record]})


def link(value: str, listed: str, reason: str = "relink") -> dict[str, Any]:
    return {"node": "1", "widget": "ckpt_name", "value": value, "listed": listed, "reason": reason}


async def described(reader: Reader, *nodes: dict[str, Any]) -> dict[str, Any]:
    [need] = await reader.analysis.describe(graph(*nodes))
    return need


# -- one file ---------------------------------------------------------------------------------------------------------


MOVED = [
    (NAME, f"sub/{NAME}"),
    (f"sub/{NAME}", NAME),
    (f"sub\\{NAME}", f"other/deep/{NAME}"),
    ("SOME.SafeTensors", f"sub/{NAME}"),
    (f"C:\\models\\{NAME}", NAME),
]


@pytest.mark.parametrize(("value", "listed"), MOVED)
async def test_the_only_file_of_that_name_is_proposed_whatever_its_subfolder_and_letter_case(
    reader: Reader, value: str, listed: str
) -> None:
    path = put(reader, "checkpoints", listed)
    need = await described(reader, held(value))
    assert (need["state"], need["listed"], need["path"], need["exists"]) == ("relink", listed, str(path), False)
    [copy] = need["copies"]
    said = {"directory": "checkpoints", "name": listed, "size": 200, "match": "name", "here": True, "damage": None}
    assert said.items() <= copy.items() and copy["modified"] == path.stat().st_mtime
    relinks = await reader.analysis.relinks(graph(held(value)), {})
    assert (relinks.links, relinks.unchosen) == ([link(value, listed)], [])
    assert await reader.analysis.absent(graph(held(value))) == []


async def test_a_file_in_the_list_that_a_class_makes_itself_is_proposed(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Listed, "files", ["none", f"sub/{NAME}"])
    reader.classes["Listed"] = Listed
    put(reader, "checkpoints", f"sub/{NAME}")
    need = await described(reader, held(kind="Listed"))
    assert (need["state"], need["listed"]) == ("relink", f"sub/{NAME}")


async def test_every_widget_that_names_the_model_is_relinked_also_of_muted_nodes(reader: Reader) -> None:
    put(reader, "checkpoints", f"sub/{NAME}")
    workflow = graph(held(), held(node_id=2, mode=2))
    assert [one["node"] for one in (await reader.analysis.relinks(workflow, {})).links] == ["1", "2"]


@pytest.mark.parametrize("kind", ["NotInstalled", "UnetLoaderGGUF"])
async def test_a_node_whose_type_is_not_installed_cannot_be_relinked(reader: Reader, kind: str) -> None:
    put(reader, "diffusion_models", f"sub/{NAME}")
    need = await described(reader, held(kind=kind))
    assert (need["state"], [copy["here"] for copy in need["copies"]]) == ("missing", [False])
    assert (await reader.analysis.relinks(graph(held(kind=kind)), {})).links == []


async def test_a_damaged_file_is_never_proposed(reader: Reader) -> None:
    put(reader, "checkpoints", f"sub/{NAME}").write_bytes(b"")
    need = await described(reader, held())
    assert need["state"] == "missing" and "is damaged" in need["copies"][0]["damage"]


async def test_a_file_name_that_many_models_have_says_nothing(reader: Reader) -> None:
    name = "diffusion_pytorch_model.fp16.safetensors"
    put(reader, "checkpoints", f"sdxl/{name}")
    need = await described(reader, held(f"flux/{name}"))
    assert (need["state"], [copy["name"] for copy in need["copies"]]) == ("missing", [f"sdxl/{name}"])
    relinks = await reader.analysis.relinks(graph(held(f"flux/{name}")), {f"flux/{name}": f"sdxl/{name}"})
    assert relinks.links == [link(f"flux/{name}", f"sdxl/{name}", "choose")]


# -- several files ----------------------------------------------------------------------------------------------------


def two(reader: Reader, first: bytes, second: bytes) -> list[str]:
    names = [f"a/{NAME}", f"b/{NAME}"]
    for name, content in zip(names, [first, second], strict=True):
        put(reader, "checkpoints", name).write_bytes(content)
    return names


@pytest.mark.parametrize("size", [200, 300])
async def test_of_two_different_files_the_person_chooses_by_size_and_date(reader: Reader, size: int) -> None:
    names = two(reader, model_bytes(200, 1), model_bytes(size, 2))
    os.utime(reader.folders.root("checkpoints") / names[0], (5, 5))
    need = await described(reader, held())
    assert (need["state"], need["path"], need["listed"], need["exists"]) == ("choose", None, None, False)
    assert [(copy["name"], copy["size"]) for copy in need["copies"]] == [(names[0], 200), (names[1], size)]
    assert need["copies"][0]["modified"] == 5
    relinks = await reader.analysis.relinks(graph(held()), {})
    assert relinks.links == []
    assert [(one["name"], len(one["copies"])) for one in relinks.unchosen] == [(NAME, 2)]
    chosen = await reader.analysis.relinks(graph(held()), {NAME: names[1]})
    assert (chosen.links, chosen.unchosen) == ([link(NAME, names[1], "choose")], [])
    assert await reader.analysis.absent(graph(held())) == []


async def test_of_two_files_with_the_same_content_the_first_is_taken(reader: Reader) -> None:
    names = two(reader, model_bytes(200), model_bytes(200))
    # Only a plan or a relink computes the digests.
    assert (await described(reader, held()))["state"] == "choose"
    assert (await reader.analysis.relinks(graph(held()), {})).links == [link(NAME, names[0])]
    need = await described(reader, held())
    assert (need["state"], need["listed"]) == ("relink", names[0])


async def test_two_names_of_one_file_are_no_choice(reader: Reader) -> None:
    path = put(reader, "checkpoints", f"a/{NAME}")
    (path.parents[1] / "b").mkdir()
    os.link(path, path.parents[1] / "b" / NAME)
    assert (await described(reader, held()))["state"] == "relink"


async def test_comparing_has_an_end_after_which_the_person_chooses(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    two(reader, model_bytes(200), model_bytes(200))
    monkeypatch.setattr(disk_copies, "COMPARE_TIMEOUT", 0.0)
    assert len((await reader.analysis.relinks(graph(held()), {})).unchosen) == 1


@pytest.mark.parametrize(
    ("choices", "code"),
    [({"else.safetensors": "x"}, "unknown_model"), ({NAME: "not/listed.safetensors"}, "invalid")],
)
async def test_a_choice_that_cannot_be_followed_is_an_error(reader: Reader, choices: dict[str, str], code: str) -> None:
    two(reader, model_bytes(200, 1), model_bytes(200, 2))
    with pytest.raises(UiapiError) as caught:
        await reader.analysis.relinks(graph(held()), choices)
    assert caught.value.code == code


async def test_a_choice_for_a_model_that_is_present_is_an_error(reader: Reader) -> None:
    put(reader, "checkpoints", NAME)
    with pytest.raises(UiapiError, match="is present") as caught:
        await reader.analysis.relinks(graph(held()), {NAME: NAME})
    assert caught.value.code == "invalid"


# -- the digest -------------------------------------------------------------------------------------------------------


async def test_the_digest_decides_over_the_name(reader: Reader) -> None:
    wanted, other = model_bytes(200, 1), model_bytes(200, 2)
    two(reader, wanted, other)
    put(reader, "checkpoints", "renamed.safetensors").write_bytes(wanted)
    workflow = graph(recorded("gone.safetensors", wanted))
    assert (await described(reader, *workflow["nodes"]))["state"] == "missing"
    # Nothing is hashed for the search.
    await reader.analysis.presence.learn([str(reader.folders.root("checkpoints") / "renamed.safetensors")])
    need = await described(reader, *workflow["nodes"])
    assert (need["state"], need["listed"]) == ("relink", "renamed.safetensors")
    assert [copy["match"] for copy in need["copies"]] == ["digest"]
    need = await described(reader, recorded(NAME, wanted))
    assert (need["state"], need["listed"]) == ("relink", "renamed.safetensors")


async def test_a_file_of_that_name_with_another_digest_is_another_model(reader: Reader) -> None:
    path = put(reader, "checkpoints", f"sub/{NAME}")
    await reader.analysis.presence.learn([str(path)])
    need = await described(reader, recorded(NAME, model_bytes(200, 9)))
    assert need["state"] == "missing" and "SHA-256" in need["copies"][0]["damage"]


# -- other folders, similar names -------------------------------------------------------------------------------------


async def test_a_file_in_another_folder_is_reported_and_never_taken(reader: Reader) -> None:
    path = put(reader, "checkpoints", f"sub/{NAME}")
    need = await described(reader, held(kind="Lora"))
    assert (need["state"], need["path"]) == ("missing", None)
    [copy] = need["copies"]
    assert (copy["directory"], copy["name"], copy["path"], copy["here"]) == (
        "checkpoints",
        f"sub/{NAME}",
        str(path),
        False,
    )
    assert (await reader.analysis.relinks(graph(held(kind="Lora")), {})).links == []


async def test_similar_names_are_shown_and_used_only_by_choice(reader: Reader) -> None:
    listed = ["some_model_v1.0.safetensors", "some_model_v2.0.ckpt", "quite_another.safetensors"]
    for name in listed:
        put(reader, "checkpoints", f"sub/{name}")
    name = "some_model_v1.1.safetensors"
    need = await described(reader, held(name))
    assert (need["state"], need["similar"]) == ("missing", ["sub/some_model_v1.0.safetensors"])
    assert (await reader.analysis.relinks(graph(held(name)), {})).links == []
    chosen = await reader.analysis.relinks(graph(held(name)), {name: need["similar"][0]})
    assert chosen.links == [link(name, need["similar"][0], "choose")]


async def test_comparing_names_is_bounded_however_many_files_and_models_there_are(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = Counter[str]()

    class Counted(SequenceMatcher[str]):
        def quick_ratio(self) -> float:
            compared["quick"] += 1
            return super().quick_ratio()

        def ratio(self) -> float:
            compared["whole"] += 1
            return super().ratio()

    monkeypatch.setattr(disk_copies, "SequenceMatcher", Counted)
    files = [f"{'a' * 100}{number:05}.safetensors" for number in range(5000)]
    monkeypatch.setattr(reader.folders, "get_filename_list", lambda name: files if name == "checkpoints" else [])
    needs = await reader.analysis.describe(graph(*(held(f"{'a' * 100}{at}.ckpt", node_id=at) for at in range(1, 40))))
    assert len(needs) == 39 and len(needs[0]["similar"]) == disk_copies.MOST_SIMILAR
    assert compared["quick"] + compared["whole"] * 100 <= disk_copies.MOST_COMPARING


# -- listings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "folders"), [("there.safetensors", {"checkpoints"}), ("gone.safetensors", None)])
async def test_each_folder_is_listed_once_and_only_that_of_the_model_if_it_is_present(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, name: str, folders: set[str] | None
) -> None:
    put(reader, "checkpoints", "there.safetensors")
    workflow = graph(*(held(name, node_id=at) for at in range(1, 6)), held("b" + name, node_id=9))
    put(reader, "checkpoints", "bthere.safetensors")
    reader.read(workflow)
    listed = Counter[str]()
    original = reader.folders.get_filename_list

    def counted(folder: str) -> list[str]:
        listed[folder] += 1
        return original(folder)

    monkeypatch.setattr(reader.folders, "get_filename_list", counted)
    await reader.analysis.describe(workflow)
    assert set(listed) == (folders or set(reader.places.folders())) and set(listed.values()) == {1}


# -- plans and downloads ----------------------------------------------------------------------------------------------


@pytest.fixture
def loaders(service: Service, classes: dict[str, type]) -> Service:
    classes.update(classes_of(service.folders))
    return service


def lay(service: Service, name: str, content: bytes, folder: str = "checkpoints") -> Path:
    path = service.path(name, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def linked(one: Path, other: Path) -> bool:
    return one.samefile(other)


async def test_a_present_file_is_planned_as_a_relink_and_not_fetched_again(loaders: Service, host: Host) -> None:
    host.offer(f"/{NAME}", model_bytes(300))
    path = lay(loaders, f"sub/{NAME}", model_bytes(200))
    record = {"name": NAME, "directory": "checkpoints", "url": host.url(f"/{NAME}")}
    workflow = graph(held(properties={"models": [record]}))
    for only in (None, [NAME]):
        plan = await loaders.downloads.plan(workflow, {}, only)
        [model] = plan["models"]
        assert (model["action"], model["listed"], model["path"]) == ("relink", f"sub/{NAME}", str(path))
        assert "relink_models" in model["reason"]["message"]
        assert (plan["verdict"], plan["totals"]["relink"], plan["totals"]["download"]) == ("ready", 1, 0)
        run = await loaders.downloads.begin(workflow, {}, only=only)
        await loaders.ended(run)
        assert [(item.state, item.path) for item in run.items] == [("success", str(path))]
    assert host.seen == []
    table = {NAME: host.url(f"/{NAME}")}
    plan = await loaders.downloads.plan(workflow, table, overwrite=True)
    assert plan["models"][0]["action"] == "download"
    run = await loaders.downloads.begin(workflow, table, overwrite=True)
    await loaders.ended(run)
    assert loaders.path(NAME).read_bytes() == model_bytes(300) and path.read_bytes() == model_bytes(200)


async def test_a_choice_is_planned_and_nothing_is_fetched_until_it_is_made(loaders: Service, host: Host) -> None:
    url = host.url(f"/{NAME}")
    host.offer(f"/{NAME}", model_bytes(300))
    for at, name in enumerate(["a", "b"]):
        lay(loaders, f"{name}/{NAME}", model_bytes(200, at))
    workflow = graph(held(properties={"models": [{"name": NAME, "directory": "checkpoints", "url": url}]}))
    plan = await loaders.downloads.plan(workflow, {})
    [model] = plan["models"]
    assert (model["action"], plan["totals"]["choose"], plan["verdict"]) == ("choose", 1, "blocked")
    assert f"a/{NAME}, b/{NAME}" in model["reason"]["message"]
    run = await loaders.downloads.begin(workflow, {})
    await loaders.ended(run)
    assert [(item.state, item.failure.code) for item in run.items if item.failure] == [("error", "conflict")]
    # A URL in the request is a choice as well.
    assert (await loaders.downloads.plan(workflow, {NAME: url}))["models"][0]["action"] == "download"


async def test_a_file_of_the_digest_in_another_folder_is_linked_where_it_is_needed(loaders: Service) -> None:
    content = model_bytes(200)
    path = lay(loaders, "elsewhere.safetensors", content, "loras")
    await loaders.downloads.presence.learn([str(path)])
    workflow = graph(recorded(NAME, content))
    [model] = (await loaders.downloads.plan(workflow, {}))["models"]
    assert (model["action"], model["source"], model["url"]) == ("link", "local", str(path))
    await loaders.ended(await loaders.downloads.begin(workflow, {}))
    assert linked(path, loaders.path(NAME))


async def test_a_file_of_the_name_in_another_folder_is_linked_if_the_request_says_so(loaders: Service) -> None:
    path = lay(loaders, NAME, model_bytes(200))
    workflow = graph(held(kind="Lora"))
    [model] = (await loaders.downloads.plan(workflow, {}))["models"]
    assert (model["action"], model["copies"][0]["path"]) == ("no_url", str(path))
    await loaders.ended(await loaders.downloads.begin(workflow, {NAME: {"local": str(path)}}))
    assert linked(path, loaders.path(NAME, "loras"))
