"""The responses of the commands about workflow templates."""

from __future__ import annotations

from pydantic import Field

from ...bridge.protocol.schemas import Answer, Loaded


class Template(Answer):
    """A workflow template."""

    name: str
    title: str
    description: str
    pack: str | None = Field(description="The node pack that has it; null for an official one.")
    category: str
    media_type: str = Field(description='Such as "image" or "video"; empty if unknown.')
    tags: list[str]
    models: list[str] = Field(description="The families of models that it uses.")
    open_source: bool | None = Field(description="False if it uses paid services; null if unknown.")


class Templates(Answer):
    """Workflow templates, in the order of the page."""

    templates: list[Template]
    total: int


class MissingModel(Answer):
    """A model that a template needs and that is not present."""

    name: str
    directory: str | None
    url: str | None = Field(description="The URL that the template gives.")


class Opened(Loaded):
    """The result of opening a template."""

    missing_models: list[MissingModel]
