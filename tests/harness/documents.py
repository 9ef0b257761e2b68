"""Reads the README and the pages of docs/ for tests: text, command blocks, links and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..tools import build


@dataclass(frozen=True)
class Page:
    """One page of the documentation."""

    path: Path

    @property
    def name(self) -> str:
        """The page's name in test ids."""
        return self.path.stem.lower()

    @cached_property
    def text(self) -> str:
        """The whole text."""
        return self.path.read_text()

    @cached_property
    def blocks(self) -> list[tuple[str, str]]:
        """(language, text) of every code block, in order."""
        return re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)

    @property
    def lines(self) -> list[str]:
        """The lines of the shell blocks."""
        return [line for kind, text in self.blocks if kind == "sh" for line in text.splitlines()]

    @property
    def anchors(self) -> set[str]:
        """The valid fragments of links to this page."""
        headings = re.findall(r"^#+ (.*)$", self.text, re.MULTILINE)
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    @property
    def links(self) -> list[str]:
        """The targets of its links and images."""
        return re.findall(r"\]\(([^)\s]+)\)", self.text)

    def first_column(self, heading: str = "") -> set[str]:
        """The names in the first column of the tables of a section, or of the whole page."""
        section = self.text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0] if heading else self.text
        cells = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
        return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


README = Page(build.ROOT / "README.md")
DOCS = {path.stem: Page(path) for path in sorted((build.ROOT / "docs").rglob("*.md"))}
# Pages whose commands are all run by tests, and those for people who work on this project.
PAGES = [README, *DOCS.values()]
PROJECT_PAGES = [
    Page(build.ROOT / name)
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", ".github/pull_request_template.md")
]
