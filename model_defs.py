"""Model definitions: the sources of a model, its ComfyUI directory, and the CivitAI token to download it with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .common.errors import UiapiError

# The kinds of sources, in the order they are tried.
SOURCE_KINDS = ("local", "url", "civitai", "huggingface", "gdrive")

# Keys of a definition that programs send, and the older spellings under which they are saved and returned.
KEPT_AS = {"directory": "ckpt_type"}

# The default weight of a LoRA, for both networks.
FULL_WEIGHT = 1.0


class ControlNetType(str, Enum):
    """The two families of ControlNets."""

    STANDARD = "standard"
    XS = "xs"


@dataclass
class ModelDef:
    """A model's sources, tried in the order local, url, civitai, huggingface, gdrive.

    Attributes:
        url: an https URL, a page of CivitAI or Hugging Face, or an AIR URN.
        huggingface: a URL, `org/repo`, or `org/repo/path/in/it.safetensors`, with `@revision` after the repo.
        local: a file on the server's own disk, as a path or as a name in its model folders.
        civitai: a URL, an AIR URN, or `model@version`.
        gdrive: a URL or the file's id.
        fp16: whether the half-precision variant is meant.
        ckpt_type: the ComfyUI model directory, such as "checkpoints", "loras" or "vae".
        sha256: the digest the file must have, if known.
    """

    url: str | None = None
    huggingface: str | None = None
    local: str | None = None
    civitai: str | None = None
    gdrive: str | None = None
    fp16: bool = True
    ckpt_type: str = "checkpoints"
    sha256: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The definition as a JSON-compatible dict; the inverse of `from_dict`."""
        return {
            "url": self.url,
            "huggingface": self.huggingface,
            "local": self.local,
            "civitai": self.civitai,
            "gdrive": self.gdrive,
            "fp16": self.fp16,
            "ckpt_type": self.ckpt_type,
            "sha256": self.sha256,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> ModelDef:
        """The definition that a dict describes; `directory` or `ckpt_type` determines its class.

        Raises:
            UiapiError: `invalid` for an unknown key or a value of the wrong type.
        """
        for key, older in KEPT_AS.items():
            if data.get(key) is not None and data.get(older) is not None:
                raise UiapiError("invalid", f"Give a model's {key!r} or its older spelling {older!r}, not both.")
        data = as_kept(data)
        kind = _KINDS.get(str(data.get("ckpt_type", "")), ModelDef)
        if "weights" in data or "fuse" in data:
            kind = LoraDef
        elif "cn_type" in data:
            kind = ControlNetDef
        known = {key: value for key, value in data.items() if value is not None}
        for key, value in known.items():
            _check(key, value, kind)
        ckpt_type = known.pop("ckpt_type", None)
        if "weights" in known and isinstance(known["weights"], list):
            known["weights"] = tuple(known["weights"])
        if "cn_type" in known:
            known["cn_type"] = ControlNetType(known["cn_type"])
        model = kind(**known)
        if ckpt_type is not None:
            model.ckpt_type = ckpt_type
        return model

    @property
    def sources(self) -> list[tuple[str, str]]:
        """Its sources as (kind, reference), in the order they are tried."""
        pairs = [(kind, getattr(self, kind)) for kind in SOURCE_KINDS]
        return [(kind, reference) for kind, reference in pairs if reference]

    @property
    def huggingface_id(self) -> str | None:
        """The `org/repo` of the Hugging Face source, or None."""
        if not self.huggingface:
            return None
        text = self.huggingface.removeprefix("hf://")
        parts = [part for part in (urlsplit(text).path if "://" in text else text).split("/") if part]
        if parts and parts[0] in ("datasets", "spaces"):
            parts = parts[1:]
        # The repositories of Hugging Face's early models have no organization: gpt2/resolve/main/….
        own = len(parts) > 1 and parts[1] in ("resolve", "blob", "raw", "tree")
        return "/".join(parts[: 1 if own else 2]).partition("@")[0] or None

    @staticmethod
    def read_civitai_token() -> str | None:
        """The token from CIVITAI_API_TOKEN, CIVITAI_TOKEN, ~/.civitai_token or .civitai_token next to the package."""
        for name in ("CIVITAI_API_TOKEN", "CIVITAI_TOKEN"):
            token = os.environ.get(name, "").strip()
            if token:
                return token
        for folder in (Path.home(), Path(__file__).resolve().parent.parent):
            try:
                token = (folder / ".civitai_token").read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError):
                continue
            if token:
                return token
        return None


@dataclass
class ControlNetDef(ModelDef):
    """A ControlNet and its family."""

    ckpt_type: str = "controlnet"
    cn_type: ControlNetType = ControlNetType.STANDARD

    def is_xs(self) -> bool:
        """Whether it is a ControlNet-XS."""
        return self.cn_type is ControlNetType.XS

    def to_dict(self) -> dict[str, Any]:
        """As `ModelDef.to_dict`, with the family."""
        return {**super().to_dict(), "cn_type": self.cn_type.value}


@dataclass
class VaeDef(ModelDef):
    """A VAE."""

    ckpt_type: str = "vae"


@dataclass
class LoraDef(ModelDef):
    """A LoRA and how strongly it is applied: one weight, or (unet, text encoder)."""

    ckpt_type: str = "loras"
    weights: float | tuple[float, float] = FULL_WEIGHT
    fuse: bool = True

    @property
    def unet_strength(self) -> float:
        """The weight for the diffusion model."""
        return self.weights[0] if isinstance(self.weights, tuple) else self.weights

    @property
    def text_encoder_strength(self) -> float:
        """The weight for the text encoder."""
        return self.weights[1] if isinstance(self.weights, tuple) else self.weights

    def to_dict(self) -> dict[str, Any]:
        """As `ModelDef.to_dict`, with the weights."""
        weights = list(self.weights) if isinstance(self.weights, tuple) else self.weights
        return {**super().to_dict(), "weights": weights, "fuse": self.fuse}


def as_kept(data: Mapping[str, Any]) -> dict[str, Any]:
    """A definition as it is saved and returned, with the older spellings of its keys."""
    kept = dict(data)
    for key, older in KEPT_AS.items():
        value = kept.pop(key, None)
        if value is not None:
            kept[older] = value
    return kept


_KINDS: dict[str, type[ModelDef]] = {"controlnet": ControlNetDef, "vae": VaeDef, "loras": LoraDef}
_BOOLEANS = frozenset({"fp16", "fuse"})


def _check(key: str, value: Any, kind: type[ModelDef]) -> None:
    if key not in kind.__dataclass_fields__:
        spelled = {older: name for name, older in KEPT_AS.items()}
        names = ", ".join(spelled.get(name, name) for name in kind.__dataclass_fields__)
        raise UiapiError("invalid", f"A model definition has no {key!r}; it may have {names}.")
    if key in _BOOLEANS:
        fits = isinstance(value, bool)
    elif key == "weights":
        numbers = value if isinstance(value, (list, tuple)) else [value]
        fits = len(numbers) in (1, 2) and all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers)
        fits = fits and (len(numbers) == 2 or not isinstance(value, (list, tuple)))
    elif key == "cn_type":
        fits = value in [member.value for member in ControlNetType]
    elif key == "sha256":
        fits = isinstance(value, str) and len(value) == 64 and all(c in "0123456789abcdefABCDEF" for c in value)
    else:
        fits = isinstance(value, str)
    if not fits:
        raise UiapiError("invalid", f"A model's {key!r} cannot be {value!r}.")
