"""Each parameter about models has one name, and the older spellings of existing programs still work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi import server  # noqa: F401 - importing declares every command
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.storage.url_map import load_stored_urlmap
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes

# A request in each spelling of its parameters: the one that is documented, and what existing programs send.
SPELLINGS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("get_model_url", {"model_name": "x.safetensors"}, {"ckpt_name": "x.safetensors"}),
    ("get_model_url", {"model_names": ["x.safetensors"]}, {"ckpt_names": ["x.safetensors"]}),
    (
        "add_model_url",
        {"model_name": "x.safetensors", "url": "https://hf.co/a/b", "directory": "loras"},
        {"model_name": "x.safetensors", "url": "https://hf.co/a/b", "model_type": "loras"},
    ),
    *(
        (f"download_{what}", {"download_id": "1", "model_name": "x"}, {"download_id": "1", "model": "x"})
        for what in ("cancel", "pause", "resume")
    ),
    ("model_status", {"model_name": "x.safetensors"}, {"name": "x.safetensors"}),
]


@pytest.mark.parametrize(("command", "canonical", "older"), SPELLINGS)
def test_each_spelling_of_a_parameter_means_the_same(
    command: str, canonical: dict[str, Any], older: dict[str, Any]
) -> None:
    declared = COMMANDS[command]
    assert declared.parse(older) == declared.parse(canonical)
    with pytest.raises(UiapiError) as caught:
        declared.parse({**older, **canonical})
    assert caught.value.code == "invalid" and "not both" in caught.value.message


def test_a_model_is_called_by_the_same_parameters_everywhere() -> None:
    older = {"ckpt_name", "ckpt_names", "ckpt_type", "model_type", "name", "model"}
    rooms = {one.name: one.handler.__module__ for one in COMMANDS.values() if one.route and one.handler}
    # The name of a template is not that of a model.
    about_models = [
        COMMANDS[name] for name, room in rooms.items() if "downloads" in room and not room.endswith(".templates")
    ]
    assert len(about_models) > 10
    assert [one.name for one in about_models if older & set(one.request.model_fields)] == []


async def test_a_models_folder_may_be_spelled_in_both_ways_and_is_kept_in_one(service: Service, host: Host) -> None:
    host.offer("/x", model_bytes(200_000))
    url = host.url("/x")
    for spelling in ("directory", "ckpt_type"):
        entry = await service.fetch(f"{spelling}.safetensors", {"url": url, spelling: "loras"})
        assert Path(entry["path"]).parent.name == "loras"
        await service.downloads.save_urls({"x.safetensors": {"url": url, spelling: "vae"}})
        assert await load_stored_urlmap() == {"x.safetensors": {"url": url, "ckpt_type": "vae"}}
