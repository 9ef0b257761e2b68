"""Parsing of all kinds of references to models."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.sources.references import (
    CivitaiFile,
    GdriveFile,
    HfFile,
    LocalFile,
    PlainFile,
    read_reference,
)
from comfyui_uiapi.downloads.sources.resolver import clean
from yarl import URL

DRIVE_ID = "1AbcDefGhiJklMnoPqrStUvWxYz012345"


@pytest.mark.parametrize(
    ("kind", "text", "meant"),
    [
        ("url", "https://huggingface.co/o/r/resolve/main/d/x.sft?download=true", HfFile("o/r", "d/x.sft")),
        ("url", "https://huggingface.co/o/r/blob/main/x.safetensors", HfFile("o/r", "x.safetensors")),
        ("url", "https://hf.co/o/r/resolve/v1.0/x.safetensors", HfFile("o/r", "x.safetensors", "v1.0")),
        ("url", "huggingface.co/o/r/resolve/main/x.sft", HfFile("o/r", "x.sft")),
        ("url", "https://huggingface.co/gpt2/resolve/main/x.sft", HfFile("gpt2", "x.sft")),
        ("url", "https://huggingface.co/o/r/resolve/refs%2Fpr%2F7/x.sft", HfFile("o/r", "x.sft", "refs/pr/7")),
        ("url", "https://huggingface.co/o/r/resolve/refs/pr/7/x.sft", HfFile("o/r", "x.sft", "refs/pr/7")),
        ("url", "https://huggingface.co/datasets/o/r/resolve/main/x.sft", HfFile("o/r", "x.sft", "main", "dataset")),
        ("url", "https://huggingface.co/spaces/o/r/blob/main/x.sft", HfFile("o/r", "x.sft", "main", "space")),
        ("url", "https://huggingface.co/o/r/resolve/main/a%20b/x%2By.sft", HfFile("o/r", "a b/x+y.sft")),
        ("url", "https://huggingface.co/o/r", HfFile("o/r")),
        ("url", "https://huggingface.co/o/r/tree/main/sub", HfFile("o/r", "sub")),
        ("url", "https://mirror.example/o/r/resolve/main/x.sft", HfFile("o/r", "x.sft")),
        ("url", "hf://o/r@v2/d/x.sft", HfFile("o/r", "d/x.sft", "v2")),
        ("url", "hf://datasets/o/r/x.sft", HfFile("o/r", "x.sft", "main", "dataset")),
        ("huggingface", "o/r", HfFile("o/r")),
        ("huggingface", "o/r/d/x.sft", HfFile("o/r", "d/x.sft")),
        ("huggingface", "o/r@refs/pr/7/x.sft", HfFile("o/r", "x.sft", "refs/pr/7")),
        ("url", "urn:air:flux1:checkpoint:huggingface:o/r@v1", HfFile("o/r", "", "v1")),
        ("url", "https://civitai.com/models/12", CivitaiFile(None, 12, None, "civitai.com")),
        ("url", "https://civitai.com/models/12/a-name", CivitaiFile(None, 12, None, "civitai.com")),
        ("url", "https://civitai.red/models/12?modelVersionId=34", CivitaiFile(34, 12, None, "civitai.red")),
        ("url", "https://civitai.green/models/12/n?modelVersionId=34", CivitaiFile(34, 12, None, "civitai.green")),
        ("url", "https://civitai.com/api/download/models/34", CivitaiFile(34, None, None, "civitai.com")),
        ("url", "https://civitai.com/api/v1/model-versions/34", CivitaiFile(34, None, None, "civitai.com")),
        (
            "url",
            "https://civitai.com/api/download/models/34?type=Model&format=SafeTensor&size=pruned&fp=fp16",
            CivitaiFile(
                34,
                None,
                None,
                "civitai.com",
                {"type": "Model", "format": "SafeTensor", "size": "pruned", "fp": "fp16"},
            ),
        ),
        ("civitai", "12@34", CivitaiFile(34, 12)),
        ("civitai", "civitai.com/models/12", CivitaiFile(None, 12, None, "civitai.com")),
        ("url", "urn:air:sdxl:lora:civitai:12@34", CivitaiFile(34, 12)),
        ("url", "urn:air:sdxl:lora:civitai:12@34#a comment", CivitaiFile(34, 12)),
        ("civitai", "air:a:lora:civitai:12@34+56.safetensors", CivitaiFile(34, 12, 56, "", {"format": "safetensors"})),
        ("url", "sdxl:lora:civitai:12", CivitaiFile(None, 12)),
        ("url", "civitai:12@34.ckpt", CivitaiFile(34, 12, None, "", {"format": "ckpt"})),
        ("gdrive", DRIVE_ID, GdriveFile(DRIVE_ID)),
        ("url", f"https://drive.google.com/file/d/{DRIVE_ID}/view?usp=sharing", GdriveFile(DRIVE_ID)),
        ("url", f"https://drive.google.com/uc?export=download&id={DRIVE_ID}", GdriveFile(DRIVE_ID)),
        ("gdrive", f"https://drive.usercontent.google.com/download?id={DRIVE_ID}", GdriveFile(DRIVE_ID)),
        ("url", "https://x.example/a/x.sft?s=1", PlainFile(URL("https://x.example/a/x.sft?s=1"))),
        ("local", "/models/x.safetensors", LocalFile("/models/x.safetensors")),
        ("local", "file:///models/x.safetensors", LocalFile("/models/x.safetensors")),
        ("local", "sub/x.safetensors", LocalFile("sub/x.safetensors")),
    ],
)
def test_a_reference_is_read_as_it_is_meant(kind: str, text: str, meant: Any) -> None:
    assert read_reference(kind, text, Settings(hf_endpoint="https://mirror.example")) == meant


@pytest.mark.parametrize("kind", ["url", "huggingface", "civitai", "gdrive"])
@pytest.mark.parametrize(
    "text",
    [
        "https://me:hf_SECRET@huggingface.co/o/r/resolve/main/x.sft",
        "https://hf_SECRET@huggingface.co/o/r",
        "https://me:hf_SECRET@civitai.com/models/1",
        "https://me:hf_SECRET@elsewhere.example/x.sft",
        "https://me:hf_SECRET@huggingface.co:99999/x.sft",
    ],
)
def test_a_login_in_a_url_is_refused_without_being_shown(kind: str, text: str) -> None:
    with pytest.raises(UiapiError) as caught:
        read_reference(kind, text, Settings())
    assert caught.value.code == "invalid" and "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://civitai.com/models/1?token=SECRET&type=VAE", "https://civitai.com/models/1?type=VAE"),
        ("https://me:SECRET@hf.co/o/r", "https://hf.co/o/r"),
        ("https://SECRET@hf.co:99999/o/r?token=SECRET", "https://hf.co:99999/o/r"),
        ("https://me:SECRET@hf.co/o/r?token=SECRET", "https://hf.co/o/r"),
        ("https://hf.co/o/r@v1/x.sft", "https://hf.co/o/r@v1/x.sft"),
        ("urn:air:sdxl:lora:civitai:12@34", "urn:air:sdxl:lora:civitai:12@34"),
        ("hf://o/r@v1/x.sft", "hf://o/r@v1/x.sft"),
    ],
)
def test_a_saved_source_has_neither_token_nor_login(text: str, kept: str) -> None:
    assert clean(text) == kept


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("url", ""),
        ("url", "x.safetensors"),
        ("url", "/etc/passwd"),
        ("url", "file:///etc/passwd"),
        ("url", "ftp://host/x"),
        ("url", "https://"),
        ("url", "https://host/a b"),
        ("url", "https://huggingface.co/onlyone"),
        ("url", "https://civitai.com/user/someone"),
        ("url", "https://civitai.com/models/name-only"),
        ("url", "https://drive.google.com/drive/my-drive"),
        ("url", "urn:air:sdxl:lora:civitai:name@34"),
        ("url", "https://[bad/x"),
        ("url", "https://civitai.com[::1]@/models/1"),
        ("url", "https://huggingface.co:99999/o/r"),
        ("url", "https://huggingface.co:bad/o/r"),
        ("url", "https://civitai.com/models/" + "9" * 5000),
        ("url", "https://civitai.com/api/download/models/" + "9" * 5000),
        ("url", "https://civitai.com/models/1?modelVersionId=" + "9" * 5000),
        ("url", "https://civitai.com/models/1?modelVersionId=two"),
        ("url", "https://civitai.com/models/1?fileId=" + "9" * 5000),
        ("url", "civitai:" + "9" * 5000 + "@1"),
        ("url", "civitai:1@" + "9" * 5000),
        ("url", "civitai:1@2+" + "9" * 5000),
        ("civitai", "9" * 5000),
        ("civitai", "1@" + "9" * 5000),
        ("huggingface", "one"),
        ("civitai", "12345"),
    ],
    ids=lambda text: text[:60],
)
def test_a_reference_that_cannot_be_meant_is_invalid(kind: str, text: str) -> None:
    with pytest.raises(UiapiError) as caught:
        read_reference(kind, text, Settings())
    assert caught.value.code == "invalid" and len(caught.value.message) < 300
