"""The responses of the commands about workflow tabs, and of the screenshot."""

from __future__ import annotations

from pydantic import Field

from .schemas import Answer


class Tab(Answer):
    """A workflow tab of the page."""

    id: str
    name: str | None
    path: str | None
    active: bool
    modified: bool


class Tabs(Answer):
    """The workflow tabs, in the order the page shows them."""

    tabs: list[Tab]


class OneTab(Answer):
    """The workflow tab."""

    tab: Tab


class Picture(Answer):
    """A picture of the graph."""

    png: str = Field(description="Base64.")
    width: int
    height: int
