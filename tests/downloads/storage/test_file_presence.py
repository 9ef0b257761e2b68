"""A model file counts as present only if it is usable, and is replaced only with overwrite."""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.common.errors import STATUS, UiapiError
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.storage import file_check, hash_cache
from comfyui_uiapi.downloads.storage import file_presence as presence
from comfyui_uiapi.downloads.storage.model_folders import MODEL_EXTENSIONS
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256
from comfyui_uiapi.tests.harness.models.model_sites import workflow

SIZE = 20_000
MODEL = model_bytes(SIZE)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 5\n"
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
ARCHIVE = b"PK\x03\x04" + bytes(500) + b"PK\x05\x06" + bytes(18)

BROKEN = {
    "empty.safetensors": (b"", "is empty"),
    "pointer.safetensors": (POINTER, "LFS"),
    "page.safetensors": (PAGE, "page"),
    "cut.safetensors": (MODEL[:-1], f"{SIZE - 1} bytes but its header implies {SIZE}"),
    "longer.safetensors": (MODEL + b"x", f"{SIZE + 1} bytes but its header implies {SIZE}"),
    "head.safetensors": (MODEL[:40], "header"),
    "zeros.sft": (bytes(SIZE), "start"),
    "zeros.gguf": (bytes(SIZE), "start"),
    "pointer.gguf": (POINTER, "LFS"),
    "zeros.ckpt": (bytes(SIZE), "start"),
    "page.pth": (b"\n" + PAGE, "page"),
    "cut.ckpt": (ARCHIVE[:400], "end is missing"),
    "empty.pt2": (b"", "is empty"),
    "pointer.pkl": (POINTER, "LFS"),
    "page.pkl": (PAGE, "page"),
}
GOOD = {
    "whole.safetensors": MODEL,
    "whole.gguf": b"GGUF" + bytes(100),
    "archive.ckpt": ARCHIVE,
    "stream.pt": b"\x80\x02" + bytes(100),
    "unknown.pkl": b"<whatever it is",
}


@pytest.fixture
def settings(host: Host) -> Settings:
    return Settings(allowed_hosts=(host.authority,), allow_pickle=True)


def put(service: Service, name: str, content: bytes) -> Path:
    path = service.path(name)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", BROKEN)
async def test_a_file_that_cannot_be_used_is_damaged_for_everyone_who_asks(
    service: Service, host: Host, name: str
) -> None:
    content, why = BROKEN[name]
    path = put(service, name, content)
    wanted = workflow((name, "checkpoints", host.url("/new")))
    [need] = await service.downloads.analysis.describe(wanted)
    assert (need["exists"], need["path"], need["size"]) == (False, str(path), len(content))
    assert need["reason"] == "damaged" and why in need["damage"] and "overwrite" in need["damage"]
    plan = await service.downloads.plan(wanted, {})
    [model] = plan["models"]
    assert (model["action"], model["reason"]["code"], model["path"]) == ("damaged", "damaged", str(path))
    assert why in model["reason"]["message"]
    assert (plan["totals"]["damaged"], plan["totals"]["present"], plan["verdict"]) == (1, 0, "blocked")
    run = await service.downloads.begin(wanted, {})
    entry = (await service.ended(run))["progress"][name]
    assert (entry["status"], entry["code"], entry["path"]) == ("error", "damaged", str(path)) and why in entry["error"]
    if os.path.splitext(name)[1] in MODEL_EXTENSIONS:
        with pytest.raises(UiapiError, match=why) as caught:
            await service.downloads.fetch_one(name, {"url": host.url("/new")})
        assert (caught.value.code, STATUS[caught.value.code]) == ("damaged", 409)
    assert path.read_bytes() == content and sum(host.sent.values()) == 0


@pytest.mark.parametrize("name", GOOD)
async def test_a_file_that_can_be_used_is_present_for_everyone_who_asks(service: Service, name: str) -> None:
    path = put(service, name, GOOD[name])
    wanted = workflow((name, "checkpoints", None))
    [need] = await service.downloads.analysis.describe(wanted)
    assert (need["exists"], need["reason"], need["damage"]) == (True, None, None)
    assert (await service.downloads.plan(wanted, {}))["models"][0]["action"] == "present"
    entry = (await service.ended(await service.downloads.begin(wanted, {})))["progress"][name]
    assert (entry["status"], entry["path"], entry["model_number"]) == ("success", str(path), "existing")


# -- replaced -------------------------------------------------------------------------------------------------------


async def test_a_damaged_file_is_replaced_with_the_persons_word_once_the_new_one_is_complete(
    service: Service, host: Host
) -> None:
    path = put(service, "x.safetensors", PAGE)
    good = put(service, "good.safetensors", model_bytes(500))
    before = good.stat()
    names = ("x.safetensors", "good.safetensors")
    wanted = workflow(*((name, "checkpoints", host.url("/x")) for name in names))
    answer = host.offer("/x", MODEL[:-5])
    plan = await service.downloads.plan(wanted, {}, overwrite=True)
    assert [model["action"] for model in plan["models"]] == ["download", "present"]
    entry = (await service.ended(await service.downloads.begin(wanted, {}, overwrite=True)))["progress"][
        "x.safetensors"
    ]
    assert entry["code"] == "size_mismatch" and path.read_bytes() == PAGE
    seen: list[bytes] = []
    answer.data, answer.on_request = MODEL, lambda _: seen.append(path.read_bytes())
    entry = (await service.ended(await service.downloads.begin(wanted, {}, overwrite=True)))["progress"][
        "x.safetensors"
    ]
    assert entry["status"] == "success" and path.read_bytes() == MODEL and set(seen) == {PAGE}
    assert (good.stat().st_mtime_ns, good.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    [need, _] = await service.downloads.analysis.describe(wanted)
    assert need["exists"] is True


async def test_a_damaged_file_is_replaced_where_it_lies(service: Service, host: Host, tmp_path: Path) -> None:
    other = tmp_path / "second_disk"
    other.mkdir()
    service.folders.folder_names_and_paths["loras"][0].append(str(other))
    (other / "x.safetensors").write_bytes(PAGE)
    host.offer("/x", MODEL)
    run = await service.downloads.begin(workflow(("x.safetensors", "loras", host.url("/x"))), {}, overwrite=True)
    entry = (await service.ended(run))["progress"]["x.safetensors"]
    assert (entry["status"], entry["path"]) == ("success", str(other / "x.safetensors"))
    assert (other / "x.safetensors").read_bytes() == MODEL and not service.path("x.safetensors", "loras").exists()


async def test_a_plan_says_what_would_come_in_a_damaged_files_place_or_why_nothing_can(
    service: Service, host: Host
) -> None:
    host.offer("/x", MODEL)
    for name in ("x.safetensors", "gone.safetensors"):
        put(service, name, PAGE)
    plan = await service.downloads.plan(
        workflow(
            ("x.safetensors", "checkpoints", host.url("/x")), ("gone.safetensors", "checkpoints", host.url("/gone"))
        ),
        {},
    )
    here, gone = plan["models"]
    assert (here["action"], here["size"], here["remaining"], here["url"]) == ("damaged", SIZE, SIZE, host.url("/x"))
    assert (gone["action"], gone["url"]) == ("damaged", None) and "cannot be downloaded again" in gone["reason"][
        "message"
    ]
    assert plan["totals"]["bytes"] == 0 and plan["disks"] == []


# -- digests and lengths that are known -------------------------------------------------------------------------------


async def test_a_file_that_is_known_not_to_be_the_expected_one_is_damaged_without_hashing(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.offer("/x", MODEL)
    fetched = await service.fetch("x.safetensors", {"url": host.url("/x"), "sha256": sha256(MODEL)})
    assert fetched["status"] == "success", fetched
    monkeypatch.setattr(hash_cache, "sha256_of", None)

    async def said(digest: str) -> dict[str, Any]:
        record = {"hash": digest, "hash_type": "SHA256"}
        [need] = await service.downloads.analysis.describe(workflow(("x.safetensors", "checkpoints", None), **record))
        return need

    assert (await said(sha256(MODEL)))["exists"] is True
    assert "another version" in (await said("0" * 64))["damage"]
    put(service, "x.safetensors", model_bytes(SIZE - 7))
    assert f"{SIZE - 7} bytes where {SIZE} are expected" in (await said(sha256(MODEL)))["damage"]
    # Nothing is known of this digest, and an analysis does not hash.
    assert (await said("0" * 64))["exists"] is True


async def test_a_program_that_gives_the_digest_gets_no_success_for_another_file(service: Service, host: Host) -> None:
    put(service, "x.safetensors", MODEL)
    wanted = {"url": host.url("/x"), "ckpt_type": "checkpoints"}
    assert (await service.fetch("x.safetensors", wanted | {"sha256": sha256(MODEL)}))["status"] == "success"
    put(service, "y.safetensors", MODEL)
    entry = await service.fetch("y.safetensors", wanted | {"sha256": "0" * 64})
    assert (entry["status"], entry["code"]) == ("error", "damaged") and "another version" in entry["error"]
    put(service, "z.safetensors", MODEL)
    needs = workflow(("z.safetensors", "checkpoints", None))
    run = await service.downloads.begin(needs, {"z.safetensors": wanted | {"sha256": "0" * 64}})
    assert (await service.ended(run))["progress"]["z.safetensors"]["code"] == "damaged"
    assert host.seen == []


# -- what a look costs ----------------------------------------------------------------------------------------------


async def test_a_file_is_looked_into_once_for_each_change_of_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    really = file_check.check_any_file

    def noted(path: Path) -> None:
        looked.append(path.name)
        really(path)

    monkeypatch.setattr(presence, "check_any_file", noted)
    path = put(service, "x.safetensors", MODEL)
    wanted = workflow(("x.safetensors", "checkpoints", None))
    for content in (MODEL, PAGE):
        path.write_bytes(content)
        for _ in range(3):
            await service.downloads.analysis.describe(wanted)
            await service.downloads.plan(wanted, {})
    assert looked == ["x.safetensors"] * 2


def test_a_huge_header_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {f"t{number}": f'{{"data_offsets":[{number},{number + 1}]}}' for number in range(2000)}
    header = ("{" + ",".join(f'"{name}":{entry}' for name, entry in tensors.items()) + "}").encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2000))
    monkeypatch.setattr(file_check, "HEADER_PIECE", 700)
    file_check.check_file(path)
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(UiapiError) as caught:
        file_check.check_file(path)
    assert caught.value.code == "size_mismatch"


async def test_no_download_that_has_ended_keeps_what_it_had_in_hand(
    service: Service, host: Host, eventually: Callable[[Callable[[], Any]], Awaitable[None]]
) -> None:
    # Other tests may have left some.
    before = kept_errors()
    host.offer("/x", (5000).to_bytes(8, "little") + b'{"a":"' + b" " * 4990 + b"no}" + bytes(9000))
    entry = await service.fetch("x.safetensors", host.url("/x"))
    assert entry["code"] == "not_a_model", entry
    put(service, "y.safetensors", PAGE)
    for _ in range(3):
        with pytest.raises(UiapiError):
            await service.downloads.fetch_one("y.safetensors", {"url": host.url("/x")})
    # The transfer thread may have yet to let go of the last one.
    await eventually(lambda: [error for error in kept_errors() if error not in before] == [])


def kept_errors() -> list[UiapiError]:
    """The errors that keep what the functions they passed through had in hand."""
    gc.collect()
    # By type: objects of other packages warn when their class is asked for.
    errors = [one for one in gc.get_objects() if issubclass(type(one), UiapiError)]
    return [error for error in errors if error.__traceback__ is not None]
