"""Download faults on a real ComfyUI: cut connections, wrong lengths and hashes, refusals, and files that change."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import until
from comfyui_uiapi.tests.harness.comfy.alone import CIVITAI_TOKEN, HF_TOKEN, Alone
from comfyui_uiapi.tests.harness.models.model_host import Host, Seen, model_bytes, sha256
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program

SMALL, LARGE = 200_000, 12_000_000
# Bytes per second of a host that sends all the time, but not all of a file while a test waits.
HELD = 5e4
NAME = "x.safetensors"
PATH = f"/{NAME}"
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>" * 20
SAID = b'{"error": "sign in"}' * 20
# The signature of a URL; neither it nor a token may be logged.
SIGNATURE = "X-Amz-Signature=0123456789abcdef"


@pytest_asyncio.fixture(loop_scope="session")
async def program(alone: Alone) -> AsyncIterator[Program]:
    """A program; the log has no traceback, no token and no signature after it, and no half file is there."""
    alone.listen()
    async with Program(alone.comfy) as asking:
        yield asking

        async def over() -> bool:
            return bool((await asking.get("connection_status"))[1]["active_downloads"] == 0)

        await until(over, "no download under way", PATIENCE)
    assert [name for name in alone.lora_files() if "uiapi-" in name] == []
    alone.forget()
    assert [sign for sign in ("Traceback", HF_TOKEN, CIVITAI_TOKEN, SIGNATURE) if sign in alone.logged()] == []


async def fetch(program: Program, host: Host, **model: Any) -> tuple[int, dict[str, Any]]:
    """Download the model of that host, with its SHA-256 unless `model` overrides it."""
    wanted = host.wanted(NAME)
    wanted["model_def"].update(model)
    return await program.post("download_model", wanted)


async def fetched(program: Program, alone: Alone, **model: Any) -> None:
    """Download the model, which must succeed with exactly the right bytes."""
    status, envelope = await fetch(program, alone.models, **model)
    assert (status, envelope["status"]) == (200, "success"), envelope
    assert alone.lora_files() == [NAME]
    assert (alone.loras / NAME).read_bytes() == alone.models.answers[PATH].data


async def failed(program: Program, alone: Alone, code: str, **model: Any) -> dict[str, Any]:
    """Download the model, which must fail with that code and leave no file; return the envelope."""
    _, envelope = await fetch(program, alone.models, **model)
    assert (envelope["status"], envelope.get("code")) == ("error", code), envelope
    assert alone.lora_files() == []
    return envelope


# -- connections that break, hosts that change ----------------------------------------------------------------------


@pytest.mark.parametrize(("at", "times"), [(300_000, 1), (300_000, 4), (3_999_999, 2), (1, 3)])
async def test_a_connection_cut_again_and_again_goes_on_where_it_was_and_the_hash_is_right(
    program: Program, alone: Alone, at: int, times: int
) -> None:
    alone.models.offer(PATH, model_bytes(LARGE), cuts=[at] * times)
    await fetched(program, alone)
    assert not alone.models.answers[PATH].cuts
    # What was cut off is asked for again, nothing else.
    assert alone.models.sent[PATH] <= LARGE + times * at


async def test_a_range_answered_with_the_whole_file_starts_over_with_exactly_the_right_bytes(
    program: Program, alone: Alone
) -> None:
    alone.models.offer(PATH, model_bytes(LARGE), ranges=False, cuts=[5_000_000, 7_000_001])
    await fetched(program, alone)
    assert alone.models.sent[PATH] == LARGE + 12_000_001


async def test_a_host_that_stops_giving_ranges_midway_is_read_in_one_go(program: Program, alone: Alone) -> None:
    answer = alone.models.offer(PATH, model_bytes(LARGE))

    def stop_giving_ranges(seen: Seen) -> None:
        answer.ranges = len(alone.models.seen) <= 2

    answer.on_request = stop_giving_ranges
    await fetched(program, alone)


async def test_a_file_that_changes_between_tries_starts_over(program: Program, alone: Alone) -> None:
    new = model_bytes(LARGE, 2)
    answer = alone.models.offer(PATH, model_bytes(LARGE), cuts=[600_000] * 3)

    def change(seen: Seen) -> None:
        if len(alone.models.seen) == 4:
            answer.data, answer.etag = new, '"two"'

    answer.on_request = change
    await fetched(program, alone, sha256=None)
    assert (alone.loras / NAME).read_bytes() == new


# -- files that are not what was promised ---------------------------------------------------------------------------


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_file_of_the_wrong_size_or_hash_is_an_error_and_nothing_lands(
    program: Program, alone: Alone, ranges: bool
) -> None:
    data = model_bytes(LARGE)
    alone.models.offer(PATH, data, ranges=ranges)
    envelope = await failed(program, alone, "hash_mismatch", sha256="0" * 64)
    assert envelope["details"] == {"sha256": sha256(data), "expected": "0" * 64}
    alone.models.offer(PATH, data + b"more", ranges=ranges)
    await failed(program, alone, "size_mismatch")
    alone.models.offer(PATH, data[:-4], ranges=ranges)
    await failed(program, alone, "size_mismatch", sha256=None)


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (PAGE, "text/html; charset=utf-8", "text/html"),
        (SAID, "application/json", "application/json"),
        (PAGE, "application/octet-stream", "page"),
        (SAID, "binary/octet-stream", "does not start like one"),
        (b"short", "application/octet-stream", "only 5 bytes"),
    ],
)
async def test_a_page_or_json_with_a_200_is_an_error_that_says_so_and_nothing_lands(
    program: Program, alone: Alone, body: bytes, content_type: str, says: str
) -> None:
    for ranges in (True, False):
        alone.models.offer(PATH, body, content_type=content_type, ranges=ranges)
        assert says in (await failed(program, alone, "not_a_model", sha256=None))["error"]


# -- hosts that refuse ----------------------------------------------------------------------------------------------


async def test_a_busy_host_is_retried_after_the_time_it_asks_for(program: Program, alone: Alone) -> None:
    asked: list[float] = []
    wait = 2
    refusals: list[Any] = [(429, {"Retry-After": str(wait)}), 503]
    alone.models.offer(
        PATH, model_bytes(SMALL), refusals=refusals, on_request=lambda seen: asked.append(time.monotonic())
    )
    await fetched(program, alone)
    assert len(asked) >= 3 and asked[1] - asked[0] >= wait


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, "login_required", "login"),
        (403, "login_required", "refuses"),
        (404, "not_at_source", "check the URL"),
        (410, "gone_at_source", "taken down"),
    ],
)
async def test_a_final_refusal_ends_at_once_with_its_own_code_and_what_to_do(
    program: Program, alone: Alone, status: int, code: str, says: str
) -> None:
    body = json.dumps({"message": "because"}).encode()
    alone.models.offer(PATH, body, status=status, content_type="application/json")
    envelope = await failed(program, alone, code)
    assert says in envelope["error"] and "because" in envelope["error"]
    assert envelope["details"]["http_status"] == status
    assert len(alone.models.seen) == 1


# -- the same target, and what is there already ---------------------------------------------------------------------


async def test_two_that_want_one_file_cause_one_transfer_and_one_may_leave(program: Program, alone: Alone) -> None:
    data = model_bytes(LARGE)
    answer = alone.models.offer(PATH, data, rate=HELD)
    leaving, staying = (program.spawn(fetch(program, alone.models)) for _ in range(2))
    node = {"id": 1, "type": "LoraLoaderModelOnly", "widgets_values": [NAME, 1]}
    begun = await program.ok(
        "download_models",
        {"workflow": {"nodes": [node], "links": []}, "download_table": {NAME: alone.models.wanted(NAME)["model_def"]}},
    )

    async def wanted_by_three() -> bool:
        runs = (await program.get("downloads"))[1]["response"]["downloads"]
        under_way = [item["bytes"] for run in runs if not run["completed"] for item in run["progress"].values()]
        return len(under_way) == 3 and all(under_way)

    await until(wanted_by_three, "three that wait for the same bytes", PATIENCE)
    leaving.cancel()
    answer.rate = None
    assert (await asyncio.wait_for(staying, PATIENCE))[1]["status"] == "success"

    async def done() -> bool:
        state = (await program.get(f"download_status/{begun['download_id']}"))[1]
        return bool(state["completed"]) and state["status"] == "completed"

    await until(done, "the other download", PATIENCE)
    assert alone.models.sent[PATH] == len(data)
    assert alone.lora_files() == [NAME] and (alone.loras / NAME).read_bytes() == data


async def test_a_file_that_is_there_is_never_replaced_unless_that_is_asked_for(program: Program, alone: Alone) -> None:
    alone.models.offer(PATH, model_bytes(SMALL, 2))
    own = alone.loras / NAME
    own.write_bytes(model_bytes(SMALL))
    kept = own.stat()
    # It is a model, but not the one with the digest that is wanted, which is said and changes nothing.
    assert (await fetch(program, alone.models))[1]["code"] == "damaged"
    assert (own.stat().st_ino, own.stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert alone.models.seen == []
    # Nor one that comes while another of its name is on its way.
    own.unlink()
    alone.models.answers[PATH].rate = SMALL / 2
    fetching = program.spawn(fetch(program, alone.models))

    async def begun() -> bool:
        return alone.models.sent.get(PATH, 0) > 0

    await until(begun, "the first bytes", PATIENCE)
    own.write_bytes(b"a person's own")
    assert (await fetching)[1]["code"] == "conflict"
    assert own.read_bytes() == b"a person's own"
    alone.models.answers[PATH].rate = None
    status, envelope = await program.post("download_model", {**alone.models.wanted(NAME), "overwrite": True})
    assert (status, envelope["status"]) == (200, "success"), envelope
    assert own.read_bytes() == model_bytes(SMALL, 2)


async def test_a_download_that_is_cancelled_leaves_nothing(program: Program, alone: Alone) -> None:
    alone.models.offer(PATH, model_bytes(LARGE), rate=HELD)
    fetching = program.spawn(fetch(program, alone.models))

    async def some() -> str | None:
        runs = (await program.get("downloads"))[1]["response"]["downloads"]
        under_way = [run for run in runs if not run["completed"]]
        return under_way[0]["download_id"] if under_way and under_way[0]["progress"][NAME]["bytes"] else None

    download = await until(some, "some of the model", PATIENCE)
    assert [name for name in alone.lora_files() if "uiapi-part" in name] != []
    await program.ok("download_cancel", {"download_id": download})
    assert (await fetching)[1]["code"] == "cancelled"
    assert alone.lora_files() == []


# -- tokens ---------------------------------------------------------------------------------------------------------


def hub_file(alone: Alone, data: bytes) -> None:
    """Offer a file as Hugging Face does: headers at its own URL, the bytes on another host."""
    headers = {
        "X-Repo-Commit": "c" * 40,
        "X-Linked-Etag": f'"{sha256(data)}"',
        "X-Linked-Size": str(len(data)),
        "Location": alone.mirror.url(f"{PATH}?{SIGNATURE}"),
    }
    for revision in ("main", "c" * 40):
        alone.hub.offer(f"/org/repo/resolve/{revision}{PATH}", status=302, headers=headers)


def civitai_file(alone: Alone, data: bytes) -> None:
    """Offer a file as CivitAI does, likewise."""
    file = {"id": 1, "name": NAME, "type": "Model", "sizeKB": len(data) / 1024, "primary": True}
    version = {"id": 7, "files": [{**file, "hashes": {"SHA256": sha256(data)}}]}
    alone.civitai.offer("/api/v1/model-versions/7", json.dumps(version).encode(), content_type="application/json")
    alone.civitai.redirect("/api/download/models/7", alone.mirror.url(f"{PATH}?{SIGNATURE}"))


@pytest.mark.parametrize("fails", [False, True], ids=["that gives the file", "that refuses"])
async def test_a_token_goes_to_the_host_it_belongs_to_and_not_where_that_redirects(
    program: Program, alone: Alone, fails: bool
) -> None:
    data = model_bytes(SMALL)
    hub_file(alone, data)
    civitai_file(alone, data)
    for host, token, url in (
        (alone.hub, HF_TOKEN, f"/org/repo/resolve/main{PATH}"),
        (alone.civitai, CIVITAI_TOKEN, "/api/download/models/7"),
    ):
        alone.mirror.offer(PATH, data if not fails else SAID, status=401 if fails else 200)
        wanted = {"model_name": NAME, "model_def": {"url": host.url(url), "ckpt_type": "loras"}}
        _, envelope = await program.post("download_model", wanted)
        assert envelope["status"] == ("error" if fails else "success"), envelope
        assert [seen for seen in host.seen if seen.headers.get("authorization") != f"Bearer {token}"] == []
        assert host.seen and alone.mirror.seen
        said = [line for seen in alone.mirror.seen for line in (seen.path, *seen.headers.values())]
        assert [line for line in said if HF_TOKEN in line or CIVITAI_TOKEN in line] == []
        assert SIGNATURE not in str(envelope) and token not in str(envelope)
        for file in alone.loras.iterdir():
            file.unlink()
        alone.mirror.seen.clear()
    kept = (await program.get("downloads"))[1]
    assert [secret for secret in (HF_TOKEN, CIVITAI_TOKEN, SIGNATURE) if secret in json.dumps(kept)] == []
