"""Guesses the ComfyUI directory of a model from its name and the fields that name it, for a person to choose from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# The most directories that are worth mentioning first.
MOST_LIKELY = 4
# Words of names and fields that stand for a directory whose own name they are not part of.
_HINTS = {
    "checkpoints": ("ckpt",),
    "controlnet": ("control", "canny", "openpose", "scribble", "lineart"),
    "diffusion_models": ("unet", "dit"),
    "loras": ("lycoris", "locon", "dora"),
    "text_encoders": ("clip", "t5", "t5xxl", "umt5"),
    "upscale_models": ("upscaler", "esrgan", "swinir"),
}
# A factor as in 4x-UltraSharp or RealESRGAN_x2.
_FACTOR = re.compile(r"\d+x|x\d+\w*")
# Words that say nothing about the kind of a model.
_EMPTY = frozenset({"model", "loader", "name"})
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")
# Letters that a hint must have to count inside a longer word, such as realesrgan.
_LONG = 5


def likely_folders(name: str, fields: Iterable[str], folders: Iterable[str]) -> list[str]:
    """The directories that a model probably belongs to, the likeliest first; empty if nothing is known.

    Args:
        name: its name with its subfolder.
        fields: the paths of the fields that name it, such as "Upscaler.model_name".
        folders: the directories that there are.
    """
    words = {word for text in (name, *fields) for word in _words(text)}
    scores = {folder: _score(folder, words) for folder in folders}
    return sorted((folder for folder in scores if scores[folder]), key=lambda folder: (-scores[folder], folder))[
        :MOST_LIKELY
    ]


def _score(folder: str, words: set[str]) -> int:
    """How much speaks for a directory; 0 for nothing."""
    own = set(_words(folder)) - _EMPTY
    if own and own <= words:
        return 2 * len(own)
    hinted = any(_holds(word, _HINTS.get(folder, ())) for word in words)
    factor = folder == "upscale_models" and any(_FACTOR.fullmatch(word) for word in words)
    return int(hinted or factor)


def _holds(word: str, hints: Sequence[str]) -> bool:
    return any(word == hint or (len(hint) >= _LONG and hint in word) for hint in hints)


def _words(text: str) -> list[str]:
    return [word.removesuffix("s") for word in _WORD.findall(_CAMEL.sub(" ", text).lower())]
