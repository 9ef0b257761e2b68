"""Tests of the picture store: one file per content, no overwriting, and only unused files are removed."""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui.input_files import sha256_of
from comfyui_uiapi.bridge.comfyui.picture_store import GRACE, KEPT, KEPT_FOR, PictureStore
from comfyui_uiapi.common.errors import UiapiError

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
NOW = 1_000_000_000.0


class Used(list[Any]):
    """The graphs that use pictures, and the time, both set by the test."""

    now = NOW


@pytest.fixture
def used() -> Used:
    return Used()


@pytest.fixture
def store(tmp_path: Path, used: Used) -> PictureStore:
    return PictureStore(lambda: tmp_path, lambda: used, lambda: used.now)


def name_of(data: bytes = PNG, label: str = "Photo") -> str:
    return f"INPUT_{label}_{sha256_of(data)[:16]}.png"


def keep(store: PictureStore, data: bytes = PNG, label: str = "Photo") -> str:
    name = store.put(label, data)
    store.release(name, keep=True)
    return name


def age(path: Path, when: float) -> None:
    os.utime(path, (when, when))


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_picture_is_never_overwritten_by_another_of_the_same_field(store: PictureStore, tmp_path: Path) -> None:
    names = [keep(store, PNG + bytes([number])) for number in range(5)]
    assert len({*names}) == 5
    assert [(tmp_path / name).read_bytes()[-1] for name in names] == [*range(5)]


def test_the_same_picture_in_two_fields_is_one_file(store: PictureStore, tmp_path: Path) -> None:
    assert keep(store, label="Photo") == keep(store, label="Other") == name_of()
    assert names_in(tmp_path) == {name_of()}


def test_programs_that_store_one_picture_at_once_get_one_file(store: PictureStore, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = {*pool.map(lambda number: keep(store, label=f"Node {number % 3}"), range(40))}
    assert names_in(tmp_path) == names and len(names) == 1


def test_a_foreign_file_of_that_name_stays_and_the_picture_gets_another_name(
    store: PictureStore, tmp_path: Path
) -> None:
    (tmp_path / name_of()).write_bytes(b"mine")
    assert keep(store) == name_of().replace(".png", "-2.png") == keep(store)
    assert (tmp_path / name_of()).read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["link", "dangling link", "link to the same", "folder"])
def test_links_and_other_files_are_neither_written_through_nor_used(
    store: PictureStore, tmp_path: Path, kind: str
) -> None:
    outside = tmp_path / "outside"
    if kind == "folder":
        (tmp_path / name_of()).mkdir()
    else:
        (tmp_path / name_of()).symlink_to(outside)
    if kind != "dangling link":
        outside.write_bytes(PNG if kind == "link to the same" else b"mine")
    before = outside.read_bytes() if outside.exists() else None
    name = keep(store)
    assert name != name_of() and (tmp_path / name).read_bytes() == PNG
    assert (outside.read_bytes() if outside.exists() else None) == before


def test_a_picture_that_was_deleted_by_hand_is_stored_again(store: PictureStore, tmp_path: Path) -> None:
    (tmp_path / keep(store)).unlink()
    assert (tmp_path / keep(store)).read_bytes() == PNG


def test_a_folder_without_hard_links_takes_pictures_too(
    store: PictureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / name_of()).write_bytes(b"mine")
    assert (tmp_path / keep(store)).read_bytes() == PNG
    assert (tmp_path / name_of()).read_bytes() == b"mine"
    assert len(names_in(tmp_path)) == 2


def test_a_refusal_leaves_a_file_that_was_replaced_by_hand(store: PictureStore, tmp_path: Path) -> None:
    name = store.put("Photo", PNG)
    (tmp_path / "other").write_bytes(b"by hand")
    os.replace(tmp_path / "other", tmp_path / name)
    store.release(name, keep=False)
    assert (tmp_path / name).read_bytes() == b"by hand"


def test_a_refusal_leaves_a_picture_that_a_prompt_names(store: PictureStore, tmp_path: Path, used: Used) -> None:
    name = store.put("Photo", PNG)
    used.append({"1": {"inputs": {"image": f"{name} [input]"}}})
    store.release(name, keep=False)
    assert names_in(tmp_path) == {name}


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UiapiError) as refusal:
        PictureStore(lambda: tmp_path / "none").put("Photo", PNG)
    assert refusal.value.code == "storage_failed"


# -- removing -------------------------------------------------------------------------------------------------------


def many(store: PictureStore, folder: Path, count: int) -> list[str]:
    """Store that many pictures, the oldest first, all older than the grace period."""
    names = [keep(store, PNG + number.to_bytes(2, "big")) for number in range(count)]
    for number, name in enumerate(names):
        age(folder / name, NOW - GRACE - 1000 + number)
    return names


def test_the_oldest_pictures_beyond_the_number_kept_are_removed(store: PictureStore, tmp_path: Path) -> None:
    names = many(store, tmp_path, KEPT + 3)
    assert store.tidy() == 3
    assert names_in(tmp_path) == {*names[3:]}


def test_pictures_that_prompts_or_graphs_name_stay_however_many_come_after(
    store: PictureStore, tmp_path: Path, used: Used
) -> None:
    names = many(store, tmp_path, KEPT + 4)
    used.append({"1": {"class_type": "LoadImage", "inputs": {"image": names[0]}}})
    used.append({"nodes": [{"widgets_values": [f"{names[1]} [input]", "image"]}]})
    assert store.tidy() == 2
    assert {*names[:2]} <= names_in(tmp_path)
    # Unused pictures are kept for a while, since a page that is being reloaded reports none.
    used.clear()
    store.tidy()
    assert {*names[:2]} <= names_in(tmp_path)
    used.now += GRACE + 2000
    many(store, tmp_path, KEPT)
    for name in names[:2]:
        age(tmp_path / name, NOW - 5000)
    store.tidy()
    assert not {*names[:2]} & names_in(tmp_path)


def test_a_picture_that_was_stored_a_moment_ago_stays_whatever_their_number(
    store: PictureStore, tmp_path: Path
) -> None:
    for number in range(KEPT + 3):
        age(tmp_path / keep(store, PNG + number.to_bytes(2, "big")), NOW - GRACE + 1)
    assert store.tidy() == 0


def test_a_picture_that_is_sent_again_counts_as_new(store: PictureStore, tmp_path: Path) -> None:
    names = many(store, tmp_path, KEPT + 1)
    changed = (tmp_path / names[0]).stat().st_mtime_ns
    assert keep(store, PNG + bytes(2)) == names[0]
    assert store.tidy() == 1
    assert names[0] in names_in(tmp_path) and names[1] not in names_in(tmp_path)
    # Some nodes run again if a file's modification time changes.
    assert (tmp_path / names[0]).stat().st_mtime_ns == changed


def test_very_old_pictures_are_removed_though_there_are_few(store: PictureStore, tmp_path: Path) -> None:
    age(tmp_path / keep(store), NOW - KEPT_FOR - 1)
    assert store.tidy() == 1


def test_only_files_stored_by_this_package_are_removed(store: PictureStore, tmp_path: Path) -> None:
    others = ["INPUT_Photo.png", "photo.png", name_of(b"another content"), "INPUT_x_0123456789abcdef.jpg"]
    for name in others:
        (tmp_path / name).write_bytes(PNG)
        age(tmp_path / name, 1)
    (tmp_path / "mine").write_bytes(PNG)
    (tmp_path / name_of()).symlink_to(tmp_path / "mine")
    assert store.tidy() == 0


def test_a_picture_that_a_request_is_about_to_name_stays(store: PictureStore, tmp_path: Path) -> None:
    age(tmp_path / keep(store), 1)
    name = store.put("Photo", PNG)
    age(tmp_path / name, 1)
    assert store.tidy() == 0
    store.release(name, keep=True)
    assert store.tidy() == 1


async def test_the_bridge_keeps_pictures_of_queued_prompts_and_open_graphs(
    server: Any, tmp_path: Path, eventually: Any
) -> None:
    store, folder = server.bridge.pictures, tmp_path / "input"
    names = [keep(store, PNG + bytes([number])) for number in range(5)]
    prompts = [{"1": {"class_type": "LoadImage", "inputs": {"image": name}}} for name in names]
    server.comfy.prompt_queue.running.append((0, "runs", prompts[0], {}, []))
    server.comfy.prompt_queue.waiting.append((1, "waits", prompts[1], {}, []))
    tab = await server.tab()
    nodes = [{"id": 1, "type": "LoadImage", "widgets_values": [names[2]]}]
    snapshot = {"workflow": json.dumps({"nodes": nodes}), "output": prompts[3], "nodes": "[]"}
    await tab.ws.send_json({"type": "event", "event": "snapshot", "data": snapshot})
    await eventually(lambda: any(manager.snapshot for manager in server.bridge.webuis.connected()))
    for name in names:
        age(folder / name, 1)
    assert await asyncio.to_thread(store.tidy) == 1
    assert names_in(folder) == {*names[:4]}
