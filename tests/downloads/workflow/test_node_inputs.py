"""The inputs of node classes, and the folders they list."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.models.node_reader import Reader


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def test_the_folder_of_each_input_is_read_from_its_class_even_if_it_is_empty(reader: Reader) -> None:
    reader.inputs.learn(reader.classes)
    known = {name: dict(reader.inputs.of(name).folders) for name in reader.classes}  # type: ignore[union-attr]
    assert known == {
        "Checkpoint": {"ckpt_name": "checkpoints"},
        "Lora": {"lora_name": "loras"},
        "Vae": {"vae_name": "vae"},
        "Pair": {"text_encoder": "text_encoders", "ckpt_name": "checkpoints"},
        "Config": {},
        "Broken": {},
    }


def test_asking_a_class_leaves_comfyui_as_it_was(reader: Reader) -> None:
    original = reader.folders.get_filename_list
    reader.inputs.learn(reader.classes)
    assert reader.folders.get_filename_list == original
    assert reader.classes["Vae"].INPUT_TYPES()["required"]["vae_name"][0] == ["pixel_space"]  # type: ignore[attr-defined]


def test_other_threads_get_their_own_lists_while_a_class_is_asked(reader: Reader) -> None:
    seen: list[list[str]] = []

    class Nosy:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            other = threading.Thread(target=lambda: seen.append(reader.folders.get_filename_list("loras")))
            other.start()
            other.join()
            return {"required": {"lora_name": ([*reader.folders.get_filename_list("loras")],)}}

    reader.classes["Nosy"] = Nosy
    reader.inputs.learn(["Nosy"])
    assert seen == [[], []] and type(seen[0]) is list
    assert dict(reader.inputs.of("Nosy").folders) == {"lora_name": "loras"}  # type: ignore[union-attr]


def test_a_class_is_asked_once(reader: Reader) -> None:
    assert reader.inputs.unknown(["Lora", "Vae", "NotThere"]) == ["Lora", "Vae"]
    reader.inputs.learn(["Lora"])
    assert reader.inputs.unknown(["Lora", "Vae"]) == ["Vae"]


# -- classes of any kind ------------------------------------------------------------------------------------------


class Unhashable(str):
    """Equal to everything, and no key of a dict."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Odd(type):
    """A class that is equal to every other, and no key of a dict either."""

    def __eq__(cls, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Lying(dict[str, Any]):
    """Has every key."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> Any:
        return (Unhashable("*"),)


class Endless(dict[str, Any]):
    """Yields keys without end."""

    def items(self) -> Any:
        return ((f"name_{number}", ("STRING",)) for number in itertools.count())


class Throwing:
    """Raises on every access."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __bool__(self) -> bool:
        raise RuntimeError("neither")


def odd_class(answer: Callable[[], Any]) -> type:
    return Odd("Strange", (), {"INPUT_TYPES": staticmethod(answer)})


def raising(error: BaseException) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


def once() -> Callable[[], Any]:
    answers = [{"required": {"file": (["a.safetensors"],)}}]
    return lambda: answers.pop()


UNREADABLE: dict[str, Callable[[], Any]] = {
    "throws": raising(RuntimeError("no")),
    "wants to end the process": raising(SystemExit(3)),
    "is cancelled": raising(asyncio.CancelledError()),
    "throws when looked at": lambda: {"required": {"x": (["a"], {"options": 1, "remote": Throwing()})}, "optional": 3},
    "has a member that throws": lambda: {"required": Throwing()},
}
READABLE: dict[str, Callable[[], Any]] = {
    "a type without a hash": lambda: {"required": {"any": (Unhashable("*"), {}), "text": ("STRING",)}},
    "a name without a hash": lambda: {"required": Lying({"text": (Unhashable("STRING"), {})})},
    "no dict": lambda: ["required"],
    "nothing": lambda: None,
    "groups that are no dicts": lambda: {"required": ["text"], "optional": 5},
    "inputs that are no tuples": lambda: {"required": {"a": "STRING", "b": None, "c": (), "d": [], 5: ("INT",)}},
    "odd members of a list": lambda: {"required": {"x": ([None, 3, {}, Unhashable("a"), object(), ["b"]],)}},
    "options that are no dict": lambda: {"required": {"x": ("INT", ["seed"]), "y": ("COMBO", {"options": 7})}},
    "an answer for every key": lambda: Lying(),
    "more inputs than there are": lambda: {"required": Endless()},
    "a long list": lambda: {"required": {"x": (["a"] * 300_000,)}},
    "an answer once only": once(),
}


@pytest.mark.parametrize("kind", [*UNREADABLE, *READABLE])
def test_no_class_however_odd_stops_the_analysis_of_the_others(reader: Reader, kind: str) -> None:
    reader.classes["Strange"] = odd_class({**UNREADABLE, **READABLE}[kind])
    values = [{"id": 1, "type": "Strange", "widgets_values": ["word", "strange.safetensors"]}]
    needs = reader.read({"nodes": [*values, {"id": 2, "type": "Checkpoint", "widgets_values": ["x.safetensors"]}]})
    assert needs[-1] == ("x.safetensors", "checkpoints", None)
    # A class that says nothing of itself is as good as one that is not installed.
    assert needs[:-1] == ([("strange.safetensors", None, None)] if kind in UNREADABLE else [])
    assert reader.inputs.unknown(["Strange", "Checkpoint", "Lora"]) == ["Lora"]


def test_a_class_that_fails_is_named_in_the_log_once(reader: Reader, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        reader.read({"nodes": [{"id": 1, "type": "Broken", "widgets_values": []}]})
    assert [record.getMessage() for record in caplog.records] == [
        "The inputs of the node class Broken cannot be read (RuntimeError)."
    ]
