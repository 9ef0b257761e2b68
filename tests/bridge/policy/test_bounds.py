"""Tests of each limit at its bound and one beyond: pending requests and bytes, late answers, names and paths."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from comfyui_uiapi.bridge.api.replies import MAX_NAME, program_name
from comfyui_uiapi.bridge.policy import request_limits
from comfyui_uiapi.bridge.policy.request_limits import SMALL, Load, Loads
from comfyui_uiapi.bridge.protocol.subscriptions import MAX_LOOKED_UP, MAX_PATH, Subscriptions
from comfyui_uiapi.bridge.tabs import late_answers
from comfyui_uiapi.bridge.tabs.late_answers import LateAnswers
from comfyui_uiapi.common.errors import UiapiError


class _Wire:
    """A connection with a given number of bytes left to send."""

    def __init__(self, *left: int) -> None:
        self.left = [*left]
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    def abort(self) -> None:
        self.aborted = True


# For the type checker it is any transport.
Wire: Any = _Wire


class Timers:
    """The loop's timers, fired by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.set: list[tuple[float, Any, tuple[Any, ...]]] = []
        self.cancelled = 0
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def call_later(self, seconds: float, work: Any, *arguments: Any) -> Timers:
        self.set.append((seconds, work, arguments))
        return self

    def cancel(self) -> None:
        self.cancelled += 1

    def fire(self) -> float:
        seconds, work, arguments = self.set.pop()
        work(*arguments)
        return seconds


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    return Timers(monkeypatch)


def too_many(work: Any) -> bool:
    try:
        work()
    except UiapiError as error:
        assert (error.code, error.status) == ("too_many", 429)
        return True
    return False


# -- pending HTTP requests of an address --------------------------------------------------------------------------


def test_an_address_has_4096_requests_under_way_and_another_one_its_own() -> None:
    loads = Loads()
    open_ones = [Load(loads, "a").__enter__() for _ in range(request_limits.MAX_REQUESTS)]
    assert len(open_ones) == 4096 and too_many(Load(loads, "a").__enter__)
    with Load(loads, "b"):
        assert loads.requests == {"a": 4096, "b": 1}
    open_ones[0].__exit__()
    Load(loads, "a").__enter__().__exit__()
    for each in open_ones[1:]:
        each.__exit__()
    assert not loads.requests and not loads.bytes


def test_the_bytes_of_an_address_are_bounded_to_the_last_one_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "MAX_BYTES", 100)
    loads = Loads()
    with Load(loads, "a") as one, Load(loads, "a") as other:
        one.add(60)
        other.add(40)
        assert too_many(lambda: other.add(1)) and loads.bytes == {"a": 100}
        with Load(loads, "b") as third:
            third.add(100)
    assert not loads.requests and not loads.bytes


def test_too_many_bytes_at_once_are_refused_with_their_limit_in_megabytes() -> None:
    with Load(Loads(), "a") as load, pytest.raises(UiapiError, match=r"have 512 MB") as refused:
        load.add(request_limits.MAX_BYTES + 1)
    assert refused.value.code == "too_many"


def test_a_small_answer_is_out_of_hand_at_once_and_a_large_one_until_it_is_taken(timers: Timers) -> None:
    loads, wire = Loads(), Wire(SMALL, SMALL - 1, 0)
    for transport, size in ((wire, SMALL - 1), (None, SMALL)):
        with Load(loads, "a") as small:
            small.until_taken(transport, size)
        assert not loads.requests and not loads.bytes and not timers.set
    with Load(loads, "a") as large:
        large.until_taken(wire, SMALL)
    assert loads.requests == {"a": 1} and loads.bytes == {"a": SMALL} and loads.unread == {wire: large}
    # The first check only notes what is left; at each later one some of it must have been sent.
    assert [timers.fire(), timers.fire()] == [request_limits.FIRST_LOOK, request_limits.TAKE_PAUSE] and loads.requests
    assert timers.fire() == request_limits.TAKE_PAUSE
    assert not loads.requests and not loads.bytes and not loads.unread and not wire.aborted and not timers.set


def test_a_caller_that_reads_nothing_between_two_checks_is_disconnected(timers: Timers) -> None:
    loads, wire = Loads(), Wire(10)
    with Load(loads, "a") as large:
        large.until_taken(wire, SMALL)
    timers.fire()
    assert not wire.aborted
    timers.fire()
    assert wire.aborted and not loads.requests and not loads.bytes and not loads.unread


def test_a_new_request_on_a_connection_ends_the_count_of_the_previous_answer(timers: Timers) -> None:
    loads, wire = Loads(), Wire(10)
    for _ in range(3):
        with Load(loads, "a") as large:
            large.until_taken(wire, SMALL)
    assert loads.requests == {"a": 1} and loads.bytes == {"a": SMALL} and loads.unread == {wire: large}
    assert timers.cancelled == 2


# -- late answers -----------------------------------------------------------------------------------------------------


def test_a_late_answer_can_be_fetched_for_ten_minutes_after_its_time_was_up() -> None:
    now = [5.0]
    answers = LateAnswers(lambda: now[0])
    answers.expect("a")
    answers.offer("a", {"n": 1})
    now[0] += late_answers.KEEP - 1
    answers.expect("b")
    answers.offer("a", {"n": 2})
    assert answers.find("a") == {"n": 1} and late_answers.KEEP == 600
    now[0] += 1
    with pytest.raises(KeyError):
        answers.find("a")
    assert answers.find("b") is None


def test_expired_requests_are_dropped_when_new_ones_arrive() -> None:
    now = [0.0]
    answers = LateAnswers(lambda: now[0])
    for name in "abc":
        answers.expect(name)
    now[0] = late_answers.KEEP
    answers.expect("d")
    assert [*answers._requests] == ["d"]


def test_as_many_requests_are_known_as_may_be() -> None:
    answers = LateAnswers(lambda: 0.0)
    for number in range(late_answers.MAX_REQUESTS + 1):
        answers.expect(str(number))
    assert len(answers._requests) == late_answers.MAX_REQUESTS == 256 and answers.find("1") is None


def test_answers_fill_their_memory_to_the_last_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    assert late_answers.MAX_BYTES == 134_217_728
    monkeypatch.setattr(late_answers, "MAX_BYTES", 20)
    answers = LateAnswers(lambda: 0.0)
    for name in "abc":
        answers.expect(name)
    answers.offer("a", {"n": "12"})
    answers.offer("b", {"n": "12"})
    assert answers.find("a") == answers.find("b") == {"n": "12"}
    answers.offer("c", {"n": ""})
    assert answers.find("b") == {"n": "12"} and answers.find("c") == {"n": ""}
    with pytest.raises(KeyError):
        answers.find("a")


# -- names and subscriptions ------------------------------------------------------------------------------------------


def test_a_programs_name_is_cut_at_its_bound_and_never_empty() -> None:
    assert program_name("x" * MAX_NAME) == "x" * MAX_NAME == program_name("x" * (MAX_NAME + 1))
    assert program_name(" a\n\tb\x00c ") == "a b c" and program_name(" \n ") == "unnamed program"


async def test_a_header_as_long_as_the_server_takes_is_read_and_a_longer_one_refused(server: Any) -> None:
    async def status(length: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.http.port)
        head = b"GET /uiapi/webuis HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        writer.write(head + b"User-Agent: " + b"x" * length + b"\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return int(answer.split()[1])

    # aiohttp's limit is 8190 bytes, of the value or of the whole line, depending on its version.
    assert [await status(length) for length in (0, MAX_NAME + 1, 8000, 9000)] == [200, 200, 200, 400]
    assert {*server.bridge.activity.programs} <= {"unnamed program", "x" * MAX_NAME}


def test_paths_are_looked_at_as_far_as_anybody_may_subscribe_to_them() -> None:
    received: list[str] = []
    subscriptions = Subscriptions()
    for length in (MAX_PATH, MAX_PATH + 1):
        subscriptions.add(lambda event, data: received.append(event), ["widget_changed"], ["n" * length])
    subscriptions.publish("widget_changed", {"path": "n" * MAX_PATH + ".width"})
    assert len(received) == 1
    subscriptions.publish("widget_changed", {"path": "n" * (MAX_PATH + 1) + ".width"})
    assert len(received) == 1 and MAX_PATH == 2000


def test_however_many_names_of_events_there_are_those_that_are_looked_up_are_bounded() -> None:
    received: list[str] = []
    subscriptions = Subscriptions()
    subscriptions.add(lambda event, data: received.append(event), ["*"])
    for number in range(MAX_LOOKED_UP + 10):
        subscriptions.publish(f"event {number}", {})
    assert len(received) == MAX_LOOKED_UP + 10 and len(subscriptions._looked_up) == MAX_LOOKED_UP


def test_subscriptions_take_effect_immediately() -> None:
    changes: list[list[str]] = []
    subscriptions = Subscriptions(lambda: changes.append(subscriptions.wanted()))
    assert not subscriptions.has_subscriber("node_added")
    one = subscriptions.add(lambda event, data: None, ["node_*"])
    assert (
        subscriptions.has_subscriber("node_added")
        and not subscriptions.has_subscriber("node")
        and len(subscriptions) == 1
    )
    one.end()
    nodes = ["node_added", "node_install", "node_mode_changed", "node_removed", "node_renamed"]
    assert changes == [nodes, []] and not subscriptions.has_subscriber("node_added")


def test_an_event_without_a_path_is_for_all_and_one_with_a_path_for_those_it_concerns() -> None:
    received: list[str] = []
    subscriptions = Subscriptions()
    subscriptions.add(lambda event, data: received.append("one"), ["*"], ["KSampler"])
    subscriptions.add(lambda event, data: received.append("all"), ["*"])
    for data in ({}, {"path": 7}, {"path": "Other.x"}, {"path": "ksampler"}, {"path": "KSampler.seed"}):
        subscriptions.publish("graph_loaded", data)
        received.append("|")
    assert "".join(received) == "oneall|oneall|all|oneall|oneall|"
