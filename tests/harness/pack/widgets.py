"""Nodes whose widgets the pack's own front end replaces, hides, adds or draws (see web/)."""

from __future__ import annotations

from typing import Any

Inputs = dict[str, Any]


class _Shown:
    """An output node that takes whatever its front end sends and shows it as text."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "lab", "run", (), True

    def run(self, **values: Any) -> dict[str, Any]:
        return {"ui": {"text": [repr(sorted(values.items()))]}}


class _AnyInput(dict[str, Any]):
    """Optional inputs that contain every name, so that ComfyUI passes what only the front end knows of."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        return super().get(name, ("*",))


class Rebuilt(_Shown):
    """A format whose callback puts other widgets after it, as video savers do; web/rebuilt.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"format": (["h264", "h265", "gif"],)}, "optional": _AnyInput()}


class Retyped(_Shown):
    """A value whose widget becomes one of another type when the type changes; web/rebuilt.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"type": (["STRING", "INT", "BOOLEAN"],)}, "optional": _AnyInput()}


class DynamicCombo(_Shown):
    """The choice decides which further inputs there are, by the frontend's own means (1.58; 1.32 has no such type)."""

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
    """Combos whose type the front end overwrites to hide them; web/hidden.js."""

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
    """The front end adds widgets a tenth of a second after the node is made; web/late.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"mode": ("BOOLEAN", {"default": True})}, "optional": _AnyInput()}


class Everywhere(_Shown):
    """Its picture goes to every picture input without a link, but only in what is queued; web/everywhere.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {}, "optional": {"image": ("IMAGE",)}}


class Seed(_Shown):
    """A seed whose control the front end removes, since it has buttons of its own; web/seed.js."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        seed = ("INT", {"default": 0, "min": 0, "max": 2**50, "control_after_generate": True})
        return {"required": {"seed": seed}}


NODES = {
    "LabRebuilt": Rebuilt,
    "LabRetyped": Retyped,
    "LabDynamicCombo": DynamicCombo,
    "LabHiddenCombos": HiddenCombos,
    "LabRows": Rows,
    "LabLate": Late,
    "LabEverywhere": Everywhere,
    "LabSeed": Seed,
}
