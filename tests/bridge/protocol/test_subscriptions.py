"""Tests of subscriptions: events reach their subscribers in order, and tabs only send events that have one."""

from __future__ import annotations

from typing import Any

from comfyui_uiapi.bridge.protocol.subscriptions import Subscriptions


async def subscribed(server: Any, **data: Any) -> Any:
    program = await server.program()
    await program.send_json({"type": "request", "id": "s", "command": "subscribe", "data": data})
    assert (await program.receive_json(timeout=60))["status"] == "ok"
    return program


async def send(tab: Any, event: str, **data: Any) -> None:
    await tab.ws.send_json({"type": "event", "event": event, "data": data})


async def test_a_tab_gets_the_events_that_have_subscribers_and_their_end(server: Any) -> None:
    tab = await server.tab(capabilities=["watch"])
    assert (await tab.next("event"))["data"] == {"events": []}
    program = await subscribed(server, events=["widget_*", "webui_connected"])
    assert (await tab.next("event"))["data"] == {"events": ["widget_changed"]}
    late = await server.tab(capabilities=["watch"])
    assert (await late.next("event"))["data"] == {"events": ["widget_changed"]}
    await program.close()
    assert (await tab.next("event"))["data"] == {"events": []}


async def test_a_thousand_changes_arrive_as_a_thousand_events_in_order(server: Any) -> None:
    tab = await server.tab(capabilities=["watch"])
    program = await subscribed(server, events=["widget_changed"])
    for number in range(1000):
        await send(tab, "widget_changed", path="A.b", new=number, by="person")
    received = [await program.receive_json(timeout=60) for _ in range(1000)]
    assert [frame["data"]["new"] for frame in received] == [*range(1000)]
    assert received[0]["data"]["webui"] == tab.client_id and received[0]["data"]["by"] == "person"


async def test_a_subscriber_to_paths_gets_events_of_these_fields_and_nodes_only(server: Any) -> None:
    tab = await server.tab()
    program = await subscribed(server, events=["widget_changed"], paths=["KSampler", "Prompt.text"])
    for path in ("Other.x", "ksampler.seed", "KSampler2.seed", "prompt.TEXT", "Prompt.texture", "KSampler/Inner.x"):
        await send(tab, "widget_changed", path=path)
    received = [(await program.receive_json(timeout=60))["data"]["path"] for _ in range(3)]
    assert received == ["ksampler.seed", "prompt.TEXT", "KSampler/Inner.x"]


async def test_a_tab_cannot_send_events_of_the_server(server: Any) -> None:
    tab = await server.tab()
    program = await subscribed(server, events=["*"])
    await send(tab, "webui_disconnected", id=99)
    assert (await tab.next("error"))["code"] == "malformed"
    await send(tab, "node_added", node={"id": "1"})
    assert (await program.receive_json(timeout=60))["event"] == "node_added"


async def test_subscribers_receive_events_of_runs_that_they_did_not_start(server: Any, eventually: Any) -> None:
    program = await subscribed(server, events=["progress", "execution_error"])
    server.comfy.send_sync("progress", {"prompt_id": "the person's", "value": 1, "max": 2})
    frame = await program.receive_json(timeout=60)
    assert (frame["event"], frame["data"]["prompt_id"]) == ("progress", "the person's")
    assert server.bridge.runs._runs == {}


async def test_a_subscriber_gets_the_cached_nodes_of_a_run(server: Any) -> None:
    program = await subscribed(server, events=["execution_cached"])
    server.comfy.send_sync("execution_start", {"prompt_id": "p1"})
    server.comfy.send_sync("execution_cached", {"prompt_id": "p1", "nodes": ["3", "4"], "timestamp": 1})
    frame = await program.receive_json(timeout=60)
    data = frame["data"]
    assert (frame["event"], data["prompt_id"], data["nodes"]) == ("execution_cached", "p1", ["3", "4"])


async def test_the_paths_of_a_websocket_are_limited(server: Any) -> None:
    program = await server.program()
    for number, paths in enumerate(([f"N{n}" for n in range(600)], [f"M{n}" for n in range(400)], ["one more"])):
        data = {"events": ["widget_changed"], "paths": paths}
        await program.send_json({"type": "request", "id": number, "command": "subscribe", "data": data})
        answer = await program.receive_json(timeout=60)
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

    received: list[str] = []
    subscriptions = Subscriptions()
    for number in range(20):
        paths = [Watched(f"node{number}x{n}.width") for n in range(500)]
        subscriptions.add(lambda event, data: received.append(data["path"]), ["widget_changed"], paths)
    looks.clear()
    subscriptions.publish("widget_changed", {"path": "Node7x3.width"})
    assert received == ["Node7x3.width"]
    assert len(looks) < 40


def test_the_last_to_leave_an_event_is_noticed_however_often_it_leaves() -> None:
    subscriptions = Subscriptions()
    one = subscriptions.add(lambda event, data: None, ["widget_*"])
    other = subscriptions.add(lambda event, data: None, ["widget_changed", "preview"])
    one.end()
    one.end()
    assert subscriptions.wanted() == ["widget_changed"] and subscriptions.has_subscriber("preview")
    other.end()
    assert subscriptions.wanted() == [] and not subscriptions.has_subscriber("preview") and len(subscriptions) == 0


def test_a_path_of_nothing_but_separators_is_looked_at_no_further_than_anybody_may_ask() -> None:
    subscriptions, received = Subscriptions(), []
    subscriptions.add(lambda event, data: received.append(event), ["widget_changed"], ["a"])
    subscriptions.publish("widget_changed", {"path": "a" + "." * 1_000_000})
    assert received == ["widget_changed"]
