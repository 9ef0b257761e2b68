"""Which digest a file that is present must have."""

from __future__ import annotations

import pytest
from comfyui_uiapi.downloads.jobs.source_choice import Choice, wanted_sha256
from comfyui_uiapi.downloads.workflow.required_models import Need
from comfyui_uiapi.model_defs import ModelDef

OWN, CHOSEN = "0" * 64, "1" * 64


@pytest.mark.parametrize(
    ("origin", "chosen", "wanted"),
    [
        ("request", CHOSEN, CHOSEN),
        ("saved", None, OWN),
        # Only known by the name of the file.
        ("template", CHOSEN, OWN),
    ],
)
def test_a_source_that_is_known_by_a_name_only_decides_no_digest(origin: str, chosen: str | None, wanted: str) -> None:
    need = Need("x.safetensors", "loras", sha256=OWN)
    choice = Choice(ModelDef(url="https://host/x"), "loras", origin, chosen)
    assert wanted_sha256(need, choice) == wanted
    assert wanted_sha256(need, None) == OWN
