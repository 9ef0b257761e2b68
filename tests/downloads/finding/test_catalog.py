"""Where a missing model can be downloaded from, as lists on this computer say."""

from __future__ import annotations

from comfyui_uiapi.downloads.finding.catalog import Catalog
from comfyui_uiapi.downloads.workflow.required_models import Need

URL = "https://huggingface.co/maker/repo/resolve/main/one.safetensors"


async def test_the_urls_of_the_workflow_itself_come_first_with_their_digest() -> None:
    catalog = Catalog()
    await catalog.warm()
    need = Need("sub\\one.safetensors", "loras", [URL], "a" * 64)
    [found] = catalog.candidates(need, {})
    assert (found.name, found.url, found.origin, found.directory) == ("one.safetensors", URL, "workflow", "loras")
    assert found.to_dict()["sha256"] == "a" * 64
