"""Random model references and workflows are read or refused with an error sentence, without a crash."""

from __future__ import annotations

import asyncio
import ntpath
import os
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.sources.references import CivitaiFile, HfFile, LocalFile, read_reference
from comfyui_uiapi.downloads.storage import url_map
from comfyui_uiapi.downloads.storage.model_folders import local_name, same_name
from comfyui_uiapi.tests.harness.models.node_reader import Reader
from hypothesis import given, settings
from hypothesis import strategies as st

from .strategies import JSON

KINDS = ("url", "huggingface", "civitai", "gdrive", "local")
# Parts of URLs, so that many examples are nearly valid.
PIECES = st.sampled_from(
    "https:// http:// hf:// urn: air: sdxl: checkpoint: lora: civitai: huggingface: huggingface.co civitai.com hf.co "
    "drive.google.com / @ + # ? & = % : . .. org repo resolve blob main refs pr models api download datasets "
    "modelVersionId=5 /d/ 1AbcDefGhiJklMnoPqrStUvWxYz 12345 67890 x.safetensors %2F %00 \\ [::1] 127.0.0.1".split()
)
ADDRESSES = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)
NUMBERS = st.integers(0, 10**12)
FILES = st.sampled_from(["a.safetensors", "sub/b.safetensors", "c.ckpt", "", "../x.safetensors", "\x00", "None"])
CLASSES = st.sampled_from(["Checkpoint", "Lora", "Vae", "Pair", "Config", "Broken", "Unknown", "Note"])
MODELS = st.lists(
    st.fixed_dictionaries({"name": FILES | JSON, "directory": st.sampled_from(["checkpoints", "loras", ""]) | JSON})
    | JSON,
    max_size=3,
)
UI_NODES = st.fixed_dictionaries(
    {"id": st.integers(-2, 20) | JSON, "type": CLASSES | JSON},
    optional={
        "mode": st.sampled_from([0, 2, 4]) | JSON,
        "widgets_values": st.lists(FILES | JSON, max_size=4) | JSON,
        "properties": st.fixed_dictionaries({"models": MODELS | JSON}) | JSON,
        "inputs": JSON,
    },
)
API_NODES = st.fixed_dictionaries(
    {"class_type": CLASSES | JSON},
    optional={"inputs": st.dictionaries(st.sampled_from(["ckpt_name", "lora_name", "vae_name"]), FILES | JSON) | JSON},
)
GRAPHS = st.fixed_dictionaries(
    {"nodes": st.lists(UI_NODES, max_size=4) | JSON},
    optional={"definitions": st.fixed_dictionaries({"subgraphs": st.lists(JSON, max_size=2) | JSON}) | JSON},
)
# Names that Windows reserves in every directory.
DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "123456789\xb9\xb2\xb3"
}
WORKFLOWS = GRAPHS | st.dictionaries(st.text(max_size=3), API_NODES, max_size=4) | JSON


def test_any_url_is_read_or_refused_with_a_sentence(examples: settings) -> None:
    operators = Settings()

    @examples
    @given(st.sampled_from(KINDS), ADDRESSES)
    def holds(kind: str, text: str) -> None:
        try:
            found = read_reference(kind, text, operators)
        except UiapiError as error:
            assert error.code == "invalid" and str(error)
            return
        assert not isinstance(found, LocalFile) or kind == "local"

    holds()


def test_an_air_urn_is_read_back_as_the_parts_it_was_made_of(examples: settings) -> None:
    operators = Settings()
    words = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)

    @examples
    @given(words, words, NUMBERS, NUMBERS | st.none(), st.booleans())
    def holds(ecosystem: str, kind: str, model: int, version: int | None, urn: bool) -> None:
        tail = "" if version is None else f"@{version}"
        text = f"{'urn:air:' if urn else ''}{ecosystem}:{kind}:civitai:{model}{tail}"
        found = read_reference("url", text, operators)
        assert isinstance(found, CivitaiFile) and (found.model, found.version) == (model, version)
        repo = read_reference("url", f"https://huggingface.co/{ecosystem}/{kind}/resolve/main/{model}.sft", operators)
        assert repo == HfFile(f"{ecosystem}/{kind}", f"{model}.sft")

    holds()


def test_any_workflow_is_read_or_refused_with_a_sentence(examples: settings, tmp_path: Path) -> None:
    reader = Reader(tmp_path)

    @examples
    @given(WORKFLOWS)
    def holds(workflow: Any) -> None:
        try:
            needs = reader.read(workflow)
        except UiapiError as error:
            assert error.code in ("invalid", "too_large") and str(error)
            return
        for name, directory, _ in needs:
            assert isinstance(name, str) and name and (directory is None or isinstance(directory, str))

    holds()


def test_no_name_leads_out_of_its_directory(examples: settings, tmp_path: Path) -> None:
    pieces = st.sampled_from(["..", ".", "/", "\\", "~", "a", "C:", "con", "x.safetensors", "\x00", " ", "//"])

    @examples
    @given(st.lists(pieces | st.text(max_size=4), max_size=8).map("".join))
    def holds(name: str) -> None:
        local = local_name(name)
        if local is None:
            return
        path = os.path.realpath(tmp_path / local)
        assert os.path.commonpath([path, tmp_path]) == str(tmp_path) and path != str(tmp_path)
        assert same_name(local) == same_name(name)

    holds()


def reserved_on_windows(part: str) -> bool:
    """Return what ntpath.isreserved returns, which exists from Python 3.13 on."""
    if part[-1:] in ". " or any(letter in '"*:<>?|/\\' or letter < " " for letter in part):
        return True
    return part.partition(".")[0].rstrip(" ").upper() in DEVICES


def test_no_name_leads_out_of_its_directory_or_to_a_device_on_windows(
    examples: settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sep", "\\")
    folder = PureWindowsPath("D:\\models\\loras")
    device = st.sampled_from(sorted(DEVICES)).flatmap(lambda name: st.sampled_from([name, name.lower()]))
    pieces = device | st.sampled_from(
        ["..", ".", "/", "\\", "~", "C:", "\x00", " ", "$", "x", ".safetensors", "\u0131"]
    )

    nearly = st.tuples(st.sampled_from(["", "sub/"]), device, st.sampled_from(["", " ", "  ", "x"]), st.just(".sft"))

    @examples
    @given((st.lists(pieces | st.text(max_size=4), max_size=8) | nearly).map("".join))
    def holds(name: str) -> None:
        local = local_name(name)
        if local is None:
            return
        path = ntpath.normpath(str(folder / local))
        inside = PureWindowsPath(path).relative_to(folder)
        assert inside.parts and str(inside) == local
        assert not any(reserved_on_windows(part) for part in inside.parts)

    holds()


def test_the_url_map_holds_exactly_what_was_saved(
    examples: settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(url_map, "path", tmp_path / "model_urls.json")
    steps = st.lists(st.tuples(st.booleans(), st.sampled_from("abcd") | st.text(max_size=9), st.text()), max_size=6)
    # Each step writes a file and syncs it to the disk.
    fewer = settings(examples, max_examples=max(examples.max_examples // 10, 20))

    @fewer
    @given(steps)
    def holds(changes: list[tuple[bool, str, str]]) -> None:
        url_map.path.unlink(missing_ok=True)
        expected: url_map.UrlMap = {}

        async def run() -> None:
            for saved, name, url in changes:
                if saved:
                    expected[name] = url
                    await url_map.save_model_urls({name: url})
                else:
                    assert await url_map.remove_model_url(name) == (expected.pop(name, None) is not None)
                assert await url_map.load_stored_urlmap() == expected

        asyncio.run(run())

    holds()
