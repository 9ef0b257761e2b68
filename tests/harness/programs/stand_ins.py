"""Stand-ins for what the examples use of Blender and TouchDesigner, whose modules exist only inside these programs."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy


class Pixels:
    """The pixels of an image datablock: a flat list of RGBA floats, the bottom row first."""

    def __init__(self, count: int) -> None:
        self.values = numpy.zeros(count, numpy.float32)

    def __getitem__(self, part: slice) -> list[float]:
        values: list[float] = self.values[part].tolist()
        return values

    def foreach_set(self, values: Any) -> None:
        """As in Blender, the number of values must be that of the image."""
        if len(values) != len(self.values):
            raise TypeError(f"expected {len(self.values)} values, got {len(values)}")
        self.values = numpy.asarray(values, numpy.float32)


class Datablock:
    """An image of Blender.

    Attributes:
        updates: how often the program was asked to show it anew.
    """

    def __init__(self, name: str, width: int, height: int) -> None:
        self.name = name
        self.updates = 0
        self.scale(width, height)

    def scale(self, width: int, height: int) -> None:
        """Change its size."""
        self.size = (width, height)
        self.pixels = Pixels(width * height * 4)

    def update(self) -> None:
        """Show it anew."""
        self.updates += 1

    @property
    def rows(self) -> numpy.ndarray[Any, Any]:
        """Its pixels as (rows, columns, RGBA), the bottom row first."""
        return self.pixels.values.reshape(self.size[1], self.size[0], 4)

    @classmethod
    def of(cls, name: str, rows: numpy.ndarray[Any, Any]) -> Datablock:
        """Returns an image with these pixels, the bottom row first."""
        image = cls(name, rows.shape[1], rows.shape[0])
        image.pixels.foreach_set(rows.astype(numpy.float32).ravel())
        return image


class _Images(dict[str, Datablock]):
    """bpy.data.images."""

    def new(self, name: str, width: int, height: int, alpha: bool) -> Datablock:
        image = self[name] = Datablock(name, width, height)
        return image


class Blender:
    """A running Blender with an image editor.

    Attributes:
        module: what `import bpy` returns; a test puts it into sys.modules.
        images: the image datablocks by name.
        popups: the texts of the menus that popped up.
        kinds: the registered classes.
    """

    def __init__(self) -> None:
        self.images = _Images()
        self.popups: list[str] = []
        self.kinds: list[Any] = []
        self._timers: list[Callable[[], float | None]] = []
        self._scene = type("Scene", (), {})
        self.module = SimpleNamespace(
            types=SimpleNamespace(Operator=object, Panel=object, Scene=self._scene),
            props=SimpleNamespace(StringProperty=lambda name, default: default),
            utils=SimpleNamespace(register_class=self.kinds.append, unregister_class=self.kinds.remove),
            app=SimpleNamespace(
                timers=SimpleNamespace(register=lambda function, first_interval: self._timers.append(function))
            ),
            data=SimpleNamespace(images=self.images),
            context=SimpleNamespace(window_manager=SimpleNamespace(popup_menu=self._pop_up)),
        )

    def press(self, button: str, image: Datablock, field: str) -> None:
        """Press a button of the panel next to an image, with this text in the panel's field."""
        scene = self._scene()
        scene.uiapi_field = field
        drawn: list[str] = []
        layout = SimpleNamespace(prop=lambda owner, name: getattr(owner, name), operator=drawn.append)
        context = SimpleNamespace(scene=scene, space_data=SimpleNamespace(image=image))
        for kind in self.kinds:
            if hasattr(kind, "draw"):
                panel = kind()
                panel.layout = layout
                panel.draw(context)
        assert button in drawn, f"the panel has no button {button}"
        [operator] = [kind for kind in self.kinds if getattr(kind, "bl_idname", None) == button]
        assert operator().execute(context) == {"FINISHED"}

    def is_idle(self) -> bool:
        """Call every timer, as Blender does between two events; returns whether none is left."""
        self._timers = [timer for timer in self._timers if timer() is not None]
        return not self._timers

    def _pop_up(self, draw: Callable[[Any, Any], None], title: str) -> None:
        draw(SimpleNamespace(layout=SimpleNamespace(label=lambda text: self.popups.append(text))), None)


class ScriptTop:
    """A Script TOP of TouchDesigner with one input.

    Attributes:
        picture: what the input has; RGBA floats, the bottom row first.
        shown: the last picture that was copied to it.
        errors: the errors of the last frame.
    """

    path = "/project1/script1"

    def __init__(self, url: str, field: str, picture: numpy.ndarray[Any, Any]) -> None:
        self.picture = picture
        self.shown: numpy.ndarray[Any, Any] | None = None
        self.errors: list[str] = []
        self.par = SimpleNamespace(Field=SimpleNamespace(eval=lambda: field), Url=SimpleNamespace(eval=lambda: url))
        self.inputs = [SimpleNamespace(numpyArray=lambda delayed: self.picture)]
        self.addScriptError = self.errors.append

    def copyNumpyArray(self, array: numpy.ndarray[Any, Any]) -> None:  # noqa: N802 - TouchDesigner's name
        """As in TouchDesigner, the array must be C-contiguous RGBA in float32, uint8 or uint16."""
        assert array.flags.c_contiguous and array.shape[2] == 4 and array.dtype == numpy.float32
        self.shown = array

    def cook(self, on_cook: Callable[[Any], None]) -> None:
        """Show one frame."""
        self.errors.clear()
        on_cook(self)
