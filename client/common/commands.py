"""A method for each command of the server, created at run time from the table; the types are in commands.pyi."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .command_table import bound, routes


class Commands:
    """The commands as methods: `commands.get_fields(["Title.widget"], timeout=5)`.

    Args:
        call: sends a command, given its name and parameters.
    """

    def __init__(self, call: Callable[[str, dict[str, Any]], Any]) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Callable[..., Any]:
        known = routes().get(name)
        if known is None:
            raise AttributeError(f"no command {name!r}; dir(client.commands) lists them")
        return bound(known, self._call)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *routes()]


class AsyncCommands(Commands):
    """The same as coroutines."""

    def __init__(self, call: Callable[[str, dict[str, Any]], Awaitable[Any]]) -> None:
        super().__init__(call)
