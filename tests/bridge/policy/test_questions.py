"""Tests of questions to the person: their content, tab and timeout, and the effect of the answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.app.dispatch import Call, Caller
from comfyui_uiapi.bridge.policy import approvals as module
from comfyui_uiapi.bridge.policy import questions
from comfyui_uiapi.bridge.policy.activity_log import Entry
from comfyui_uiapi.bridge.policy.approvals import MAX_ASKED, Approvals
from comfyui_uiapi.bridge.policy.rules import DECIDED, Rule
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS, DEFAULT_TIMEOUT, Kind
from comfyui_uiapi.bridge.tabs.registry import Webuis
from comfyui_uiapi.bridge.tabs.tab import WebuiManager
from comfyui_uiapi.common.errors import UiapiError

from ...harness.fakes.loop_clock import LoopClock
from ...harness.fakes.socketless_page import Page

CHANGE = frozenset({Kind.CHANGE})


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def clock() -> LoopClock:
    """The loop's time, which stands until it is moved."""
    return LoopClock(stands=True)


class Desk:
    """The approvals, tabs with a person, and programs that ask for approval."""

    def __init__(self, directory: Path) -> None:
        self.changes = 0
        self.webuis = Webuis()
        self.tasks: list[asyncio.Task[Any]] = []
        self.approvals = Approvals(lambda: directory, self._changed, self._spawn, self.webuis)
        self.programs: list[asyncio.Task[None]] = []

    def _changed(self) -> None:
        self.changes += 1

    def _spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        self.tasks.append(asyncio.create_task(work, name=name))
        return self.tasks[-1]

    def tab(self, *capabilities: str) -> tuple[WebuiManager, Page]:
        manager, page = self.webuis.admit(None, None), Page()
        manager.capabilities = frozenset(capabilities)
        self.webuis.connect(manager, page)
        return manager, page

    async def wants(
        self, program: str = "Blender", kinds: frozenset[Kind] = CHANGE, asks: bool = True, **data: Any
    ) -> asyncio.Task[None]:
        """Start a program that asks to set a field."""
        command = COMMANDS["set_fields"]
        entry = Entry(len(self.programs), program, Kind.CHANGE, "set_fields", 0, 0)
        request = command.parse({"fields": [["Canvas.width", 640]], **data})
        bridge: Any = None
        call = Call(bridge, command, Caller(program, asks=asks), request, entry)
        self.programs.append(asyncio.create_task(self.approvals.admit(call, kinds, entry)))
        await turns()
        return self.programs[-1]


@pytest.fixture
async def desk(tmp_path: Path) -> Any:
    desk = Desk(tmp_path)
    await desk.approvals.start()
    yield desk
    for task in (*desk.programs, *desk.tasks):
        task.cancel()
    await asyncio.gather(*desk.programs, *desk.tasks, return_exceptions=True)


def rule(desk: Desk, rule: Rule, *kinds: Kind) -> None:
    desk.approvals.rules.update(dict.fromkeys(kinds or [Kind.CHANGE], rule))


async def code_of(task: asyncio.Task[None]) -> str:
    """Return the error code a program got, or "passes"."""
    try:
        await asyncio.wait_for(task, 60)
    except UiapiError as error:
        return error.code
    return "passes"


# -- time-outs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("timeout", "limit"), [(None, 300), (1000, 300), (5, 5)])
async def test_a_question_waits_300_seconds_or_as_long_as_its_program_does_if_that_is_less(
    desk: Desk, clock: LoopClock, timeout: float | None, limit: float
) -> None:
    rule(desk, Rule.ALWAYS)
    _, page = desk.tab("panel")
    asked = await desk.wants(timeout=timeout)
    assert len(page.requests) == desk.approvals.state()["asked"] == 1
    await clock.passes(limit - 0.5)
    assert not asked.done()
    await clock.passes(1)
    with pytest.raises(UiapiError, match=r"The person at the browser did not answer in time .* set_fields") as caught:
        await asked
    assert (caught.value.code, caught.value.details) == ("timeout", {"delivered": False})
    await turns()
    assert page.cancelled in ([], [page.requests[0].request_id]) and desk.approvals.state()["asked"] == 0
    assert limit <= DEFAULT_TIMEOUT == 300


async def test_a_question_that_moves_to_another_tab_has_only_the_rest_of_its_time(desk: Desk, clock: LoopClock) -> None:
    rule(desk, Rule.ALWAYS)
    first, page = desk.tab("panel")
    asked = await desk.wants()
    _, other = desk.tab("panel")
    await clock.passes(200)
    first.disconnect()
    await turns()
    assert [request.command for request in other.requests] == ["approve"]
    assert 99 < other.requests[0].timeout <= 100 and other.requests[0].data == page.requests[0].data
    await clock.passes(101)
    assert await code_of(asked) == "timeout"


async def test_a_request_that_ends_leaves_a_shared_question_open(desk: Desk, clock: LoopClock) -> None:
    rule(desk, Rule.ONCE)
    manager, page = desk.tab("panel")
    hasty, patient = await desk.wants(timeout=5), await desk.wants()
    assert len(page.requests) == 1
    await clock.passes(6)
    assert await code_of(hasty) == "timeout" and not page.cancelled
    manager.respond(page.requests[0].request_id, {"allowed": True})
    assert await code_of(patient) == "passes"


async def test_a_question_without_requests_is_withdrawn_and_asked_again_later(desk: Desk) -> None:
    rule(desk, Rule.ONCE)
    _, page = desk.tab("panel")
    asked = await desk.wants()
    asked.cancel()
    await turns()
    assert page.cancelled == [page.requests[0].request_id] and desk.approvals.state()["asked"] == 0
    await desk.wants()
    assert len(page.requests) == 2


async def test_64_questions_wait_at_a_time_and_no_more(desk: Desk) -> None:
    rule(desk, Rule.ALWAYS)
    manager, page = desk.tab("panel")
    for _ in range(MAX_ASKED):
        await desk.wants()
    assert len(page.requests) == MAX_ASKED == desk.approvals.state()["asked"] == 64
    assert await code_of(await desk.wants()) == "too_many"
    manager.respond(page.requests[0].request_id, {"allowed": True})
    assert await code_of(desk.programs[0]) == "passes"
    await desk.wants()
    assert len(page.requests) == MAX_ASKED + 1


# -- the tab that asks ------------------------------------------------------------------------------------------------


async def test_the_main_tab_is_asked_or_another_one_that_can_put_the_question(desk: Desk) -> None:
    rule(desk, Rule.ALWAYS)
    _, without = desk.tab("watch")
    assert await code_of(await desk.wants()) == "no_webui"
    _, first = desk.tab("panel")
    second, other = desk.tab("panel")
    await desk.wants()
    desk.webuis.make_main(second.client_id)
    await desk.wants()
    assert [len(page.requests) for page in (without, first, other)] == [0, 1, 1]


async def test_without_a_tab_a_question_fails_unless_the_program_waits_for_one(desk: Desk) -> None:
    rule(desk, Rule.ALWAYS)
    assert await code_of(await desk.wants()) == "no_webui"
    asked = await desk.wants(wait_for_webui=True)
    manager, page = desk.tab("panel")
    await turns()
    manager.respond(page.requests[0].request_id, {"allowed": True})
    assert await code_of(asked) == "passes"


async def test_an_error_of_the_page_is_the_programs_answer(desk: Desk) -> None:
    rule(desk, Rule.ALWAYS)
    manager, page = desk.tab("panel")
    asked = await desk.wants()
    manager.respond(page.requests[0].request_id, None, {"error": "It throws.", "code": "tab_failed"})
    assert await code_of(asked) == "tab_failed"


async def test_a_get_request_raises_no_question(desk: Desk) -> None:
    rule(desk, Rule.ALWAYS)
    _, page = desk.tab("panel")
    asked = await desk.wants(asks=False)
    with pytest.raises(UiapiError, match="a GET cannot") as caught:
        await asked
    assert caught.value.details == {"kind": "change"} and page.requests == []


# -- the content of a question and its answer -------------------------------------------------------------------------


async def test_a_question_shows_the_program_and_its_request(desk: Desk) -> None:
    rule(desk, Rule.ONCE)
    _, page = desk.tab("panel")
    await desk.wants()
    values = [["a", {"type": "image_base64", "data": "x"}], ["b", {"data": 1}], ["c", [1, "ä"]]]
    await desk.wants("Krita", fields=values)
    question = page.requests[0].data
    assert (question["program"], question["command"], question["kind"], question["kinds"], question["once"]) == (
        "Blender", "set_fields", "change", ["change"], True,
    )  # fmt: skip
    assert question["doc"] == COMMANDS["set_fields"].doc
    assert (question["writes"], question["writes_left_out"]) == ([{"path": "Canvas.width", "value": "640"}], 0)
    shown = [write["value"] for write in page.requests[1].data["writes"]]
    assert shown == ["(image_base64)", "(data)", '[1,"ä"]']


async def test_values_in_a_question_are_limited_each_and_in_total(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "VALUE_SHOWN", 10)
    monkeypatch.setattr(questions, "MAX_SHOWN", 22)
    rule(desk, Rule.ALWAYS)
    _, page = desk.tab("panel")
    await desk.wants(fields=[["a", "x" * 10], ["b", "y" * 10], ["c", ""], ["d", ""]])
    assert page.requests[0].data["writes"] == [{"path": "a", "value": "x" * 10}, {"path": "b", "value": "y" * 10}]
    assert page.requests[0].data["writes_left_out"] == 2
    await desk.wants(fields=[["a", "x" * 11]])
    assert page.requests[1].data["writes_left_out"] == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"allowed": True}, "passes"),
        ({"allowed": 1}, "refused_by_person"),
        ({"allowed": "true"}, "refused_by_person"),
        ({}, "refused_by_person"),
        (True, "refused_by_person"),
        (None, "refused_by_person"),
    ],
)
async def test_only_a_plain_yes_counts_as_a_yes(desk: Desk, answer: Any, expected: str) -> None:
    rule(desk, Rule.ALWAYS)
    manager, page = desk.tab("panel")
    asked = await desk.wants()
    manager.respond(page.requests[0].request_id, answer)
    assert await code_of(asked) == expected
    # With this rule the next request is asked about again.
    assert desk.approvals.answers == {} and not (await desk.wants()).done()


@pytest.mark.parametrize("allowed", [True, False])
async def test_an_answer_given_once_holds_for_that_program_and_kind(desk: Desk, allowed: bool) -> None:
    rule(desk, Rule.ONCE, Kind.CHANGE, Kind.RUN)
    manager, page = desk.tab("panel")
    asked = await desk.wants()
    before = desk.changes
    manager.respond(page.requests[0].request_id, {"allowed": allowed})
    expected = "passes" if allowed else "refused_by_person"
    assert await code_of(asked) == await code_of(await desk.wants()) == expected
    assert desk.changes > before
    assert desk.approvals.state()["answers"] == [{"program": "Blender", "kind": "change", "allowed": allowed}]
    assert not (await desk.wants("Krita")).done()
    both = await desk.wants(kinds=CHANGE | {Kind.RUN})
    # A refused kind needs no question; if one kind was allowed, only the other is asked about.
    if allowed:
        assert page.requests[-1].data["kinds"] == ["run"]
    else:
        assert await code_of(both) == "refused_by_person"


async def test_the_answers_of_so_many_programs_are_remembered_the_oldest_first_forgotten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 2)
    rule(desk, Rule.ONCE)
    manager, page = desk.tab("panel")
    for number in range(3):
        await desk.wants(f"program {number}")
        manager.respond(page.requests[-1].request_id, {"allowed": True})
        await turns()
    assert [program for program, _ in desk.approvals.answers] == ["program 1", "program 2"]


@pytest.mark.parametrize(
    ("program", "kind", "left"),
    [
        (None, None, set()),
        ("a", None, {("b", Kind.RUN), ("b", Kind.CHANGE)}),
        (None, Kind.RUN, {("a", Kind.CHANGE), ("b", Kind.CHANGE)}),
        ("a", Kind.RUN, {("a", Kind.CHANGE), ("b", Kind.RUN), ("b", Kind.CHANGE)}),
    ],
)
async def test_answers_are_forgotten_of_a_program_of_a_kind_or_both(
    desk: Desk, program: str | None, kind: Kind | None, left: set[Any]
) -> None:
    desk.approvals.answers = {(name, each): True for name in "ab" for each in (Kind.RUN, Kind.CHANGE)}
    before = desk.changes
    desk.approvals.forget(program, kind)
    assert set(desk.approvals.answers) == left and desk.changes == before + 1


# -- without a question -----------------------------------------------------------------------------------------------


async def test_only_a_rule_that_changes_forgets_the_answers_to_it(desk: Desk) -> None:
    rule(desk, Rule.ONCE)
    desk.approvals.answers = {("a", Kind.CHANGE): True, ("a", Kind.RUN): True}
    await desk.approvals.decide(rules={Kind.CHANGE: Rule.ONCE})
    assert len(desk.approvals.answers) == 2
    await desk.approvals.decide(rules={Kind.CHANGE: Rule.ALWAYS})
    assert [*desk.approvals.answers] == [("a", Kind.RUN)]


@pytest.mark.parametrize(
    ("rule_of_change", "paused", "kinds", "free"),
    [
        (Rule.ALLOW, False, {Kind.CHANGE}, True),
        (Rule.ALLOW, False, {Kind.CHANGE, Kind.READ, Kind.TALK}, True),
        (Rule.ALLOW, True, {Kind.CHANGE}, False),
        (Rule.ALLOW, True, {Kind.READ}, True),
        (Rule.ALLOW, True, {Kind.TALK}, True),
        (Rule.ONCE, False, {Kind.CHANGE}, False),
        (Rule.REFUSE, False, {Kind.RUN, Kind.CHANGE}, False),
        (Rule.REFUSE, False, {Kind.RUN}, True),
    ],
)
async def test_a_command_is_free_unless_a_rule_or_the_pause_is_against_it(
    desk: Desk, rule_of_change: Rule, paused: bool, kinds: set[Kind], free: bool
) -> None:
    rule(desk, rule_of_change)
    desk.approvals.paused = paused
    assert desk.approvals.free(frozenset(kinds), "p") is free


def test_nothing_is_free_before_the_rules_are_read(tmp_path: Path) -> None:
    assert not Approvals(lambda: tmp_path, lambda: None, lambda work, name: None, Webuis()).free(CHANGE, "p")  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("rule_of_read", "answer", "receives"),
    [
        (Rule.ALLOW, None, True),
        (Rule.ALLOW, False, True),
        (Rule.ALWAYS, None, True),
        (Rule.ONCE, None, True),
        (Rule.ONCE, True, True),
        (Rule.ONCE, False, False),
        (Rule.REFUSE, True, False),
    ],
)
async def test_a_program_receives_events_until_it_is_refused(
    desk: Desk, rule_of_read: Rule, answer: bool | None, receives: bool
) -> None:
    rule(desk, rule_of_read, Kind.READ)
    if answer is not None:
        desk.approvals.answers["a", Kind.READ] = answer
    assert desk.approvals.reads("a") is receives


async def test_a_decision_that_cannot_be_kept_holds_all_the_same(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "rules.json").mkdir()
    with pytest.raises(UiapiError) as caught:
        await desk.approvals.decide(paused=True, rules={Kind.RUN: Rule.REFUSE})
    assert caught.value.code == "storage_failed"
    assert desk.approvals.paused and desk.approvals.rules[Kind.RUN] is Rule.REFUSE


def test_a_person_decides_about_every_kind_except_talk() -> None:
    assert set(DECIDED) == set(Kind) - {Kind.TALK}


async def test_a_question_names_the_workflow_of_the_tab_that_its_request_is_for(desk: Desk) -> None:
    rule(desk, Rule.ALWAYS)
    manager, page = desk.tab("panel")
    manager.info["workflow_name"] = "portrait"
    await desk.wants()
    assert page.requests[0].data["workflow"] == "portrait"
