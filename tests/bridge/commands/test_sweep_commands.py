"""Tests of the commands on sweeps, with a scripted page."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.commands.sweeps import SweepRequest
from comfyui_uiapi.bridge.policy.rules import Rule
from comfyui_uiapi.bridge.policy.web_apps import Decision
from comfyui_uiapi.bridge.protocol.command_spec import Kind

from ...harness.programs.web_app import APP, SCRIPT, decides
from ..conftest import Executor


def exported(data: dict[str, Any]) -> dict[str, Any]:
    """What a page answers: each prompt has the values of its variation, and the number of the repetition."""
    prompts = []
    for variation in data["variations"]:
        for repeat in range(data["seeds"]):
            values = dict(variation["fields"])
            extra = {"extra_pnginfo": {"workflow": {"nodes": [], "repeat": repeat}}}
            content = {"prompt": {"1": {"class_type": "T", "inputs": values}}, "extra_data": extra}
            written = [
                {"path": path, "requested": value, "value": value, "warnings": []} for path, value in values.items()
            ]
            prompts.append({"fields": written, "warnings": [], "texts": [json.dumps(content)]})
    return {"prompts": prompts}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"variations": [[["T.v", 1]]], "grid": {"T.v": [1]}},
        {"variations": []},
        {"grid": {"T.v": []}},
        {"grid": {"T.v": [*range(101)], "T.w": [*range(100)]}},
        {"grid": {"T.v": [*range(101)]}, "seeds": 100},
    ],
)
async def test_a_request_without_or_with_too_many_variations_is_invalid(server: Any, body: dict[str, Any]) -> None:
    status, answer = await server.post("sweep", body)
    assert (status, answer["code"]) == (422, "invalid")


def test_the_first_field_of_a_grid_varies_slowest() -> None:
    request = SweepRequest.model_validate({"grid": {"T.v": [1, 2], "T.w": ["a", "b", "c"]}})
    made = [request.variation(index) for index in range(request.count)]
    assert made == [[("T.v", v), ("T.w", w)] for v in (1, 2) for w in ("a", "b", "c")]


def test_the_person_who_is_asked_sees_each_field_with_all_its_values() -> None:
    assert SweepRequest.model_validate({"grid": {"T.v": [1, 2]}}).writes() == [("T.v", [1, 2])]
    mixed = SweepRequest.model_validate({"variations": [[["T.v", 1]], [["T.v", 2], ["T.w", 3]]]})
    assert mixed.writes() == [("T.v", [1, 2]), ("T.w", [3])]
    assert mixed.summary() == "T.v, T.w: 2"


async def test_without_a_tab_or_with_an_old_page_nothing_begins(server: Any) -> None:
    status, answer = await server.post("sweep", {"grid": {"T.v": [1]}})
    assert (status, answer["code"]) == (503, "no_webui")
    await server.tab()
    status, answer = await server.post("sweep", {"grid": {"T.v": [1]}})
    assert (status, answer["code"]) == (502, "tab_failed")


async def test_prompts_are_exported_in_parts_and_queue_nothing(server: Any) -> None:
    (await server.tab(capabilities=["sweep"])).on("export_prompts", exported)
    seen: list[Any] = []
    first: int | None = 0
    while first is not None:
        body = {"grid": {"T.v": [*range(75)]}, "seeds": 2, "first": first}
        _, answer = await server.post("export_prompts", body)
        response = answer["response"]
        assert response["total"] == 150 and 0 < len(response["prompts"]) <= 100
        seen += response["prompts"]
        first = response["next"]
    assert [one["index"] for one in seen] == [*range(150)]
    assert [(one["prompt"]["1"]["inputs"]["T.v"], one["workflow"]["repeat"]) for one in seen] == [
        (variation, repeat) for variation in range(75) for repeat in range(2)
    ]
    assert server.comfy.prompt_queue.waiting == []


async def test_prompts_that_are_too_large_for_one_answer_come_in_the_next(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfyui_uiapi.bridge.commands.sweeps.MAX_EXPORTED_BYTES", 300)
    (await server.tab(capabilities=["sweep"])).on("export_prompts", exported)
    seen: list[int] = []
    first: int | None = 0
    while first is not None:
        _, answer = await server.post("export_prompts", {"grid": {"T.v": [*range(9)]}, "first": first})
        assert 0 < len(answer["response"]["prompts"]) < 9
        seen += [one["index"] for one in answer["response"]["prompts"]]
        first = answer["response"]["next"]
    assert seen == [*range(9)]


@pytest.mark.parametrize("whole", [1, 3])
async def test_each_variation_is_exported_once_however_many_the_page_has_time_for(server: Any, whole: int) -> None:
    asked: list[dict[str, Any]] = []

    def hurried(data: dict[str, Any]) -> dict[str, Any]:
        asked.append(data)
        return exported({**data, "variations": data["variations"][:whole]})

    (await server.tab(capabilities=["sweep"])).on("export_prompts", hurried)
    _, answer = await server.post("export_prompts", {"grid": {"T.v": [*range(7)]}, "seeds": 2})
    prompts = answer["response"]["prompts"]
    assert [one["prompt"]["1"]["inputs"]["T.v"] for one in prompts] == [at // 2 for at in range(14)]
    assert [one["index"] for one in prompts] == [*range(14)]
    # The first answers come soon, so that ComfyUI begins and has more when it is done with that.
    assert 0 < asked[0]["within"] < asked[1]["within"] < asked[2]["within"]


@pytest.mark.parametrize("count", [0, 3])
async def test_an_answer_without_a_whole_variation_ends_the_export(server: Any, count: int) -> None:
    page = await server.tab(capabilities=["sweep"])
    page.on("export_prompts", lambda data: {"prompts": exported(data)["prompts"][:count]})
    status, answer = await server.post("export_prompts", {"grid": {"T.v": [*range(7)]}, "seeds": 2})
    assert (status, answer["code"]) == (502, "tab_failed")


async def test_variations_that_are_large_together_come_to_the_page_one_after_the_other(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfyui_uiapi.bridge.commands.sweeps.MAX_PART_BYTES", 2**16)
    sizes: list[int] = []

    def seen(data: dict[str, Any]) -> dict[str, Any]:
        sizes.append(len(data["variations"]))
        return exported({**data, "variations": [{"fields": [["T.v", len(sizes)]]} for _ in data["variations"]]})

    (await server.tab(capabilities=["sweep"])).on("export_prompts", seen)
    body = {"grid": {"T.text": ["x" * 2**13], "T.v": [*range(50)]}}
    status, answer = await server.post("export_prompts", body)
    assert (status, len(answer["response"]["prompts"])) == (200, 50)
    assert max(sizes) <= 8


async def test_pictures_of_variations_for_which_the_page_had_no_time_are_kept_for_the_next_answer(
    server: Any, tmp_path: Path
) -> None:
    """The page decides whether the base64 in a text is a picture; here it is none in the last variation."""
    pictures = [base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(300) + bytes([at])).decode() for at in range(4)]
    folder = tmp_path / "input"
    missing: list[int] = []

    def one(data: dict[str, Any]) -> dict[str, Any]:
        variation = data["variations"][0]
        names = [name for each in data["variations"] for name in each["pictures"].values()]
        missing.append(sum(not (folder / name).is_file() for name in names))
        [[path, text]] = variation["fields"]
        value = text if text == pictures[3] else variation["pictures"]["0"]
        return exported({**data, "variations": [{"fields": [[path, value]]}]})

    (await server.tab(capabilities=["sweep"])).on("export_prompts", one)
    _, answer = await server.post("export_prompts", {"grid": {"T.image": pictures}})
    used = [one["prompt"]["1"]["inputs"]["T.image"] for one in answer["response"]["prompts"]]
    assert missing == [0, 0, 0, 0]
    assert sorted(path.name for path in folder.iterdir()) == sorted(used[:3])


class Queued:
    """What was queued, as decoded JSON, and the ids of the prompts as they come."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.bodies: list[Any] = []
        self.placed: asyncio.Queue[str] = asyncio.Queue()

    async def put(self, body: bytes) -> dict[str, Any]:
        self.bodies.append(json.loads(body))
        prompt_id = f"p{len(self.bodies)}"
        self._executor.put(prompt_id)
        self.placed.put_nowait(prompt_id)
        return {"prompt_id": prompt_id, "number": len(self.bodies), "node_errors": {}}

    async def finish(self) -> None:
        """End the next prompt."""
        self._executor.finish(await asyncio.wait_for(self.placed.get(), 60))


@pytest.fixture
def queued(executor: Executor, monkeypatch: pytest.MonkeyPatch) -> Queued:
    line = Queued(executor)
    monkeypatch.setattr(Comfy, "queue_body", lambda comfy, body: line.put(body))
    # No prompt runs until it ends, so all can be taken out of the queue.
    monkeypatch.setattr(Comfy, "cancel", lambda comfy, prompt_id: executor.take(prompt_id))
    monkeypatch.setattr(Comfy, "interrupt_only", lambda comfy, prompt_ids: False)
    return line


async def test_a_sweep_reports_each_end_to_its_own_program_and_answers_with_all(server: Any, queued: Queued) -> None:
    (await server.tab(capabilities=["sweep"])).on("export_prompts", exported)
    program = await server.program()
    await program.send_json({"type": "request", "id": 1, "command": "sweep", "data": {"grid": {"T.v": [7, 8]}}})
    for _ in range(2):
        await queued.finish()
    frames = [await program.receive_json(timeout=60) for _ in range(4)]
    assert [frame.get("event") for frame in frames] == [*["sweep_progress"] * 3, None]
    assert [frame["data"]["result"]["prompt_id"] for frame in frames[:2]] == ["p1", "p2"]
    assert frames[2]["data"]["status"] == "finished"
    response = frames[3]["response"]
    assert (response["done"], response["next"]) == (2, None)
    assert [body["prompt"]["1"]["inputs"]["T.v"] for body in queued.bodies] == [7, 8]
    _, again = await server.post("sweep_status", {"sweep_id": response["sweep_id"], "first": 1})
    assert [result["index"] for result in again["response"]["results"]] == [1]


async def test_a_file_that_is_gone_costs_only_its_content(server: Any, queued: Queued) -> None:
    (await server.tab(capabilities=["sweep"])).on("export_prompts", exported)
    asked = asyncio.create_task(server.post("sweep", {"grid": {"T.v": [7]}, "outputs": "base64"}))
    await queued.finish()
    _, answer = await asyncio.wait_for(asked, 60)
    [result] = answer["response"]["results"]
    assert result["status"] == "success" and result["files"][0]["url"]
    assert "a_1.png" in result["warnings"][0]


@pytest.mark.parametrize("command", ["sweep_status", "sweep_cancel"])
async def test_an_unknown_sweep_is_an_error_of_its_own(server: Any, command: str) -> None:
    status, answer = await server.post(command, {"sweep_id": "nothing"})
    assert (status, answer["code"]) == (404, "unknown_sweep")


async def test_prompts_are_not_exported_for_a_program_that_may_not_read(server: Any, person: Any) -> None:
    await server.bridge.approvals.decide(rules={Kind.READ: Rule.REFUSE})
    status, answer = await server.post("export_prompts", {"grid": {"T.v": [1]}})
    assert (status, answer["code"], answer["details"]["kind"]) == (403, "refused_by_person", "read")


@pytest.mark.parametrize("over", ["HTTP", "websocket"])
@pytest.mark.parametrize("how", ["refused", "forgotten"])
async def test_the_sweep_of_a_web_app_ends_once_it_is_not_allowed_any_more(
    server: Any, person: Any, queued: Queued, over: str, how: str
) -> None:
    page = await server.tab(capabilities=["sweep", "panel"])
    page.on("export_prompts", exported)
    decides(person, "allow")
    body = {"grid": {"T.v": [*range(9)]}, "webui": page.client_id, "wait": False}
    if over == "HTTP":
        status, answer = await server.post("sweep", body, headers={"Origin": APP, **SCRIPT})
    else:
        program = await server.program_of(APP)
        await program.send_json({"type": "request", "id": 1, "command": "sweep", "data": body})
        status, answer = 200, await program.receive_json(timeout=60)
    assert status == 200, answer
    sweep = server.bridge.sweeps.find(answer["response"]["sweep_id"])
    await queued.finish()
    if how == "refused":
        await server.bridge.web_apps.decide(APP, Decision.REFUSE)
    else:
        await server.bridge.web_apps.forget(APP)
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert (sweep.status, len(queued.bodies) < 9) == ("cancelled", True)
    rest = sweep.answer()["results"][-1]
    assert (rest["status"], rest["error"]["code"]) == ("cancelled", "web_app_refused")


async def test_a_sweep_of_a_program_whose_answer_is_no_queues_nothing_further(server: Any, queued: Queued) -> None:
    (await server.tab(capabilities=["sweep"])).on("export_prompts", exported)
    body = {"grid": {"T.v": [*range(9)]}, "wait": False}
    _, answer = await server.post("sweep", body, headers={"User-Agent": "a program"})
    sweep = server.bridge.sweeps.find(answer["response"]["sweep_id"])
    await server.bridge.approvals.decide(rules={Kind.RUN: Rule.ONCE})
    server.bridge.approvals.answers[(sweep.program, Kind.RUN)] = False
    await queued.finish()
    await asyncio.wait_for(sweep.over.wait(), 60)
    assert sweep.answer()["results"][-1]["error"]["code"] == "refused_by_person"
    assert len(queued.bodies) < 9


async def test_a_program_cancels_a_sweep_by_its_own_id_before_it_has_an_answer(server: Any, queued: Queued) -> None:
    tab = await server.tab(capabilities=["sweep"])
    body = {"grid": {"T.v": [7, 8]}, "sweep_id": "mine-0001", "wait": False}
    asked = asyncio.create_task(server.post("sweep", body))
    # The page never answers.
    assert (await tab.next())["command"] == "export_prompts"
    assert (await server.post("sweep", body))[1]["code"] == "conflict"
    _, cancelled = await server.post("sweep_cancel", {"sweep_id": "mine-0001"})
    _, answer = await asyncio.wait_for(asked, 60)
    for one in (cancelled, answer):
        assert (one["response"]["status"], one["response"]["cancelled"]) == ("cancelled", 2)
    assert queued.bodies == []


async def test_a_sweep_that_was_cancelled_before_its_request_came_does_not_begin(server: Any, queued: Queued) -> None:
    (await server.tab(capabilities=["sweep"])).on("export_prompts", exported)
    _, answer = await server.post("sweep_cancel", {"sweep_id": "mine-0002"})
    assert answer["code"] == "unknown_sweep"
    status, answer = await server.post("sweep", {"grid": {"T.v": [7]}, "sweep_id": "mine-0002"})
    assert (status, answer["code"]) == (409, "cancelled")
    assert queued.bodies == []


async def test_what_our_own_checks_say_is_given_as_it_is(server: Any) -> None:
    status, answer = await server.post("sweep", {})
    assert (status, answer["code"]) == (422, "invalid")
    assert answer["error"].startswith("sweep: request: send variations as [[[path, value], …], …]")
    assert answer["details"]["problems"][0]["message"].startswith("send variations")
