"""Model definitions: conversion to and from dicts, and where the CivitAI token is found."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi import model_defs
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.model_defs import ControlNetDef, ControlNetType, LoraDef, ModelDef, VaeDef

FULL: dict[str, Any] = {
    "url": "https://hf.co/a",
    "huggingface": "a/b",
    "local": "c",
    "civitai": "1@2",
    "gdrive": "d",
    "fp16": False,
}


@pytest.mark.parametrize(
    "model",
    [
        ModelDef(),
        ModelDef(**FULL, ckpt_type="upscale_models", sha256="a" * 64),
        ControlNetDef(**FULL, cn_type=ControlNetType.XS),
        VaeDef(**FULL),
        LoraDef(**FULL, weights=0.5),
        LoraDef(**FULL, weights=(0.5, 0.25), fuse=False),
    ],
)
def test_nothing_is_lost_on_the_way_to_a_dict_and_back(model: ModelDef) -> None:
    again = ModelDef.from_dict(model.to_dict())
    assert again == model and type(again) is type(model)
    assert again.to_dict() == model.to_dict()


def test_each_kind_belongs_to_its_folder() -> None:
    kinds = (ModelDef(), ControlNetDef(), VaeDef(), LoraDef())
    assert [kind.ckpt_type for kind in kinds] == ["checkpoints", "controlnet", "vae", "loras"]


def test_a_loras_weights_are_one_or_two() -> None:
    assert (LoraDef(weights=0.5).unet_strength, LoraDef(weights=0.5).text_encoder_strength) == (0.5, 0.5)
    assert (LoraDef(weights=(1, 0)).unet_strength, LoraDef(weights=(1, 0)).text_encoder_strength) == (1, 0)


def test_the_dict_of_the_published_client_is_understood() -> None:
    sent = {"huggingface": "a/b", "local": None, "civitai": None, "gdrive": None, "fp16": True, "ckpt_type": "loras"}
    model = ModelDef.from_dict(sent)
    assert isinstance(model, LoraDef) and model.huggingface == "a/b"


def test_a_folder_is_understood_in_both_spellings_but_not_in_both_at_once() -> None:
    older = ModelDef.from_dict({"url": "https://hf.co/a", "ckpt_type": "loras"})
    assert ModelDef.from_dict({"url": "https://hf.co/a", "directory": "loras"}) == older
    assert ModelDef.from_dict({"url": "https://hf.co/a", "directory": "loras", "ckpt_type": None}) == older
    with pytest.raises(UiapiError, match="not both"):
        ModelDef.from_dict({"url": "https://hf.co/a", "directory": "loras", "ckpt_type": "vae"})


@pytest.mark.parametrize(
    "data",
    [
        {"link": "https://hf.co/a"},
        {"url": 7},
        {"url": ["https://hf.co/a"]},
        {"url": "https://hf.co/a", "fp16": "yes"},
        {"url": "https://hf.co/a", "ckpt_type": 3},
        {"url": "https://hf.co/a", "weights": "much"},
        {"url": "https://hf.co/a", "weights": [1, 2, 3]},
        {"url": "https://hf.co/a", "weights": True},
        {"url": "https://hf.co/a", "cn_type": "none"},
        {"url": "https://hf.co/a", "sha256": "abc"},
        {"url": "https://hf.co/a", "ckpt_type": "vae", "cn_type": None, "strength": 1},
    ],
)
def test_a_key_or_value_that_is_not_known_is_invalid(data: dict[str, Any]) -> None:
    with pytest.raises(UiapiError) as caught:
        ModelDef.from_dict(data)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("text", "repo"),
    [
        (None, None),
        ("", None),
        ("org/repo", "org/repo"),
        ("org/repo/sub/x.safetensors", "org/repo"),
        ("org/repo@v1/x.safetensors", "org/repo"),
        ("https://huggingface.co/org/repo", "org/repo"),
        ("https://huggingface.co/org/repo/resolve/main/x.safetensors?download=true", "org/repo"),
        ("https://huggingface.co/datasets/org/repo/resolve/main/x.bin", "org/repo"),
        ("https://hf.co/gpt2/resolve/main/x.safetensors", "gpt2"),
        ("hf://org/repo@refs/pr/1/x.safetensors", "org/repo"),
    ],
)
def test_the_repository_is_read_out_of_every_spelling(text: str | None, repo: str | None) -> None:
    assert ModelDef(huggingface=text).huggingface_id == repo


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any token around it."""
    for name in ("CIVITAI_API_TOKEN", "CIVITAI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setattr(model_defs, "__file__", str(tmp_path / "custom_nodes" / "uiapi" / "model_defs.py"))
    (tmp_path / "custom_nodes").mkdir()
    return home


def test_the_token_is_looked_for_in_the_environment_then_at_home_then_next_to_the_package(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ModelDef.read_civitai_token() is None
    (home.parent / "custom_nodes" / ".civitai_token").write_text(" next \n")
    assert ModelDef.read_civitai_token() == "next"
    (home / ".civitai_token").write_text("home\n")
    assert ModelDef().read_civitai_token() == "home"
    monkeypatch.setenv("CIVITAI_TOKEN", "second")
    assert ModelDef.read_civitai_token() == "second"
    monkeypatch.setenv("CIVITAI_API_TOKEN", "first")
    assert ModelDef.read_civitai_token() == "first"


def test_an_empty_or_unreadable_token_file_counts_as_none(home: Path) -> None:
    (home / ".civitai_token").write_text("\n")
    assert ModelDef.read_civitai_token() is None
    (home / ".civitai_token").write_bytes(b"\xff\xfe")
    assert ModelDef.read_civitai_token() is None


def test_no_file_stays_open_when_a_token_is_read(home: Path) -> None:
    (home / ".civitai_token").write_text("token")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for _ in range(20):
            ModelDef.read_civitai_token()
        gc.collect()
