"""Events reach those they concern, in order, and a tab tells only what somebody wants to hear."""

from __future__ import annotations

from typing import Any


async def subscribed(house: Any, **data: Any) -> Any:
    program = await house.program()
    await program.send_json({"type": "request", "id": "s", "command": "subscribe", "data": data})
    assert (await program.receive_json(timeout=5))["status"] == "ok"
    return program


async def tell(tab: Any, event: str, **data: Any) -> None:
    await tab.ws.send_json({"type": "event", "event": event, "data": data})


async def test_a_tab_is_told_what_somebody_listens_for_and_when_nobody_does_any_more(house: Any) -> None:
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


async def test_a_subscriber_to_paths_hears_of_these_fields_and_nodes_only(house: Any) -> None:
    tab = await house.tab()
    program = await subscribed(house, events=["widget_changed"], paths=["KSampler", "Prompt.text"])
    for path in ("Other.x", "ksampler.seed", "KSampler2.seed", "prompt.TEXT", "Prompt.texture", "KSampler/Inner.x"):
        await tell(tab, "widget_changed", path=path)
    heard = [(await program.receive_json(timeout=5))["data"]["path"] for _ in range(3)]
    assert heard == ["ksampler.seed", "prompt.TEXT", "KSampler/Inner.x"]


async def test_a_tab_cannot_tell_what_is_not_its_to_tell(house: Any) -> None:
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
