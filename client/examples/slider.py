"""Shows a slider in a window that controls a field of the open workflow and follows its changes.

Usage:
    python slider.py Sampler.cfg 1 20
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from uiapi import Client, Event


class Knob:
    """A field that can be changed here and in the browser.

    Args:
        client: the client to use.
        path: path of the field.
        moved: called with the new value when the field is changed elsewhere, on a separate thread.
    """

    def __init__(self, client: Client, path: str, moved: Callable[[float], object]) -> None:
        self._client = client
        self._path = path
        self._moved = moved
        self.value: float = client.get(path)
        self._end = client.on("widget_changed", self._changed, paths=[path])

    def turn(self, value: float) -> None:
        """Set the field to this value."""
        self.value = value
        self.value = self._client.set(self._path, value)["value"]

    def _changed(self, event: Event) -> None:
        # Changes made here arrive as events too; passing them on would cause a loop.
        if event.data["new"] != self.value:
            self.value = event.data["new"]
            self._moved(self.value)

    def close(self) -> None:
        """Stop following the field."""
        self._end()


def main(path: str, lowest: str, highest: str) -> None:
    """Show the slider until the window is closed."""
    import tkinter

    window = tkinter.Tk()
    window.title(path)
    with Client(name="slider") as client:
        scale = tkinter.Scale(window, from_=float(lowest), to=float(highest), resolution=0.1, orient="horizontal")
        knob = Knob(client, path, lambda value: window.after(0, scale.set, value))
        scale.set(knob.value)
        # On release only: a command of the scale would send a request for every pixel while it is dragged.
        scale.bind("<ButtonRelease-1>", lambda _: knob.turn(scale.get()))
        scale.pack(fill="x", padx=12, pady=12)
        window.mainloop()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("Usage: python slider.py PATH LOWEST HIGHEST, such as Sampler.cfg 1 20")
    main(*sys.argv[1:])
