"""Converts what callers pass, such as fields, workflows and files, to the form that the server accepts."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..common.errors import UiapiError
from ..common.files import write
from ..common.pictures import converted

# The default where None is a valid value.
NOTHING: Any = object()


Fields = Mapping[str, Any] | Iterable[Sequence[Any]]


def pairs(fields: Fields) -> list[list[Any]]:
    """Returns writes as a list of [path, value]."""
    items = fields.items() if isinstance(fields, Mapping) else fields
    return [list(item) for item in items]


def workflow_of(source: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """Returns a workflow from a mapping, JSON text, or the path of a file. Raises UiapiError `invalid`.

    A picture, video or sound is returned as {type: "file_base64", data}; the server finds the workflow in its metadata.
    ComfyUI writes NaN and Infinity into its pictures; they become None, as in its frontend.
    """
    if isinstance(source, Mapping):
        return {key: _finite(value) for key, value in source.items()}
    text = str(source)
    try:
        if isinstance(source, Path) or not text.lstrip().startswith("{"):
            content = Path(os.path.expanduser(source)).read_bytes()
            try:
                text = content.decode("utf-8-sig")
            except UnicodeDecodeError:
                return {"type": "file_base64", "data": base64.b64encode(content).decode()}
        workflow = _finite(json.loads(text))
    except OSError as error:
        raise UiapiError("invalid", f"{source} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UiapiError("invalid", f"The workflow is not valid JSON: {error}.") from error
    if not isinstance(workflow, dict):
        raise UiapiError("invalid", "A workflow must be a JSON object; export it from ComfyUI.")
    return workflow


def given(**parameters: Any) -> dict[str, Any]:
    """Returns the parameters that are not None."""
    return {name: value for name, value in parameters.items() if value is not None}


def write_workflow(workflow: Mapping[str, Any], path: str | Path | None) -> None:
    """Write a workflow to a file, unless `path` is None. Raises UiapiError `storage_failed`."""
    # A lone surrogate, which a title in the browser may contain, is kept as a JSON escape.
    text = json.dumps(workflow, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")
    if path is not None:
        write(path, text + b"\n")


def write_picture(png: bytes, path: str | Path | None) -> None:
    """Write a picture in the format of the file's suffix, unless `path` is None.

    Raises UiapiError `invalid` if it cannot be converted, or `storage_failed`.
    """
    if path is not None:
        name = Path(path).name
        write(path, converted(png, "screenshot.png", name) if Path(path).suffix else png)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
