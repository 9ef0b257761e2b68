"""Names and folders that lead elsewhere are refused before anything is created; others go where ComfyUI looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_uiapi.common.errors import STATUS, UiapiError
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.storage.model_folders import TEMPORARY_EXTRA, Places
from comfyui_uiapi.tests.downloads.conftest import FolderPaths, Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, onnx_bytes

BAD_NAMES = [
    "../x.safetensors",
    "a/../../x.safetensors",
    "..\\x.safetensors",
    "a\\..\\..\\x.safetensors",
    "/etc/x.safetensors",
    "\\x.safetensors",
    "C:\\x.safetensors",
    "C:x.safetensors",
    "\\\\server\\share\\x.safetensors",
    "//server/share/x.safetensors",
    "x\0.safetensors",
    "x\n.safetensors",
    "con.safetensors",
    "NUL.safetensors",
    "sub/COM1.safetensors",
    "aux/x.safetensors",
    "con .safetensors",
    "CONIN$.safetensors",
    "sub/conout$ .safetensors",
    "/".join(["a" * 200] * 25) + "/x.safetensors",
    "x.safetensors.",
    "x.safetensors ",
    " /x.safetensors",
    "sub//x.safetensors",
    ".hidden.safetensors",
    ".git/x.safetensors",
    "x.safetensors:stream",
    "x|y.safetensors",
    "a" * 300 + ".safetensors",
    "\ud800.safetensors",
    ".",
    "",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:40])
async def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_made(
    service: Service, host: Host, name: str
) -> None:
    host.offer("/x.safetensors", model_bytes(1000))
    before = sorted(Path(service.folders.models_dir).parent.rglob("*"))
    with pytest.raises(UiapiError) as caught:
        await service.downloads.fetch_one(name, {"url": host.url("/x.safetensors")})
    assert (caught.value.code, STATUS[caught.value.code]) == ("bad_path", 400)
    assert sorted(Path(service.folders.models_dir).parent.rglob("*")) == before and host.seen == []


@pytest.mark.parametrize("folder", ["custom_nodes", "configs", "../loras", "/etc", "loras/../../x", "a\\b", "C:", ""])
async def test_a_folder_that_is_not_for_models_is_refused(service: Service, host: Host, folder: str) -> None:
    before = sorted(Path(service.folders.models_dir).parent.rglob("*"))
    with pytest.raises(UiapiError) as caught:
        await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors"), "ckpt_type": folder})
    assert caught.value.code == "bad_path"
    assert sorted(Path(service.folders.models_dir).parent.rglob("*")) == before


async def test_a_folder_this_comfyui_does_not_have_is_named_with_those_it_has(service: Service, host: Host) -> None:
    with pytest.raises(UiapiError) as caught:
        await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors"), "ckpt_type": "depth"})
    assert caught.value.code == "unknown_folder" and "loras" in caught.value.details["folders"]


def linked(folders: FolderPaths, name: str, aim: Path, *, made: bool = True) -> None:
    """Have a name in the model folders lead elsewhere, as an operator does it."""
    if made:
        aim.mkdir(parents=True, exist_ok=True)
    Path(folders.models_dir, name).symlink_to(aim)


async def test_a_folder_that_the_operator_linked_to_another_disk_takes_models(
    service: Service, host: Host, tmp_path: Path
) -> None:
    data = model_bytes(300_000)
    host.offer("/x.safetensors", data)
    disk = tmp_path / "disk2"
    linked(service.folders, "loras/extra", disk)
    definition = {"url": host.url("/x.safetensors"), "ckpt_type": "loras"}
    entry = await service.fetch("extra/new/x.safetensors", definition)
    assert entry["status"] == "success", entry
    assert (disk / "new" / "x.safetensors").read_bytes() == data and service.downloads.places.find(
        "loras", "extra/new/x.safetensors"
    )


@pytest.mark.parametrize(
    ("leads_to", "name"),
    [
        ("custom_nodes", "way/x.safetensors"),
        ("custom_nodes/pack/deep", "way/x.safetensors"),
        (".", "way/custom_nodes/x.safetensors"),
        (".", "way/x.safetensors"),
        ("user/default", "way/x.safetensors"),
        ("input", "way/x.safetensors"),
        ("comfyui/comfy", "way/x.safetensors"),
        ("models/configs", "way/x.safetensors"),
        ("nowhere", "way/x.safetensors"),
        ("nowhere", "way/sub/x.safetensors"),
    ],
)
async def test_a_linked_folder_of_code_or_of_comfyuis_own_is_refused(
    service: Service, host: Host, tmp_path: Path, leads_to: str, name: str
) -> None:
    service.folders.__dict__.update(
        base_path=str(tmp_path), user_directory=str(tmp_path / "user"), __file__=str(tmp_path / "comfyui/x.py")
    )
    linked(service.folders, "loras/way", tmp_path / leads_to, made=leads_to != "nowhere")
    before = service.everything()
    with pytest.raises(UiapiError) as caught:
        await service.downloads.fetch_one(name, {"url": host.url("/x.safetensors"), "ckpt_type": "loras"})
    assert caught.value.code == "bad_path" and host.seen == [] and service.everything() == before


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("a" * 227 + ".safetensors", False),
        ("ä" * 113 + ".safetensors", False),
        ("a" * 228 + ".safetensors", True),
        ("ä" * 114 + ".safetensors", True),
        ("a" * 245 + ".safetensors", True),
        ("b" * 256 + "/x.safetensors", True),
        ("/".join(["sub"] * 300) + "/x.safetensors", True),
    ],
    ids=lambda value: ascii(value)[-20:],
)
async def test_a_name_that_is_too_long_says_so_before_anything_is_asked_for(
    service: Service, host: Host, name: str, refused: bool
) -> None:
    data = model_bytes(1000)
    host.offer("/x.safetensors", data)
    if not refused:
        assert (await service.fetch(name, host.url("/x.safetensors")))["status"] == "success"
        assert service.path(name).read_bytes() == data
        return
    with pytest.raises(UiapiError, match=r"too long|bytes; (file|a model)") as caught:
        await service.downloads.fetch_one(name, {"url": host.url("/x.safetensors")})
    assert caught.value.code == "bad_path" and len(caught.value.message) < 250 and host.seen == []
    assert service.folders.files() == []


def test_a_path_that_is_too_long_for_the_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = FolderPaths(tmp_path)
    places = Places(folders)
    room_for = len(str(folders.root("loras") / "x.safetensors")) + TEMPORARY_EXTRA
    monkeypatch.setattr("comfyui_uiapi.downloads.storage.model_folders.MAX_PATH", room_for)
    assert places.target("loras", "x.safetensors", allow_pickle=False)
    with pytest.raises(UiapiError, match="1 bytes too long"):
        places.target("loras", "xx.safetensors", allow_pickle=False)


def test_a_models_folder_inside_custom_nodes_is_refused(tmp_path: Path) -> None:
    folders = FolderPaths(tmp_path)
    inside = tmp_path / "custom_nodes" / "pack" / "models"
    inside.mkdir(parents=True)
    folders.folder_names_and_paths["pack"] = ([str(inside)], set())
    with pytest.raises(UiapiError) as caught:
        Places(folders).target("pack", "x.safetensors", allow_pickle=False)
    assert caught.value.code == "bad_path"


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    folders = FolderPaths(tmp_path)
    (folders.root("loras") / "x.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(UiapiError) as caught:
        Places(folders).target("loras", "x.safetensors", allow_pickle=False)
    assert caught.value.code == "bad_path"


@pytest.mark.parametrize("name", ["sub/x.safetensors", "sub/inner/x.safetensors"])
@pytest.mark.parametrize("link", [False, True])
def test_a_subfolder_that_is_a_file_or_a_disk_that_is_not_mounted_says_so(
    tmp_path: Path, name: str, link: bool
) -> None:
    folders = FolderPaths(tmp_path)
    sub = folders.root("loras") / "sub"
    sub.symlink_to(folders.root("loras") / "unmounted") if link else sub.write_text("")
    with pytest.raises(UiapiError, match="'sub' in loras is not a folder") as caught:
        Places(folders).target("loras", name, allow_pickle=False)
    assert caught.value.code == "bad_path"


def test_a_folder_that_cannot_be_looked_into_says_so(tmp_path: Path) -> None:
    folders = FolderPaths(tmp_path)
    # Longer than any path may be: the one folder that root, too, cannot look into.
    folders.folder_names_and_paths["loras"][0][:] = [str(tmp_path) + "/beyond" * 700]
    with pytest.raises(UiapiError, match="too long") as caught:
        Places(folders).target("loras", "sub/x.safetensors", allow_pickle=False)
    assert caught.value.code == "storage_failed"


def test_a_whole_folder_that_is_a_link_to_another_disk_is_used(tmp_path: Path) -> None:
    folders = FolderPaths(tmp_path)
    other = tmp_path / "other_disk"
    other.mkdir()
    folders.root("vae").rmdir()
    folders.root("vae").symlink_to(other)
    target = Places(folders).target("vae", "sub/x.safetensors", allow_pickle=False)
    assert target == folders.root("vae") / "sub" / "x.safetensors"


@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".pth", ".bin"])
def test_a_pickle_is_fetched_only_where_the_operator_allows(tmp_path: Path, ending: str) -> None:
    places = Places(FolderPaths(tmp_path))
    with pytest.raises(UiapiError) as caught:
        places.target("checkpoints", f"x{ending}", allow_pickle=False)
    assert caught.value.code == "pickle_refused" and "UIAPI_ALLOW_PICKLE" in caught.value.message
    assert places.target("checkpoints", f"x{ending}", allow_pickle=True).name == f"x{ending}"


@pytest.mark.parametrize("name", ["x.py", "x", "x.safetensors.exe", "x.pkl", "x.yaml", "x.zip"])
def test_a_file_of_no_model_format_is_not_fetched(tmp_path: Path, name: str) -> None:
    with pytest.raises(UiapiError) as caught:
        Places(FolderPaths(tmp_path)).target("checkpoints", name, allow_pickle=True)
    assert caught.value.code == "unsupported_type"


@pytest.mark.parametrize("name", ["x.safetensors", "x.SafeTensors", "x.sft", "x.gguf", "x.onnx"])
def test_formats_that_hold_numbers_only_are_fetched(tmp_path: Path, name: str) -> None:
    assert Places(FolderPaths(tmp_path)).target("checkpoints", name, allow_pickle=False).name == name


def test_new_files_go_to_todays_folder_and_not_to_its_older_name(tmp_path: Path) -> None:
    folders = FolderPaths(tmp_path)
    target = Places(folders).target("unet", "x.safetensors", allow_pickle=False)
    assert target == tmp_path / "models" / "diffusion_models" / "x.safetensors"


def test_a_path_the_operator_put_first_is_where_new_files_go(tmp_path: Path) -> None:
    folders = FolderPaths(tmp_path)
    big = tmp_path / "big_disk"
    big.mkdir()
    folders.folder_names_and_paths["diffusion_models"][0].insert(0, str(big))
    assert Places(folders).target("diffusion_models", "x.safetensors", allow_pickle=False) == big / "x.safetensors"


def test_a_file_is_found_through_every_configured_path_and_either_separator(tmp_path: Path) -> None:
    folders = FolderPaths(tmp_path)
    other = tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    (other / "sub" / "x.safetensors").write_bytes(b"x")
    folders.folder_names_and_paths["loras"][0].append(str(other))
    places = Places(folders)
    for name in ("sub/x.safetensors", "sub\\x.safetensors"):
        assert places.find("loras", name) == str(other / "sub" / "x.safetensors")
    assert places.find_anywhere("sub/x.safetensors") == ("loras", str(other / "sub" / "x.safetensors"))
    assert places.find("loras", "../other/sub/x.safetensors") is None


class TestPickles:
    @pytest.fixture
    def settings(self, host: Host) -> Settings:
        return Settings(allowed_hosts=(host.authority,), allow_pickle=True)

    async def test_an_allowed_pickle_must_still_be_one(self, service: Service, host: Host) -> None:
        host.offer("/zip.ckpt", b"PK\x03\x04" + bytes(5000))
        host.offer("/page.ckpt", b"<html>" + bytes(5000))
        assert (await service.fetch("zip.ckpt", host.url("/zip.ckpt")))["status"] == "success"
        assert (await service.fetch("page.ckpt", host.url("/page.ckpt")))["code"] == "not_a_model"


@pytest.mark.parametrize(
    ("name", "body", "lands"),
    [
        ("x.gguf", b"GGUF\x03\x00\x00\x00" + bytes(500), True),
        ("x.gguf", bytes(500), False),
        ("x.onnx", onnx_bytes(500), True),
        ("x.onnx", onnx_bytes(500)[:-1], False),
        ("x.onnx", b"\x08\x07" + bytes(500), False),
        ("x.onnx", b"OGGS" + bytes(500), False),
        ("x.sft", model_bytes(1000), True),
        ("x.sft", model_bytes(1000)[:-1], False),
        ("x.safetensors", (900_000_000).to_bytes(8, "little") + b"{" + bytes(500), False),
        ("x.safetensors", (100).to_bytes(8, "little") + b"{" + bytes(500), False),
    ],
)
async def test_only_a_file_of_its_format_lands(
    service: Service, host: Host, name: str, body: bytes, lands: bool
) -> None:
    host.offer(f"/{name}", body)
    entry = await service.fetch(name, host.url(f"/{name}"))
    assert entry["status"] == ("success" if lands else "error"), entry
    assert service.path(name).exists() is lands
