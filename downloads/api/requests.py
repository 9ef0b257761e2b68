"""The parameters of the commands about models and templates, imported at their first use."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ...bridge.protocol.command_spec import Kind, Request, Strict

Definition = str | dict[str, Any]
# Models that are searched for at a time.
MOST_SOUGHT = 200


class Workflow(Request):
    """A workflow; the open one if left out."""

    workflow: dict[str, Any] | None = Field(
        None, description="UI or API format, or a file that ComfyUI saved; the open workflow if left out."
    )


class Search(Workflow):
    """A workflow, and whether models without a known URL are searched for."""

    search: bool = Field(
        False,
        description="Search Hugging Face and CivitAI for models without a known URL, which sends them the models' "
        "names; what is found is proposed to the person.",
    )
    accept: Literal["found"] | None = Field(
        None, description="Search, and use what is found without asking where only one file can be meant."
    )

    @property
    def searches(self) -> bool:
        """Whether model hosts are searched."""
        return self.search or self.accept is not None


class DownloadModels(Search):
    """Sources of models by name; models not in the table use the saved URLs or the workflow's own."""

    download_table: dict[str, Definition] = Field(default_factory=dict, description="{name: URL or model definition}")
    only: list[str] | None = Field(
        None, description="Download only these models of the workflow, by name; all if left out."
    )
    overwrite: bool = Field(
        False, description="Replace existing files: those of models in the table, and damaged ones."
    )


class PlanDownloads(DownloadModels):
    """The download to plan."""

    def kinds(self) -> frozenset[Kind]:
        """A plan sends requests to the models' hosts, as a download does."""
        return frozenset({Kind.DOWNLOAD})


class DownloadModel(Request):
    """One model."""

    subjects = ("model_name",)
    model_name: str = Field(min_length=1, description="The file's name, with its subfolder.")
    model_def: Definition = Field(description="A URL or a model definition, whose `directory` names the folder.")
    overwrite: bool = Field(False, description="Replace an existing file.")


class DownloadId(Request):
    """A download."""

    subjects: ClassVar[tuple[str, ...]] = ("download_id",)
    download_id: str


class DownloadPart(DownloadId):
    """A download, or one of its models."""

    subjects = ("model_name", "download_id")
    older: ClassVar[dict[str, str]] = {"model": "model_name"}

    model_name: str | None = Field(None, description="Only this model; all if left out.")


class ModelName(Request):
    """A model by its name; `directory/name` where several directories have one of that name."""

    subjects = ("model_name",)
    older: ClassVar[dict[str, str]] = {"name": "model_name"}

    model_name: str


class AddModelUrl(Request):
    """A URL to save for a model."""

    subjects = ("model_name",)
    older: ClassVar[dict[str, str]] = {"model_type": "directory"}

    model_name: str = Field(min_length=1)
    url: str = Field(min_length=1)
    directory: str = Field("checkpoints", description="The ComfyUI model directory.")
    sha256: str | None = Field(None, pattern=r"^[0-9a-fA-F]{64}$", description="The digest the file must have.")


class RemoveModelUrl(Request):
    """A model whose saved URL is removed."""

    subjects = ("model_name",)
    model_name: str


class GetModelUrl(Request):
    """One or more models whose URLs the person is asked for."""

    subjects = ("model_name", "model_names")
    older: ClassVar[dict[str, str]] = {"ckpt_name": "model_name", "ckpt_names": "model_names"}

    model_name: str | None = None
    model_names: list[str] | None = None


class RelinkModels(Request):
    """The files to use for models of which several different ones are present."""

    choices: dict[str, str] = Field(
        default_factory=dict,
        description="{model name: a name that ComfyUI lists}, also for a model that only has similar names",
    )

    dry_run: bool = Field(False, description="Only report what would be changed.")


class Doctor(Search):
    """The workflow to examine."""

    def kinds(self) -> frozenset[Kind]:
        """It sends requests to the models' hosts, as a download does."""
        return frozenset({Kind.DOWNLOAD})


class HostToken(Request):
    """A token and its host."""

    host: Literal["huggingface", "civitai"]
    token: str = Field(min_length=1, max_length=500, pattern=r"^[!-~]+$")


class AllowHost(Request):
    """The name of a host."""

    host: str = Field(min_length=1, max_length=253)


class Address(Request):
    """A URL to check for a model."""

    subjects = ("name",)
    name: str = Field(min_length=1, max_length=500)
    directory: str | None = None
    url: str = Field(min_length=1, max_length=4000)


class Sought(Strict):
    """A model to search for."""

    name: str = Field(min_length=1, max_length=1000)
    directory: str | None = Field(None, max_length=200)
    sha256: str | None = Field(None, pattern=r"^[0-9a-fA-F]{64}$")


class FindModels(Request):
    """Models to search for at their hosts."""

    models: list[Sought] = Field(min_length=1, max_length=MOST_SOUGHT)


class Unplaced(Strict):
    """A model whose directory is unknown, and the paths of the fields that name it."""

    name: str = Field(min_length=1, max_length=1000)
    fields: list[str] = Field([], max_length=20)


class ModelFolders(Request):
    """Models whose directories are unknown."""

    models: list[Unplaced] = Field(max_length=MOST_SOUGHT)


class ListTemplates(Request):
    """The words to search for."""

    subjects = ("query",)
    query: str = Field("", max_length=500, description="Words in name, title, description, tags, models and pack.")
    limit: int = Field(50, ge=1, le=1000)


class OpenTemplate(Request):
    """The template to open."""

    subjects = ("name",)
    name: str = Field(min_length=1, max_length=500, description="Its name or title, as list_templates returns it.")
    pack: str | None = Field(None, max_length=500, description="The node pack that has it; default: the official one.")
