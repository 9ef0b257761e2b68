"""Types of requests and responses that are imported at first use, since ComfyUI waits for every extension to import."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Later:
    """A type in a module that is imported at first use."""

    module: str
    package: str
    name: str

    def load(self) -> Any:
        """Return the type."""
        return getattr(importlib.import_module(self.module, self.package), self.name)


class LazyModule:
    """Stands for a module whose types are imported at first use: each attribute is the `Later` of that name.

    Args:
        module, package: as for importlib.import_module.
    """

    def __init__(self, module: str, package: str | None) -> None:
        self._module = module
        self._package = package or ""

    def __getattr__(self, name: str) -> Later:
        return Later(self._module, self._package, name)


def loaded(declared: Any) -> Any:
    """Return the type that a declaration names, itself or as a `Later`."""
    return declared.load() if isinstance(declared, Later) else declared
