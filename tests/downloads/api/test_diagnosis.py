"""The doctor's states and next steps, for each thing that a workflow may lack."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.downloads.api.diagnosis import Circumstances, diagnosis
from comfyui_uiapi.downloads.storage.disk import DISK_RESERVE

FREE = Circumstances(is_open=True, may_change=True, may_download=True)
UNKNOWN = "What the plan says of no_url. With search, Hugging Face and CivitAI are searched for it."
NODE = {"type": "Blur", "count": 2, "nodes": [], "packs": [], "how": "Install Blurs with ComfyUI-Manager."}


def model(action: str, name: str = "x.safetensors", **more: Any) -> dict[str, Any]:
    """A model of a plan."""
    empty = {"source": None, "url": None, "size": None, "remaining": None, "gated": None, "listed": None}
    reason = {"code": action, "message": f"What the plan says of {action}."}
    return {"name": name, "directory": "loras", "action": action, **empty, "reason": reason, **more}


def download(name: str = "x.safetensors", **more: Any) -> dict[str, Any]:
    return model("download", name, url="https://hf.co/o/r/x", remaining=2_500_000_000, **more)


def plan(*models: dict[str, Any], disks: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"models": [*models], "disks": [*disks], "search": None}


def steps(found: dict[str, Any]) -> list[tuple[str, str | None, Any]]:
    return [(one["state"], one["next"], one["fix"] and one["fix"]["command"]) for one in found["models"]]


@pytest.mark.parametrize(
    ("planned", "state", "step", "fix"),
    [
        (model("present"), "present", None, None),
        (model("not_needed"), "not_needed", None, None),
        (
            model("spelled_differently", listed="sub/x.safetensors"),
            "relink",
            "Set its widgets to sub/x.safetensors, which is present, with relink_models.",
            "relink_models",
        ),
        (
            model("relink", listed="sub/x.safetensors"),
            "relink",
            "Set its widgets to sub/x.safetensors, which is present, with relink_models.",
            "relink_models",
        ),
        (model("choose"), "choose", "What the plan says of choose.", None),
        (download(), "found", "Download it from hf.co (2.50 GB) with download_models.", "download_models"),
        (
            model("link", url="/models/vae/x.safetensors"),
            "found",
            "Link /models/vae/x.safetensors, which is the same file, with download_models.",
            "download_models",
        ),
        (model("no_url", candidates=[{}, {}]), "found", "What the plan says of no_url.", None),
        (model("no_url", candidates=[]), "unknown", UNKNOWN, None),
        (model("no_url"), "unknown", UNKNOWN, None),
        (model("damaged"), "damaged", "What the plan says of damaged.", None),
        (model("blocked", gated=True), "gated", "What the plan says of blocked.", None),
        (model("blocked"), "blocked", "What the plan says of blocked.", None),
    ],
)
def test_each_model_has_one_state_and_one_next_step(
    planned: dict[str, Any], state: str, step: str | None, fix: str | None
) -> None:
    found = diagnosis([], plan(planned), FREE)
    assert steps(found) == [(state, step, fix)]
    well = state in ("present", "not_needed")
    assert (found["ready"], found["left"]) == (well, 0 if well or fix else 1)


def test_a_file_of_a_similar_name_is_mentioned_and_never_used() -> None:
    [found] = diagnosis([], plan(model("no_url", similar=["y.safetensors", "z.safetensors"])), FREE)["models"]
    assert "y.safetensors is present and has a similar name." in found["next"] and found["fix"] is None


def test_a_missing_node_needs_a_person() -> None:
    found = diagnosis([NODE], plan(model("present")), FREE)
    assert (found["ready"], found["left"], found["fixes"]) == (False, 1, [])
    assert found["nodes"] == [{**NODE, "next": NODE["how"], "fix": None}]


def test_the_fixes_are_one_command_of_each_kind() -> None:
    found = diagnosis(
        [],
        plan(
            *(model("relink", f"{name}.safetensors", listed="y") for name in "ab"),
            *(download(f"{name}.safetensors") for name in "cd"),
            download("c.safetensors", directory="vae"),
        ),
        FREE,
    )
    only = ["loras/c.safetensors", "d.safetensors", "vae/c.safetensors"]
    assert found["fixes"] == [
        {"command": "relink_models", "data": {}},
        {"command": "download_models", "data": {"only": sorted(only, key=lambda name: "vae" in name)}},
    ]


def test_a_step_that_the_persons_rules_refuse_is_no_fix() -> None:
    models = plan(model("relink", listed="y"), download())
    for around, commands in (
        (Circumstances(is_open=True, may_change=False, may_download=False), []),
        (Circumstances(is_open=True, may_change=True, may_download=False), ["relink_models"]),
        # The widgets of a file are not those of the open workflow.
        (Circumstances(is_open=False, may_change=True, may_download=True), ["download_models"]),
    ):
        found = diagnosis([], models, around)
        assert [fix["command"] for fix in found["fixes"]] == commands and found["left"] == 2 - len(commands)
    assert "Open the workflow." in found["models"][0]["next"]


def test_nothing_is_downloaded_to_a_disk_without_space() -> None:
    disk = {"path": "/models", "free": DISK_RESERVE, "needed": 3_000_000_000, "fits": False}
    found = diagnosis([], plan(download(), model("link", url="/x"), disks=(disk,)), FREE)
    assert found["disks"] == [{**disk, "next": "Free 3.00 GB on the disk of /models."}]
    assert found["models"][0]["next"].startswith("Free 3.00 GB on the disk of /models. Download it")
    assert [fix is None for fix in (one["fix"] for one in found["models"])] == [True, False]


def test_the_results_of_a_search_are_fixes_only_with_the_consent_that_the_plan_had() -> None:
    searched = {**plan(model("no_url", candidates=[]), download("y.safetensors")), "search": {"requests": 3}}
    around = Circumstances(is_open=True, may_change=True, may_download=True, accepts="found")
    found = diagnosis([], searched, around)
    assert found["models"][0]["next"] == "What the plan says of no_url." and found["search"] == {"requests": 3}
    assert found["fixes"] == [{"command": "download_models", "data": {"only": ["y.safetensors"], "accept": "found"}}]
