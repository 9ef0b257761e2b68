"""Tests of subscriptions: events reach their subscribers in order, and tabs only send events that have one."""

from __future__ import annotations

from typing import Any

from comfyui_uiapi.bridge.protocol.subscriptions import Subscriptions


async def subscribed(house: Any, **data: Any) -> Any:
    program = await house.program()
    await program.send_json({"type": "request", "id": "s", "command": "subscribe", "data": data})
    assert (await program.receive_json(timeout=5))["status"] == "ok"
    return program


async def tell(tab: Any, event: str, **data: Any) -> None:
    await tab.ws.send_json({"type": "event", "event": event, "data": data})


async def test_a_tab_gets_the_events_that_have_subscribers_and_their_end(house: Any) -> None:
    tab = await house.tab(capabilities=["watch"])
    assert (await tab.next("event"))["data"] == {"events": []}
    program = await subscribed(house, events=["widget_*", "webui_connected"])
    assert (await tab.next("event"))["data"] == {"events": ["widget_changed"]}
    late = await house.tab(capabilities=["watch"])
    assert (await late.next("event"))["data"] == {"events": ["widget_changed"]}
    await program.close()
    assert (await tab.next("event"))["data"] == {"events": []}


async def test_a_thousand_changes_arrive_as_a_thousand_events_in_order(house: Any) -> None:
    tab = await house.tab(capabilities=["watch"])
    program = await subscribed(house, events=["widget_changed"])
    for number in range(1000):
        await tell(tab, "widget_changed", path="A.b", new=number, by="person")
    heard = [await program.receive_json(timeout=5) for _ in range(1000)]
    assert [frame["data"]["new"] for frame in heard] == [*range(1000)]
    assert heard[0]["data"]["webui"] == tab.client_id and heard[0]["data"]["by"] == "person"


async def test_a_subscriber_to_paths_gets_events_of_these_fields_and_nodes_only(house: Any) -> None:
    tab = await house.tab()
    program = await subscribed(house, events=["widget_changed"], paths=["KSampler", "Prompt.text"])
    for path in ("Other.x", "ksampler.seed", "KSampler2.seed", "prompt.TEXT", "Prompt.texture", "KSampler/Inner.x"):
        await tell(tab, "widget_changed", path=path)
    heard = [(await program.receive_json(timeout=5))["data"]["path"] for _ in range(3)]
    assert heard == ["ksampler.seed", "prompt.TEXT", "KSampler/Inner.x"]


async def test_a_tab_cannot_send_events_of_the_server(house: Any) -> None:
    tab = await house.tab()
    program = await subscribed(house, events=["*"])
    await tell(tab, "webui_disconnected", id=99)
    assert (await tab.next("error"))["code"] == "malformed"
    await tell(tab, "node_added", node={"id": "1"})
    assert (await program.receive_json(timeout=5))["event"] == "node_added"


async def test_subscribers_hear_of_runs_that_they_did_not_start(house: Any, eventually: Any) -> None:
    program = await subscribed(house, events=["progress", "execution_error"])
    house.comfy.send_sync("progress", {"prompt_id": "the person's", "value": 1, "max": 2})
    frame = await program.receive_json(timeout=5)
    assert (frame["event"], frame["data"]["prompt_id"]) == ("progress", "the person's")
    assert house.bridge.runs._runs == {}


async def test_a_subscriber_gets_the_cached_nodes_of_a_run(house: Any) -> None:
    program = await subscribed(house, events=["execution_cached"])
    house.comfy.send_sync("execution_start", {"prompt_id": "p1"})
    house.comfy.send_sync("execution_cached", {"prompt_id": "p1", "nodes": ["3", "4"], "timestamp": 1})
    frame = await program.receive_json(timeout=5)
    data = frame["data"]
    assert (frame["event"], data["prompt_id"], data["nodes"]) == ("execution_cached", "p1", ["3", "4"])


async def test_the_paths_of_a_websocket_are_limited(house: Any) -> None:
    program = await house.program()
    for number, paths in enumerate(([f"N{n}" for n in range(600)], [f"M{n}" for n in range(400)], ["one more"])):
        data = {"events": ["widget_changed"], "paths": paths}
        await program.send_json({"type": "request", "id": number, "command": "subscribe", "data": data})
        answer = await program.receive_json(timeout=5)
        assert answer.get("code") == (None if number < 2 else "too_many")


def test_an_event_costs_as_little_with_a_million_paths_as_with_few() -> None:
    """Counts accesses to paths: those of each subscriber are not compared one by one."""
    looks: list[str] = []

    class Watched(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            looks.append(self)
            return str.__eq__(self, other)

        __hash__ = str.__hash__

        def lower(self) -> Watched:
            return self

    heard: list[str] = []
    subscriptions = Subscriptions()
    for number in range(20):
        paths = [Watched(f"node{number}x{n}.width") for n in range(500)]
        subscriptions.add(lambda event, data: heard.append(data["path"]), ["widget_changed"], paths)
    looks.clear()
    subscriptions.publish("widget_changed", {"path": "Node7x3.width"})
    assert heard == ["Node7x3.width"]
    assert len(looks) < 40


def test_the_last_to_leave_an_event_is_noticed_however_often_it_leaves() -> None:
    subscriptions = Subscriptions()
    one = subscriptions.add(lambda event, data: None, ["widget_*"])
    other = subscriptions.add(lambda event, data: None, ["widget_changed", "preview"])
    one.end()
    one.end()
    assert subscriptions.wanted() == ["widget_changed"] and subscriptions.hears("preview")
    other.end()
    assert subscriptions.wanted() == [] and not subscriptions.hears("preview") and len(subscriptions) == 0


def test_a_path_of_nothing_but_separators_is_looked_at_no_further_than_anybody_may_ask() -> None:
    subscriptions, heard = Subscriptions(), []
    subscriptions.add(lambda event, data: heard.append(event), ["widget_changed"], ["a"])
    subscriptions.publish("widget_changed", {"path": "a" + "." * 1_000_000})
    assert heard == ["widget_changed"]
