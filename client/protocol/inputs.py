"""What callers hand in: fields, workflows and files, as the wire takes them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..common.errors import UiapiError
from ..common.files import write

# Where None is a value of its own.
NOTHING: Any = object()


Fields = Mapping[str, Any] | Iterable[Sequence[Any]]


def pairs(fields: Fields) -> list[list[Any]]:
    """Writes as the wire has them: [path, value] each."""
    items = fields.items() if isinstance(fields, Mapping) else fields
    return [list(item) for item in items]


def workflow_of(source: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """A workflow given as such, as JSON text, or as a file's path. UiapiError `invalid`.

    ComfyUI writes NaN and Infinity into its pictures; they are None, as its frontend reads them.
    """
    if isinstance(source, Mapping):
        return {key: _finite(value) for key, value in source.items()}
    text = str(source)
    try:
        if isinstance(source, Path) or not text.lstrip().startswith("{"):
            text = Path(os.path.expanduser(source)).read_text("utf-8-sig")
        workflow = _finite(json.loads(text))
    except OSError as error:
        raise UiapiError("invalid", f"{source} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UiapiError("invalid", f"This workflow is not JSON: {error}.") from error
    if not isinstance(workflow, dict):
        raise UiapiError("invalid", "A workflow is a JSON object; export it from ComfyUI.")
    return workflow


def given(**parameters: Any) -> dict[str, Any]:
    """The parameters that were given, that is, are not None."""
    return {name: value for name, value in parameters.items() if value is not None}


def write_workflow(workflow: Mapping[str, Any], path: str | Path | None) -> None:
    """Write a workflow to a file, if one is named. UiapiError `storage_failed`."""
    # Half of a character, as a browser may have it in a title, is kept as JSON's own escape.
    text = json.dumps(workflow, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")
    write_bytes(text + b"\n", path)


def write_bytes(content: bytes, path: str | Path | None) -> None:
    """Write a file, if one is named. UiapiError `storage_failed`."""
    if path is not None:
        write(path, content)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
