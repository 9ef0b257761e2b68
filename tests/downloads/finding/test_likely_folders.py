"""The directories that are mentioned first when a person chooses one for a model."""

from __future__ import annotations

import pytest
from comfyui_uiapi.downloads.finding.likely_folders import MOST_LIKELY, likely_folders

FOLDERS = (
    "checkpoints clip_vision controlnet diffusion_models embeddings latent_upscale_models loras style_models "
    "text_encoders upscale_models vae"
).split()


@pytest.mark.parametrize(
    ("name", "fields", "first"),
    [
        ("anything.safetensors", ["Load LoRA.lora_name"], "loras"),
        ("loras/anything.safetensors", [], "loras"),
        ("anything.pth", ["UpscaleModelLoader.model_name"], "upscale_models"),
        ("4x-UltraSharp.pth", [], "upscale_models"),
        ("RealESRGAN_x2.pth", [], "upscale_models"),
        ("control_v11p_sd15_canny.pth", [], "controlnet"),
        ("clip_vision_h.safetensors", [], "clip_vision"),
        ("umt5_xxl_fp8.safetensors", [], "text_encoders"),
        ("wan_2.1_vae.safetensors", [], "vae"),
        ("anything.safetensors", ["CheckpointLoaderSimple.ckpt_name"], "checkpoints"),
    ],
)
def test_the_name_and_the_fields_of_a_model_decide_its_directory(name: str, fields: list[str], first: str) -> None:
    assert likely_folders(name, fields, FOLDERS)[0] == first


def test_nothing_is_likely_without_a_sign_and_only_directories_that_exist_are() -> None:
    assert likely_folders("anything.safetensors", ["Loader.model_name"], FOLDERS) == []
    assert likely_folders("my_lora.safetensors", [], ["vae"]) == []
    everything = likely_folders(" ".join(FOLDERS), FOLDERS, FOLDERS)
    assert len(everything) == MOST_LIKELY and everything[0] in ("clip_vision", "latent_upscale_models")
