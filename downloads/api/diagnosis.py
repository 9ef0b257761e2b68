"""Lists what a workflow lacks, with the next step for each: missing node types, models, and space on the disks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..storage.disk import DISK_RESERVE

# A node type, model or disk as another command returns it, or as it is returned here.
Record = Mapping[str, Any]

# The state of a model by the action that plan_downloads gives it.
_STATES = {
    "present": "present",
    "not_needed": "not_needed",
    "spelled_differently": "relink",
    "relink": "relink",
    "choose": "choose",
    "download": "found",
    "link": "found",
    "damaged": "damaged",
    "blocked": "blocked",
}
# States of a model that keep no run from starting.
_WELL = ("present", "not_needed")


@dataclass(frozen=True)
class Circumstances:
    """What a step depends on besides the model.

    Attributes:
        is_open: whether the workflow is the open one, whose widgets can be changed.
        may_change: whether the person's rules allow changes without asking.
        may_download: whether they allow downloads without asking.
        accepts: "found" if the plan uses what a search found.
    """

    is_open: bool
    may_change: bool
    may_download: bool
    accepts: str | None = None


def diagnosis(nodes: Sequence[Record], plan: Record, around: Circumstances) -> dict[str, Any]:
    """The diagnosis of a workflow.

    Args:
        nodes: its missing node types, as missing_nodes returns them.
        plan: what plan_downloads returns for it.
        around: what the steps depend on.
    """
    disks = [_disk(disk) for disk in plan["disks"]]
    names = Counter(model["name"] for model in plan["models"])
    full = next((disk["next"] for disk in disks if disk["next"]), None)
    steps = _Steps(around, full, names, searched=plan["search"] is not None)
    models = [steps.model(model) for model in plan["models"]]
    missing = [{**node, "next": node["how"], "fix": None} for node in nodes]
    lacking = [model for model in models if model["state"] not in _WELL]
    return {
        "ready": not missing and not lacking,
        "nodes": missing,
        "models": models,
        "disks": disks,
        "fixes": _fixes(models),
        "search": plan["search"],
        "left": len(missing) + sum(model["fix"] is None for model in lacking),
    }


class _Steps:
    """Finds the next step for each model.

    Args:
        around: what the steps depend on.
        full: what to do first about a disk that lacks space, None if none does.
        names: how many models have each name.
        searched: whether model hosts were searched.
    """

    def __init__(self, around: Circumstances, full: str | None, names: Mapping[str, int], *, searched: bool) -> None:
        self._around = around
        self._full = full
        self._names = names
        self._searched = searched
        self._accepted = {"accept": around.accepts} if around.accepts is not None else {}

    def model(self, model: Record) -> dict[str, Any]:
        """A model with its state, next step and fix."""
        state = _state(model)
        step, fix = self._step(state, model)
        return {**model, "state": state, "next": step, "fix": fix}

    def _step(self, state: str, model: Record) -> tuple[str | None, dict[str, Any] | None]:
        if state in _WELL:
            return None, None
        if state == "relink":
            return self._relink(model)
        if state == "found" and model["action"] in ("download", "link"):
            return self._download(model)
        if state == "unknown" and not self._searched:
            return f"{_message(model)} With search, Hugging Face and CivitAI are searched for it.", None
        return _message(model), None

    def _relink(self, model: Record) -> tuple[str, dict[str, Any] | None]:
        step = f"Set its widgets to {model['listed']}, which is present, with relink_models."
        if not self._around.is_open:
            return f"Open the workflow. {step}", None
        if not self._around.may_change:
            return f"{step} The person at the browser decides about changes.", None
        return step, {"command": "relink_models", "data": {}}

    def _download(self, model: Record) -> tuple[str, dict[str, Any] | None]:
        name = model["name"] if self._names[model["name"]] == 1 else f"{model['directory']}/{model['name']}"
        fix = {"command": "download_models", "data": {"only": [name], **self._accepted}}
        if model["action"] == "link":
            step = f"Link {model['url']}, which is the same file, with download_models."
        else:
            size = f" ({_gigabytes(model['remaining'])})" if model["remaining"] else ""
            step = f"Download it from {_host(model)}{size} with download_models."
            if self._full is not None:
                return f"{self._full} {step}", None
        if not self._around.may_download:
            return f"{step} The person at the browser decides about downloads.", None
        return step, fix


def _state(model: Record) -> str:
    action = model["action"]
    if action == "blocked" and model["gated"]:
        return "gated"
    if action == "no_url":
        return "found" if model.get("candidates") else "unknown"
    return _STATES[action]


def _message(model: Record) -> str:
    reason = model["reason"] or {}
    message = str(reason.get("message") or f"Look at {model['name']} in the models dialog of the page.")
    similar = model.get("similar")
    return f"{message} {similar[0]} is present and has a similar name." if similar else message


def _host(model: Record) -> str:
    return urlsplit(model["url"] or "").hostname or str(model["source"])


def _disk(disk: Record) -> dict[str, Any]:
    step = None
    if not disk["fits"]:
        short = disk["needed"] + DISK_RESERVE - disk["free"]
        step = f"Free {_gigabytes(short)} on the disk of {disk['path']}."
    return {**disk, "next": step}


def _gigabytes(size: int) -> str:
    return f"{max(size / 1e9, 0.01):.2f} GB"


def _fixes(models: Sequence[Record]) -> list[dict[str, Any]]:
    """The commands that carry out all fixes: one that relinks, then one that downloads."""
    given = [model["fix"] for model in models if model["fix"] is not None]
    relinks = [fix for fix in given if fix["command"] == "relink_models"]
    downloads = [fix for fix in given if fix["command"] == "download_models"]
    if not downloads:
        return relinks[:1]
    only = [name for fix in downloads for name in fix["data"]["only"]]
    return [*relinks[:1], {"command": "download_models", "data": {**downloads[0]["data"], "only": only}}]
