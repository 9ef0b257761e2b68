"""Makes the table of well-known models from the official templates and ComfyUI-Manager's list, both as pinned."""

from __future__ import annotations

from ....downloads.finding.known_models import TABLE, table_of
from ....downloads.finding.manager_list import read_list
from ....downloads.finding.templates import read_templates
from .. import build
from ..steps import say


def made() -> str:
    """Returns the text of the table."""
    listed = read_templates(build.TEMPLATES / "templates")
    return table_of([*listed, *read_list(build.MANAGER / "comfyui_manager" / "model-list.json")])


def main() -> None:
    """Write the table."""
    text = made()
    TABLE.write_text(text, encoding="utf-8")
    say(f"{TABLE.relative_to(build.ROOT)}: {text.count(chr(10)) - 2} files")
