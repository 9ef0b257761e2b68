"""The input of a Dask task of a farm: one prompt, with its input files and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The input from which nodes that save files take their names.
PREFIX = "filename_prefix"


@dataclass(frozen=True)
class Input:
    """An input file that a prompt names.

    Attributes:
        node_id, name: the node and its input.
        file: the name under which it is uploaded, which begins with the digest of its content.
    """

    node_id: str
    name: str
    file: str


@dataclass(frozen=True)
class Job:
    """One prompt.

    Attributes:
        sweep_id: shared by all prompts of a sweep.
        connection: the number of the connection of the sweep to the farm over which the prompt is sent.
        index: the number of the variation.
        prompt_id: its ID in whichever ComfyUI runs it.
        prompt: the workflow in API format; see `named_apart`.
        workflow: the workflow in UI format, for the metadata of its files.
        inputs: the files that it names.
        fetch: whether the contents of its files are returned.
        shared: the folder where they are written instead.
    """

    sweep_id: str
    connection: int
    index: int
    prompt_id: str
    prompt: dict[str, Any]
    workflow: dict[str, Any] | None = None
    inputs: tuple[Input, ...] = field(default=())
    fetch: bool = True
    shared: str | None = None


def named_apart(prompt: Mapping[str, Any], index: int, prompt_id: str) -> dict[str, Any]:
    """Returns a prompt whose files have names that no other prompt's files have.

    ComfyUI numbers files by what is in its output folder. If two share one, such as those for two GPUs of a machine,
    both may take the same number, and one picture replaces the other.
    """
    # After an underscore, ComfyUI would read the index as the number of a file with the plain prefix.
    apart = f"-{index:05d}-{prompt_id[:8]}"
    return {node_id: _named(node, apart) for node_id, node in prompt.items()}


def _named(node: Any, apart: str) -> Any:
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    if not isinstance(inputs, Mapping) or not isinstance(inputs.get(PREFIX), str):
        return node
    return {**node, "inputs": {**inputs, PREFIX: inputs[PREFIX].rstrip("/\\") + apart}}
