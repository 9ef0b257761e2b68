"""A slider in a window of its own and a field of the open workflow, each of which follows the other.

Usage:
    python slider.py Sampler.cfg 1 20
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from uiapi import Client, Event


class Knob:
    """A field that can be turned here and at the browser.

    Args:
        client: the connection.
        path: the field.
        moved: called with the value that somebody else gave it, on a thread of its own.
    """

    def __init__(self, client: Client, path: str, moved: Callable[[float], object]) -> None:
        self._client = client
        self._path = path
        self._moved = moved
        self.value: float = client.get(path)
        self._end = client.on("widget_changed", self._changed, paths=[path])

    def turn(self, value: float) -> None:
        """Give the field this value."""
        self.value = value
        self.value = self._client.set(self._path, value)["value"]

    def _changed(self, event: Event) -> None:
        # What was turned here comes back as an event too; passing it on would be an echo without end.
        if event.data["new"] != self.value:
            self.value = event.data["new"]
            self._moved(self.value)

    def close(self) -> None:
        """Let the field go."""
        self._end()


def main(path: str, lowest: str, highest: str) -> None:
    """Show the slider until its window is closed."""
    import tkinter

    window = tkinter.Tk()
    window.title(path)
    with Client(name="slider") as client:
        scale = tkinter.Scale(window, from_=float(lowest), to=float(highest), resolution=0.1, orient="horizontal")
        knob = Knob(client, path, lambda value: window.after(0, scale.set, value))
        scale.set(knob.value)
        # While it is dragged the scale calls this at every pixel; only what it rests at is worth a request.
        scale.bind("<ButtonRelease-1>", lambda _: knob.turn(scale.get()))
        scale.pack(fill="x", padx=12, pady=12)
        window.mainloop()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("Usage: python slider.py PATH LOWEST HIGHEST, such as Sampler.cfg 1 20")
    main(*sys.argv[1:])
