"""Pictures sent as a field's value: stored in the input folder under a name that cannot lead anywhere else."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.images import image_name

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"


def picture(data: bytes = PNG) -> dict[str, str]:
    return {"type": "image_base64", "data": base64.b64encode(data).decode()}


async def test_a_picture_is_stored_in_the_input_folder_and_its_name_is_written(house: Any, tmp_path: Path) -> None:
    tab = await house.tab()
    tab.on("set_fields", lambda data: {path: {"value": value, "warnings": []} for path, value in data["fields"]})
    status, body = await house.post("set_fields", {"fields": [["LoadImage.image", picture()], ["a.b", 1]]})
    assert status == 200
    assert tab.requests[0]["data"] == {"fields": [["LoadImage.image", "INPUT_LoadImage.png"], ["a.b", 1]]}
    assert body["response"]["LoadImage.image"]["value"] == "INPUT_LoadImage.png"
    assert [path.name for path in (tmp_path / "input").iterdir()] == ["INPUT_LoadImage.png"]
    assert (tmp_path / "input" / "INPUT_LoadImage.png").read_bytes() == PNG


async def test_a_picture_can_be_sent_as_a_data_url_and_as_the_single_field(house: Any, tmp_path: Path) -> None:
    (await house.tab()).on("set_fields", {})
    value = {"type": "image_base64", "data": "data:image/png;base64," + base64.b64encode(PNG).decode()}
    status, body = await house.post("set_fields", {"field": ["#12.image", value]})
    assert status == 200
    assert (tmp_path / "input" / "INPUT_12.png").read_bytes() == PNG


async def test_without_a_tab_no_picture_is_stored(house: Any, tmp_path: Path) -> None:
    status, body = await house.post("set_fields", {"fields": [["LoadImage.image", picture()]]})
    assert (status, body["code"]) == (503, "no_webui")
    assert list((tmp_path / "input").iterdir()) == []


@pytest.mark.parametrize(
    "value",
    [picture(b"<html>"), picture(b""), {"type": "image_base64"}, {"type": "image_base64", "data": "***"}],
)
async def test_what_is_no_picture_is_refused_and_none_of_the_others_is_stored(
    house: Any, tmp_path: Path, value: Any
) -> None:
    tab = await house.tab()
    status, body = await house.post("set_fields", {"fields": [["A.image", picture()], ["B.image", value]]})
    assert (status, body["code"]) == (422, "invalid") and "B.image" in body["error"]
    assert list((tmp_path / "input").iterdir()) == [] and tab.requests == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("LoadImage.image", "INPUT_LoadImage.png"),
        ("My Node[1].image", "INPUT_My Node[1].png"),
        ("#12.image", "INPUT_12.png"),
        ("../../etc/passwd.image", "INPUT_etc_passwd.png"),
        ("C:\\x.image", "INPUT_C_x.png"),
        ("a\x00b.image", "INPUT_a_b.png"),
        ('"v1.0".image', "INPUT_v1_0.png"),
        ("....image", "INPUT_image.png"),
        ("image", "INPUT_image.png"),
        ("Bild für Anna.image", "INPUT_Bild für Anna.png"),
    ],
)
def test_the_name_of_a_picture_stays_in_its_folder(path: str, name: str) -> None:
    assert image_name(path) == name


async def test_a_folder_that_cannot_be_written_is_an_error_and_leaves_nothing(house: Any, tmp_path: Path) -> None:
    tab = await house.tab()
    (tmp_path / "input" / "INPUT_A.png").mkdir()
    status, body = await house.post("set_fields", {"fields": [["A.image", picture()]]})
    assert (status, body["code"]) == (507, "storage_failed")
    assert [path.name for path in (tmp_path / "input").iterdir()] == ["INPUT_A.png"] and tab.requests == []


async def test_a_page_that_does_not_report_a_write_is_not_reported_as_confirmed(house: Any) -> None:
    (await house.tab()).on("set_fields", {})
    status, body = await house.post("set_fields", {"fields": [["a.b", 1]]})
    assert body["response"]["a.b"]["value"] is None and body["response"]["a.b"]["warnings"]
