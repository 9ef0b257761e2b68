"""What programs send with the commands about models."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ...bridge.protocol.command_spec import Kind, Request

Definition = str | dict[str, Any]


class Workflow(Request):
    """A workflow, or the one that is open."""

    workflow: dict[str, Any] | None = Field(None, description="UI or API format; the open workflow if left out.")


class DownloadModels(Workflow):
    """Where models can be had, by name; what is not in it is taken from the saved map or the workflow."""

    download_table: dict[str, Definition] = Field(default_factory=dict, description="{name: url or model definition}")
    only: list[str] | None = Field(None, description="Just these of the workflow's models, by name; all if left out.")
    overwrite: bool = Field(
        False, description="Replace files that are there: of the models in the table, and every damaged one."
    )


class PlanDownloads(DownloadModels):
    """What to plan for."""

    def kinds(self) -> frozenset[Kind]:
        """A plan asks the models' hosts, as a download does."""
        return frozenset({Kind.DOWNLOAD})


class DownloadModel(Request):
    """One model."""

    subjects = ("model_name",)
    model_name: str = Field(min_length=1, description="The file's name, with its subfolder.")
    model_def: Definition = Field(description="A url or a model definition; its `directory` names the folder.")
    overwrite: bool = Field(False, description="Replace a file that is there.")


class DownloadId(Request):
    """A download."""

    subjects: ClassVar[tuple[str, ...]] = ("download_id",)
    download_id: str


class DownloadPart(DownloadId):
    """A download, or one model of it."""

    subjects = ("model_name", "download_id")
    older: ClassVar = {"model": "model_name"}

    model_name: str | None = Field(None, description="Only this model; all of them if left out.")


class ModelName(Request):
    """A model by its name; `folder/name` says which where several folders have one."""

    subjects = ("model_name",)
    older: ClassVar = {"name": "model_name"}

    model_name: str


class AddModelUrl(Request):
    """Where a model can be had."""

    subjects = ("model_name",)
    older: ClassVar = {"model_type": "directory"}

    model_name: str = Field(min_length=1)
    url: str = Field(min_length=1)
    directory: str = Field("checkpoints", description="The ComfyUI folder.")


class RemoveModelUrl(Request):
    """A name in the map."""

    subjects = ("model_name",)
    model_name: str


class GetModelUrl(Request):
    """One model or several to ask the person for."""

    subjects = ("model_name", "model_names")
    older: ClassVar = {"ckpt_name": "model_name", "ckpt_names": "model_names"}

    model_name: str | None = None
    model_names: list[str] | None = None


class RelinkModels(Request):
    """Whether to do it."""

    dry_run: bool = Field(False, description="Only say what would be set.")
