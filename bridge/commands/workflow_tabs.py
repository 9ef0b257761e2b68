"""Commands on the page's workflow tabs, and the screenshot of the canvas."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from ..protocol.command_spec import Kind, Request, Risk, tab_command
from ..protocol.lazy_types import LazyModule
from .editing import NodePath

TabName = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
schemas = LazyModule("..protocol.tab_schemas", __package__)
WHICH = "Its id, path or name; default: the active one."


class NewTab(Request):
    """The name of the new tab."""

    subjects = ("name",)
    name: TabName | None = None


class OpenTab(Request):
    """One of the person's saved workflows."""

    subjects = ("path",)
    path: TabName = Field(description="Its path in the page's workflow list, such as flux/portrait.json.")


class WhichTab(Request):
    """The workflow tab."""

    subjects = ("tab",)
    tab: TabName = Field(description="Its id, path or name.")


class RenameTab(Request):
    """The workflow tab and its new name."""

    subjects = ("tab", "name")
    tab: TabName | None = Field(None, description=WHICH)
    name: TabName


class SaveTab(Request):
    """The workflow tab and the name to save it under."""

    subjects = ("tab", "name")
    tab: TabName | None = Field(None, description=WHICH)
    name: TabName | None = Field(None, description="Default: its current name.")
    overwrite: bool = Field(False, description="Replace another workflow with that name.")


class CloseTab(Request):
    """The workflow tab."""

    subjects = ("tab",)
    tab: TabName = Field(description="Its id, path or name.")
    discard: bool = Field(False, description="Close it even if it has unsaved changes.")


class Screenshot(Request):
    """The nodes to show, or the current view of the canvas by default; sizes in pixels."""

    subjects = ("nodes",)
    nodes: list[NodePath] | None = Field(None, min_length=1, max_length=1000)
    width: int | None = Field(None, ge=16, le=8192)
    height: int | None = Field(None, ge=16, le=8192)
    padding: int | None = Field(None, ge=0, le=1000)


def _declare(name: str, doc: str, request: type[Request], response: Any, risk: Risk, kind: Kind) -> None:
    tab_command(name, doc, request=request, response=response, risk=risk, kind=kind)


_declare("list_tabs", "List the workflow tabs of the page.", Request, schemas.Tabs, Risk.READ, Kind.READ)
_declare("new_tab", "Open an empty workflow in a new tab.", NewTab, schemas.OneTab, Risk.DRIVE, Kind.LOAD)
_declare("open_tab", "Open one of the person's saved workflows.", OpenTab, schemas.OneTab, Risk.DRIVE, Kind.LOAD)
_declare("switch_tab", "Show another workflow tab.", WhichTab, schemas.OneTab, Risk.DRIVE, Kind.LOAD)
_declare(
    "rename_tab", "Rename a workflow tab, and its file if it has one.", RenameTab, schemas.OneTab, Risk.DRIVE, Kind.LOAD
)
_declare("save_tab", "Save a workflow in the person's workflows.", SaveTab, schemas.OneTab, Risk.DRIVE, Kind.LOAD)
_declare("close_tab", "Close a workflow tab.", CloseTab, schemas.OneTab, Risk.DRIVE, Kind.LOAD)
_declare(
    "screenshot", "Take a picture of the canvas or of some nodes.", Screenshot, schemas.Picture, Risk.READ, Kind.READ
)
