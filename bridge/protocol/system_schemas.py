"""The responses of the commands about the running ComfyUI."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .schemas import Answer


class Device(Answer):
    """A device that ComfyUI computes on."""

    name: str
    type: str = Field(description='Such as "cuda", "mps" or "cpu".')
    index: int | None
    vram_total: int = Field(description="Bytes.")
    vram_free: int = Field(description="Bytes.")


class Memory(Answer):
    """The memory of the machine."""

    devices: list[Device]
    ram_total: int | None = Field(description="Bytes.")
    ram_free: int | None = Field(description="Bytes.")


class System(Memory):
    """The versions, devices and queue of ComfyUI."""

    comfyui_version: str
    frontend_version: str = Field(description="The one that the main tab shows, or else the installed one.")
    extension_version: str
    python_version: str
    torch_version: str
    os: str
    queue_running: int
    queue_waiting: int


class Freed(Memory):
    """The memory afterwards."""

    freed: bool = Field(description="False if ComfyUI does it after the running prompt.")
    after: list[str] = Field(description="The running prompts after which it is done.")
    message: str


class LogLine(Answer):
    """A line of the log."""

    time: str
    text: str


class Log(Answer):
    """The end of ComfyUI's log."""

    lines: list[LogLine]
    total: int = Field(description="The lines that ComfyUI keeps.")


class ChangedList(Answer):
    """A list of choices that has changed."""

    type: str = Field(description="The node type.")
    input: str
    added: list[Any] = Field(description="At most 100 of them.")
    removed: list[Any] = Field(description="At most 100 of them.")
    total: int = Field(description="How many choices it has now.")
    fields: list[str] = Field(description="The fields of the open workflow that offer it.")


class Refreshed(Answer):
    """What the refresh has changed."""

    refreshed: bool
    changed: list[ChangedList] = Field(default_factory=list, description="The lists that have changed.")
