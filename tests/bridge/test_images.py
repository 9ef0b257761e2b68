"""Pictures sent as a field's value: stored in the input folder under a name that cannot lead anywhere else."""

from __future__ import annotations

import asyncio
import base64
import os
import re
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
        ("image", "INPUT_image.png"),
        ("Photo", "INPUT_Photo.png"),
        ("Bild für Anna.image", "INPUT_Bild für Anna.png"),
        ('"Photo".image', "INPUT_Photo.png"),
    ],
)
def test_a_picture_is_named_after_its_node(path: str, name: str) -> None:
    assert image_name(path) == name


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("../../etc/passwd.image", "etc_passwd"),
        ("C:\\x.image", "C_x"),
        ("a\x00b.image", "a_b"),
        ('"v1.0".image', "v1_0"),
        ("....image", "image"),
        # Another picture of the same node is another file.
        ("Photo.mask", "Photo_mask"),
        # No file system takes a name of more than 255 bytes.
        (f"{'画' * 200}.image", "画" * 50),
    ],
    ids=ascii,
)
def test_a_name_that_no_file_can_have_stays_in_its_folder_and_apart_from_others(path: str, plain: str) -> None:
    assert re.fullmatch(rf"INPUT_{re.escape(plain)}_[0-9a-f]{{6}}\.png", image_name(path))
    assert image_name(path) != image_name("?" + path)


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


async def test_a_refused_write_leaves_the_pictures_as_they_were(house: Any, tmp_path: Path) -> None:
    tab = await house.tab()
    tab.on("set_fields", {})
    folder = tmp_path / "input"
    await house.post("set_fields", {"fields": [["Photo.image", picture(PNG + b" before")]]})
    tab.refuse("set_fields", "unknown_path")
    tab.refuse("batch", "unknown_path")
    fields = [["Photo.image", picture()], ["New.image", picture()], ["Nope.width", 1]]
    commands = [{"command": "set_fields", "data": {"fields": [write]}} for write in fields]
    for command, body in (("set_fields", {"fields": fields}), ("batch", {"commands": commands})):
        status, answer = await house.post(command, body)
        assert (status, answer["code"]) == (404, "unknown_path")
        assert [path.name for path in folder.iterdir()] == ["INPUT_Photo.png"]
        assert (folder / "INPUT_Photo.png").read_bytes() == PNG + b" before"


async def test_a_write_of_which_nobody_knows_whether_it_was_done_keeps_its_picture(house: Any, tmp_path: Path) -> None:
    await house.tab()
    status, answer = await house.post("set_fields", {"fields": [["Photo.image", picture()]], "timeout": 0.05})
    assert (status, answer["code"]) == (504, "timeout")
    assert [path.name for path in (tmp_path / "input").iterdir()] == ["INPUT_Photo.png"]


async def test_what_another_program_has_stored_meanwhile_stays(house: Any, tmp_path: Path) -> None:
    tab = await house.tab()
    target = tmp_path / "input" / "INPUT_Photo.png"
    refused = asyncio.ensure_future(house.post("set_fields", {"fields": [["Photo.image", picture(PNG + b" refused")]]}))
    first = await tab.next()
    other = asyncio.ensure_future(house.post("set_fields", {"fields": [["Photo.image", picture(PNG + b" taken")]]}))
    second = await tab.next()
    await tab.respond(second["id"], {})
    await other
    await tab.respond(first["id"], status="error", error="no", code="unknown_path")
    assert (await refused)[0] == 404
    assert target.read_bytes() == PNG + b" taken"


async def test_two_pictures_that_would_be_one_file_are_refused(house: Any, tmp_path: Path) -> None:
    await house.tab()
    fields = [["Photo.image", picture()], ["#Photo.image", picture(PNG + b"other")]]
    status, answer = await house.post("set_fields", {"fields": fields})
    assert (status, answer["code"]) == (422, "invalid") and "#Photo.image" in answer["error"]
    assert [*(tmp_path / "input").iterdir()] == []


async def test_two_refused_writes_of_one_picture_leave_what_was_there_in_either_order(
    house: Any, tmp_path: Path
) -> None:
    tab = await house.tab()
    target = tmp_path / "input" / "INPUT_Photo.png"
    for order in ((0, 1), (1, 0)):
        target.write_bytes(PNG + b" before")
        asked, requests = [], []
        for number in range(2):
            fields = [["Photo.image", picture(PNG + bytes([number]))]]
            asked.append(asyncio.ensure_future(house.post("set_fields", {"fields": fields})))
            requests.append(await tab.next())
        for number in order:
            await tab.respond(requests[number]["id"], status="error", error="no", code="revision_changed")
            assert (await asked[number])[0] == 409
        assert target.read_bytes() == PNG + b" before"
        assert [path.name for path in target.parent.iterdir()] == [target.name]


async def test_a_picture_that_a_run_has_set_stays_whatever_becomes_of_the_run(house: Any, tmp_path: Path) -> None:
    # This page sets the fields in a step of its own, and then refuses to run.
    tab = await house.tab()
    tab.on("set_fields", {})
    tab.refuse("execute", "invalid")
    status, answer = await house.post("run", {"fields": [["Photo.image", picture()]]})
    assert (status, answer["code"]) == (422, "invalid")
    assert (tmp_path / "input" / "INPUT_Photo.png").read_bytes() == PNG


async def test_the_start_takes_away_what_a_killed_write_of_a_picture_left(house: Any, tmp_path: Path) -> None:
    kept, left = tmp_path / "input" / "mine.tmp", tmp_path / "input" / ".uiapi-abc.tmp"
    for path in (kept, left):
        path.write_bytes(PNG)
        os.utime(path, (1, 1))
    await house.bridge.start()
    assert kept.exists() and not left.exists()
