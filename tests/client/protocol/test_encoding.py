"""The encoding of Python values as JSON."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from comfyui_uiapi.client.common.errors import UiapiError
from comfyui_uiapi.client.protocol.encoding import encode, png
from comfyui_uiapi.client.protocol.inputs import workflow_of
from comfyui_uiapi.tests.client.conftest import PNG
from PIL import Image


def sent(value: Any) -> Any:
    return json.loads(encode({"fields": [["A.b", value]]}))["fields"][0][1]


def pixels(value: Any) -> numpy.ndarray:
    decoded = sent(value)
    assert decoded["type"] == "image_base64"
    return numpy.asarray(Image.open(io.BytesIO(base64.b64decode(decoded["data"]))))


@pytest.mark.parametrize("value", [1, 2**53, -0.5, "текст", True, None, [1, [2]], {"a": "b"}])
def test_plain_values_stay_what_they_are(value: Any) -> None:
    assert sent(value) == value


@pytest.mark.parametrize("value", [numpy.int64(7), numpy.uint8(7), numpy.float32(7), numpy.float64(7), numpy.array(7)])
def test_numpy_scalars_are_numbers(value: Any) -> None:
    assert sent(value) == 7


def test_a_one_dimensional_array_is_a_list() -> None:
    assert sent(numpy.array([1, 2])) == [1, 2]


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), numpy.float32("nan"), numpy.float64("inf"), [1, [float("nan")]]],
)
def test_nan_and_infinity_are_refused_with_their_path(value: Any) -> None:
    with pytest.raises(UiapiError, match=r"A\.b") as refused:
        sent(value)
    assert refused.value.code == "invalid"


def test_a_type_that_cannot_be_sent_is_named() -> None:
    with pytest.raises(UiapiError, match="object"):
        sent(object())


RGB = numpy.random.default_rng(1).integers(0, 256, (3, 5, 3), numpy.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_array_arrives_with_its_pixels(channels: int) -> None:
    array = numpy.random.default_rng(2).integers(0, 256, (4, 6, channels), numpy.uint8)
    assert (pixels(array).reshape(array.shape) == array).all()


def test_an_array_of_integers_may_hold_each_value_of_a_byte_and_no_other() -> None:
    assert pixels(numpy.array([[0, 255]]))[0].tolist() == [0, 255]
    for value in (-1, 256):
        with pytest.raises(UiapiError, match="from 0 to 255"):
            sent(numpy.array([[value]]))


def test_an_array_of_floats_is_scaled_and_clipped() -> None:
    assert pixels(numpy.array([[[0.0, 0.5, 2.0]]]))[0, 0].tolist() == [0, 128, 255]


def test_a_batch_of_one_and_a_part_of_an_array_arrive_too() -> None:
    assert (pixels(RGB[None]) == RGB).all()
    assert (pixels(RGB[::-1, ::2]) == RGB[::-1, ::2]).all()


@pytest.mark.parametrize(
    "array", [numpy.zeros((2, 2, 5)), numpy.full((2, 2), 300), numpy.full((2, 2), numpy.nan), numpy.zeros((0, 2))]
)
def test_an_array_that_is_not_a_picture_is_refused(array: numpy.ndarray) -> None:
    with pytest.raises(UiapiError) as refused:
        sent(array)
    assert refused.value.code == "invalid"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "F"])
def test_an_image_of_pillow_arrives_in_any_mode(mode: str) -> None:
    assert pixels(Image.new(mode, (5, 3))).shape[:2] == (3, 5)


def test_bytes_and_files_are_sent_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    for value in (PNG, bytearray(PNG), memoryview(PNG), tmp_path / "a.png"):
        assert base64.b64decode(sent(value)["data"]) == PNG


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UiapiError, match=r"no\.png"):
        sent(tmp_path / "no.png")


def test_a_text_is_never_taken_for_a_path(tmp_path: Path) -> None:
    assert sent(str(tmp_path)) == str(tmp_path)


def test_pillow_reads_our_png() -> None:
    assert (numpy.asarray(Image.open(io.BytesIO(png(RGB.tobytes(), 5, 3)))) == RGB).all()


def test_a_workflow_with_nan_is_read_as_comfyuis_frontend_reads_it(tmp_path: Path) -> None:
    text = '{"1": {"class_type": "EmptyImage", "is_changed": [NaN], "inputs": {"a": -Infinity}}}'
    read = {"1": {"class_type": "EmptyImage", "is_changed": [None], "inputs": {"a": None}}}
    file = tmp_path / "workflow.json"
    file.write_text(text)
    for source in (text, file, str(file), json.loads(text)):
        assert workflow_of(source) == read


def test_a_picture_is_sent_as_a_file_for_the_server_to_find_its_workflow(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(png(RGB.tobytes(), 5, 3))
    sent_file = workflow_of(file)
    assert sent_file["type"] == "file_base64" and base64.b64decode(sent_file["data"]) == file.read_bytes()
