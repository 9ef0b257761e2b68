"""Tests of pictures as field values: they are stored in the input directory under a safe name."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui.input_files import sha256_of
from comfyui_uiapi.bridge.comfyui.input_images import Pictures, label_of

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"


def named(label: str, data: bytes = PNG) -> str:
    """The name of a stored picture."""
    return f"INPUT_{label}_{sha256_of(data)[:16]}.png"


def picture(data: bytes = PNG) -> dict[str, str]:
    return {"type": "image_base64", "data": base64.b64encode(data).decode()}


async def test_a_picture_is_stored_in_the_input_folder_and_its_name_is_written(server: Any, tmp_path: Path) -> None:
    tab = await server.tab()
    tab.on("set_fields", lambda data: {path: {"value": value, "warnings": []} for path, value in data["fields"]})
    status, body = await server.post("set_fields", {"fields": [["LoadImage.image", picture()], ["a.b", 1]]})
    assert status == 200
    name = named("LoadImage")
    assert tab.requests[0]["data"] == {"fields": [["LoadImage.image", name], ["a.b", 1]]}
    assert body["response"]["LoadImage.image"]["value"] == name
    assert [path.name for path in (tmp_path / "input").iterdir()] == [name]
    assert (tmp_path / "input" / name).read_bytes() == PNG


async def test_a_picture_can_be_sent_as_a_data_url_and_as_the_single_field(server: Any, tmp_path: Path) -> None:
    (await server.tab()).on("set_fields", {})
    value = {"type": "image_base64", "data": "data:image/png;base64," + base64.b64encode(PNG).decode()}
    status, _body = await server.post("set_fields", {"field": ["#12.image", value]})
    assert status == 200
    assert (tmp_path / "input" / named("12")).read_bytes() == PNG


async def test_without_a_tab_no_picture_is_stored(server: Any, tmp_path: Path) -> None:
    status, body = await server.post("set_fields", {"fields": [["LoadImage.image", picture()]]})
    assert (status, body["code"]) == (503, "no_webui")
    assert list((tmp_path / "input").iterdir()) == []


@pytest.mark.parametrize(
    "value",
    [picture(b"<html>"), picture(b""), {"type": "image_base64"}, {"type": "image_base64", "data": "***"}],
)
async def test_an_invalid_picture_is_refused_and_no_other_is_stored(server: Any, tmp_path: Path, value: Any) -> None:
    tab = await server.tab()
    status, body = await server.post("set_fields", {"fields": [["A.image", picture()], ["B.image", value]]})
    assert (status, body["code"]) == (422, "invalid") and "B.image" in body["error"]
    assert list((tmp_path / "input").iterdir()) == [] and tab.requests == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("LoadImage.image", "LoadImage"),
        ("My Node[1].image", "My Node[1]"),
        ("#12.image", "12"),
        ("image", "image"),
        ("Photo", "Photo"),
        ("Bild für Anna.image", "Bild für Anna"),
        ('"Photo".image', "Photo"),
        ("../../etc/passwd.image", "etc_passwd"),
        ("C:\\x.image", "C_x"),
        ("a\x00b.image", "a_b"),
        ('"v1.0".image', "v1_0"),
        ("....image", "image"),
        ("Photo.mask", "Photo_mask"),
        # File systems limit names to 255 bytes.
        (f"{'画' * 200}.image", "画" * 50),
    ],
    ids=ascii,
)
def test_a_picture_is_named_after_its_node_as_far_as_a_file_can_be(path: str, name: str) -> None:
    assert label_of(path) == name


async def test_a_folder_that_cannot_be_written_is_an_error_and_leaves_nothing(server: Any, tmp_path: Path) -> None:
    tab = await server.tab()
    (tmp_path / "input").rmdir()
    status, body = await server.post("set_fields", {"fields": [["A.image", picture()]]})
    assert (status, body["code"]) == (507, "storage_failed")
    assert tab.requests == []


async def test_a_page_that_does_not_report_a_write_is_not_reported_as_confirmed(server: Any) -> None:
    (await server.tab()).on("set_fields", {})
    _status, body = await server.post("set_fields", {"fields": [["a.b", 1]]})
    assert body["response"]["a.b"]["value"] is None and body["response"]["a.b"]["warnings"]


async def test_a_refused_write_leaves_the_pictures_as_they_were(server: Any, tmp_path: Path) -> None:
    tab = await server.tab()
    tab.on("set_fields", {})
    folder = tmp_path / "input"
    await server.post("set_fields", {"fields": [["Photo.image", picture(PNG + b" before")]]})
    tab.refuse("set_fields", "unknown_path")
    tab.refuse("batch", "unknown_path")
    fields = [["Photo.image", picture()], ["New.image", picture(PNG + b" before")], ["Nope.width", 1]]
    commands = [{"command": "set_fields", "data": {"fields": [write]}} for write in fields]
    for command, body in (("set_fields", {"fields": fields}), ("batch", {"commands": commands})):
        status, answer = await server.post(command, body)
        assert (status, answer["code"]) == (404, "unknown_path")
        [kept] = folder.iterdir()
        assert kept.name == named("Photo", PNG + b" before") and kept.read_bytes() == PNG + b" before"


async def test_a_write_with_an_unknown_result_keeps_its_picture(server: Any, tmp_path: Path) -> None:
    await server.tab()
    status, answer = await server.post("set_fields", {"fields": [["Photo.image", picture()]], "timeout": 0.05})
    assert (status, answer["code"]) == (504, "timeout")
    assert [path.name for path in (tmp_path / "input").iterdir()] == [named("Photo")]


@pytest.mark.parametrize("refused_first", [True, False])
async def test_a_picture_that_another_program_uses_meanwhile_stays(
    server: Any, tmp_path: Path, refused_first: bool
) -> None:
    tab = await server.tab()
    asked, requests = [], []
    for _ in range(2):
        asked.append(asyncio.ensure_future(server.post("set_fields", {"fields": [["Photo.image", picture()]]})))
        requests.append(await tab.next())

    async def refuse() -> None:
        await tab.respond(requests[0]["id"], status="error", error="no", code="unknown_path")
        assert (await asked[0])[0] == 404

    if refused_first:
        await refuse()
    await tab.respond(requests[1]["id"], {})
    assert (await asked[1])[0] == 200
    if not refused_first:
        await refuse()
    assert [path.name for path in (tmp_path / "input").iterdir()] == [named("Photo")]


async def test_a_picture_that_every_program_was_refused_is_removed(server: Any, tmp_path: Path) -> None:
    tab = await server.tab()
    for order in ((0, 1), (1, 0)):
        asked, requests = [], []
        for _ in range(2):
            asked.append(asyncio.ensure_future(server.post("set_fields", {"fields": [["Photo.image", picture()]]})))
            requests.append(await tab.next())
        for number in order:
            await tab.respond(requests[number]["id"], status="error", error="no", code="revision_changed")
            assert (await asked[number])[0] == 409
        assert [*(tmp_path / "input").iterdir()] == []


async def test_a_caller_that_disconnects_during_a_write_leaves_no_claim_on_the_picture(
    server: Any, tmp_path: Path
) -> None:
    store = server.bridge.pictures
    pictures = Pictures(store)
    async with pictures:
        storing = asyncio.ensure_future(pictures.data([("Photo.image", picture())]))
        await asyncio.sleep(0)
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing
    os.utime(tmp_path / "input" / named("Photo"), (1, 1))
    assert store.tidy() == 1


async def test_a_dry_run_returns_the_name_of_a_picture_without_storing_it(server: Any, tmp_path: Path) -> None:
    tab = await server.tab()
    tab.on("batch", {"results": [], "applied": False, "changes": []})
    commands = [{"command": "set_fields", "data": {"fields": [["Photo.image", picture()]]}}]
    status, _ = await server.post("batch", {"commands": commands, "dry_run": True})
    [sent] = tab.requests[0]["data"]["commands"]
    assert (status, sent["data"]) == (200, {"fields": [["Photo.image", named("Photo")]]})
    assert [*(tmp_path / "input").iterdir()] == []


async def test_a_picture_that_a_run_has_set_stays_whatever_becomes_of_the_run(server: Any, tmp_path: Path) -> None:
    # This page sets the fields in a separate step, and then refuses to run.
    tab = await server.tab()
    tab.on("set_fields", {})
    tab.refuse("execute", "invalid")
    status, answer = await server.post("run", {"fields": [["Photo.image", picture()]]})
    assert (status, answer["code"]) == (422, "invalid")
    assert (tmp_path / "input" / named("Photo")).read_bytes() == PNG


async def test_the_start_removes_temporary_files_of_killed_writes(server: Any, tmp_path: Path) -> None:
    kept, left = tmp_path / "input" / "mine.tmp", tmp_path / "input" / ".uiapi-abc.tmp"
    for path in (kept, left):
        path.write_bytes(PNG)
        os.utime(path, (1, 1))
    await server.bridge.start()
    assert kept.exists() and not left.exists()


# -- pictures in strings ---------------------------------------------------------------------------------------------

LONG_PNG = PNG + bytes(300)
BARE = base64.b64encode(LONG_PNG).decode()


@pytest.mark.parametrize(
    "text",
    [
        BARE,
        f"data:image/png;base64,{BARE}",
        "\n".join(BARE[at : at + 76] for at in range(0, len(BARE), 76)),
    ],
    ids=["bare", "data URL", "in lines"],
)
async def test_a_text_that_is_a_picture_is_offered_to_the_tab_as_one(server: Any, tmp_path: Path, text: str) -> None:
    tab = await server.tab()
    name = named("Photo", LONG_PNG)
    tab.on("set_fields", {"a.b": {"value": 1}, "Photo.image": {"requested": name, "value": name, "warnings": []}})
    status, body = await server.post("set_fields", {"fields": [["a.b", 1], ["Photo.image", text]]})
    assert (status, body["response"]["Photo.image"]["value"]) == (200, name)
    # The tab knows the kind of field, so it gets both.
    assert tab.requests[0]["data"] == {"fields": [["a.b", 1], ["Photo.image", text]], "pictures": {"1": name}}
    assert (tmp_path / "input" / name).read_bytes() == LONG_PNG


async def test_a_picture_that_a_field_takes_as_a_text_is_not_kept(server: Any, tmp_path: Path) -> None:
    tab = await server.tab()
    tab.on("set_fields", {"Prompt.text": {"requested": BARE[:9], "value": BARE[:9], "warnings": []}})
    assert (await server.post("set_fields", {"fields": [["Prompt.text", BARE]]}))[0] == 200
    assert [*(tmp_path / "input").iterdir()] == []


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(PNG).decode(),
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>" * 99).decode(),
        "data:image/png;base64," + BARE[:-1] + "*",
        "Qk " + "words " * 99,
        "Qk" + "!" * 300,
        "A" * 400,
    ],
    ids=["a file's name", "no such format", "broken", "prose", "marks", "no picture"],
)
async def test_a_text_that_is_no_picture_goes_on_as_it_is(server: Any, text: str) -> None:
    tab = await server.tab()
    tab.on("set_fields", {})
    await server.post("set_fields", {"fields": [["A.b", text]]})
    assert tab.requests[0]["data"] == {"fields": [["A.b", text]]}


async def test_a_batch_and_a_run_offer_pictures_too(server: Any) -> None:
    tab = await server.tab(capabilities=["execute.fields"])
    name = named("A", LONG_PNG)
    tab.on("batch", {"results": [], "applied": True, "changes": []})
    commands = [{"command": "set_fields", "data": {"fields": [["A.image", BARE]]}}]
    await server.post("batch", {"commands": commands})
    tab.on("execute", {"prompt_id": "p1", "number": 1, "node_errors": {}, "set": {}})
    await server.post("run", {"fields": [["A.image", BARE]], "wait": False})
    [[part], run] = tab.requests[0]["data"]["commands"], tab.requests[1]["data"]
    for data in (part["data"], run):
        assert data["fields"] == [["A.image", BARE]] and data["pictures"] == {"0": name}


async def test_an_unconfirmed_write_of_a_long_text_returns_it_shortened(server: Any) -> None:
    (await server.tab()).on("set_fields", {})
    _status, body = await server.post("set_fields", {"fields": [["a.b", "x" * 5000]]})
    assert body["response"]["a.b"]["requested"] == "x" * 100 + "… (5000 characters)"


async def test_a_new_nodes_fields_take_pictures_too_by_itself_and_in_a_batch(server: Any, tmp_path: Path) -> None:
    tab = await server.tab()
    node = {"id": "1", "type": "LoadImage", "title": "Photo"}
    tab.on("add_node", lambda data: {"node": node, "set": {"image": {"value": data["fields"][0][1]}}})
    tab.on("batch", {"results": [], "applied": True, "changes": []})
    made = {"type": "LoadImage", "title": "Photo", "fields": [["image", picture()], ["upload", "image"]]}
    status, body = await server.post("add_node", made)
    name = named("Photo")
    assert (status, body["response"]["set"]["image"]["value"]) == (200, name)
    await server.post("batch", {"commands": [{"command": "add_node", "data": made}]})
    assert tab.requests[0]["data"] == {**made, "fields": [["image", name], ["upload", "image"]]}
    assert tab.requests[1]["data"]["commands"][0]["data"] == tab.requests[0]["data"]
    assert [path.name for path in (tmp_path / "input").iterdir()] == [name]
