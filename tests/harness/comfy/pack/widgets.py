"""Nodes whose widgets the pack's frontend code replaces, hides, adds or draws (see web/)."""

from __future__ import annotations

from typing import Any

Inputs = dict[str, Any]


class _Shown:
    """An output node that accepts anything its frontend code sends and shows it as text."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "lab", "run", (), True

    def run(self, **values: Any) -> dict[str, Any]:
        return {"ui": {"text": [repr(sorted(values.items()))]}}


class _AnyInput(dict[str, Any]):
    """Optional inputs that contain every name, so that ComfyUI passes inputs that only the frontend knows."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        return super().get(name, ("*",))


class Rebuilt(_Shown):
    """A format whose callback replaces the widgets after it, as in video savers; web/rebuilt.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"format": (["h264", "h265", "gif"],)}, "optional": _AnyInput()}


class Retyped(_Shown):
    """A value whose widget changes its type with another widget; web/rebuilt.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"type": (["STRING", "INT", "BOOLEAN"],)}, "optional": _AnyInput()}


class DynamicCombo(_Shown):
    """The choice decides the further inputs, by the frontend's own means (1.58; 1.32 lacks this type)."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        size = ("INT", {"default": 512, "min": 0, "max": 16384})
        options = [
            {"key": "scale dimensions", "inputs": {"required": {"width": size, "height": size}}},
            {"key": "scale width", "inputs": {"required": {"width": size}}},
            {
                "key": "scale by multiplier",
                "inputs": {"required": {"multiplier": ("FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0})}},
            },
        ]
        return {"required": {"resize_type": ("COMFY_DYNAMICCOMBO_V3", {"options": options})}, "optional": _AnyInput()}


class HiddenCombos(_Shown):
    """Combos that the frontend code hides by overwriting their type; web/hidden.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        names = (["None", "one.safetensors", "two.safetensors"],)
        return {
            "required": {
                "count": ("INT", {"default": 1, "min": 1, "max": 3}),
                "name_1": names,
                "name_2": names,
                "name_3": names,
            }
        }


class Rows(_Shown):
    """Rows of object values between a header, a divider and a button that adds one; web/widgets/dynamic_rows.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {}, "optional": _AnyInput()}


class Late(_Shown):
    """The frontend code adds widgets a tenth of a second after the node is created; web/late.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"mode": ("BOOLEAN", {"default": True})}, "optional": _AnyInput()}


class Everywhere(_Shown):
    """Its picture goes to every unlinked picture input, but only in queued prompts; web/everywhere.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {}, "optional": {"image": ("IMAGE",)}}


class Seed(_Shown):
    """A seed whose control the frontend code replaces by buttons; web/seed.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        seed = ("INT", {"default": 0, "min": 0, "max": 2**50, "control_after_generate": True})
        return {"required": {"seed": seed}}


class Counter(_Shown):
    """Counts of runs that the frontend code keeps outside of its widgets; web/counter.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        count = ("INT", {"default": 0, "min": 0, "max": 1000})
        return {"required": {"begun": count, "ended": count}}


NODES = {
    "LabRebuilt": Rebuilt,
    "LabRetyped": Retyped,
    "LabDynamicCombo": DynamicCombo,
    "LabHiddenCombos": HiddenCombos,
    "LabRows": Rows,
    "LabLate": Late,
    "LabEverywhere": Everywhere,
    "LabSeed": Seed,
    "LabCounter": Counter,
}
