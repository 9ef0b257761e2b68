"""A sweep on a farm of stand-in ComfyUIs that lives in this process."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import pytest
from comfyui_uiapi.client.common.errors import UiapiError, Unreachable
from comfyui_uiapi.client.farm import dispatcher, member
from comfyui_uiapi.client.farm.comfyui import catalog, connection
from comfyui_uiapi.client.sweep.item import SweepItem
from comfyui_uiapi.tests.client.farm.conftest import HANGS, Live, Sweep, shown
from comfyui_uiapi.tests.harness.comfy.process import free_port
from comfyui_uiapi.tests.harness.fakes.standin_comfyui import StandIn
from comfyui_uiapi.tests.harness.programs.farms import until

StandIns = Callable[..., Awaitable[list[StandIn]]]


def urls(farm: list[StandIn]) -> list[str]:
    return [one.url for one in farm]


def code_of(item: SweepItem) -> str | None:
    """The code of its error."""
    return None if item.error is None else item.error.code


def ran(farm: list[StandIn]) -> list[int]:
    """What the pictures show that the farm made, in order."""
    return sorted(value for one in farm for value in one.values)


async def test_every_variation_gives_its_picture_once(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(3)
    items = await sweep(urls(farm), 60)
    assert shown(items) == ran(farm) == [*range(60)]
    assert all(one.values for one in farm)
    assert sorted(item.index for item in items) == [*range(60)]
    assert all(item.fields == {"Canvas.value": item.index} and item.status == "success" for item in items)
    assert {item.prompt_id for item in items} == {prompt_id for one in farm for prompt_id in one.ran}


async def test_comfyuis_that_share_their_folders_do_not_replace_each_others_files(
    standins: StandIns, sweep: Sweep, live: Live
) -> None:
    # As two ComfyUIs of one installation do, one for each GPU.
    farm = await standins(2, seconds=None)
    farm[1].shows, farm[1].inputs = farm[0].shows, farm[0].inputs
    save = {"images": ["1", 0], "filename_prefix": "farm"}
    live.more = lambda value: {"2": ("Save", save), "5": ("LoadImage", {"image": "a.png"})}
    live.files["/view?filename=a.png&subfolder=&type=input"] = b"picture"
    sweeping = asyncio.create_task(sweep(urls(farm), 20))
    # Both have chosen a name, and neither has saved.
    await until(lambda: all(one.running for one in farm))
    for one in farm:
        one.go.set()
    items = await sweeping
    assert {item.index: json.loads(item.files[0].data) for item in items} == {at: at for at in range(20)}
    assert sorted(map(json.loads, farm[0].shows.values())) == [*range(20)]
    assert len({*farm[0].uploads, *farm[1].uploads}) == 2
    # They do not count as numbers of the plain prefix, so that the next picture of the person has the next number.
    assert all(name.startswith("farm-000") for name in farm[0].shows)


async def test_no_more_is_exported_and_made_than_the_caller_takes(standins: StandIns, sweep: Sweep, live: Live) -> None:
    farm = await standins(2)
    go, stop = threading.Event(), threading.Event()
    sweeping = asyncio.create_task(sweep(urls(farm), 500, lambda item: go.wait(HANGS), stop=stop))
    # Two for each ComfyUI and a few more.
    await until(lambda: len(ran(farm)) >= 12 and not any(one.queued() for one in farm))
    assert len(ran(farm)) <= 14 and sum(live.exported) <= 40
    stop.set()
    go.set()
    await sweeping


async def test_a_killed_comfyui_costs_no_picture_and_makes_none_twice(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(3, seconds=0.01)
    farm[0].seconds = None
    sweeping = asyncio.create_task(sweep(urls(farm), 60))
    await until(lambda: farm[0].running and len(ran(farm)) > 10)
    await farm[0].kill()
    items = await sweeping
    assert shown(items) == [*range(60)] == ran(farm)


async def test_a_comfyui_that_is_back_takes_part_again(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(2, seconds=None)
    notes: list[str] = []
    sweeping = asyncio.create_task(sweep(urls(farm), 40, note=notes.append))
    await until(lambda: farm[0].running and farm[1].running)
    await farm[0].kill()
    await until(lambda: any("does not respond" in note for note in notes))
    farm[0].seconds = 0
    await farm[0].start()
    await until(lambda: len(farm[0].values) > 3)
    farm[1].go.set()
    items = await sweeping
    assert shown(items) == [*range(40)] == ran(farm)


async def test_a_lost_websocket_repeats_no_prompt(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(1, seconds=None)
    sweeping = asyncio.create_task(sweep(urls(farm), 3))
    await until(lambda: farm[0].running)
    await farm[0].cut()
    await until(lambda: farm[0].sockets)
    farm[0].go.set()
    items = await sweeping
    assert shown(items) == ran(farm) == [0, 1, 2]


async def test_a_prompt_that_ends_while_the_websocket_is_away_is_found(
    standins: StandIns, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOOK_INTERVAL", 60.0)
    farm = await standins(1, seconds=None)
    sweeping = asyncio.create_task(sweep(urls(farm), 1))
    await until(lambda: farm[0].running)
    # The event about the end finds no websocket.
    farm[0].deaf = True
    await farm[0].cut()
    farm[0].go.set()
    await until(lambda: farm[0].values)
    farm[0].deaf = False
    assert shown(await sweeping) == ran(farm) == [0]


async def test_a_prompt_that_can_never_run_is_not_repeated(standins: StandIns, sweep: Sweep, live: Live) -> None:
    farm = await standins(2)
    live.more = lambda value: {"9": ("Failing", {})} if value == 3 else {}
    items = await sweep(urls(farm), 6)
    [failed] = [item for item in items if item.error is not None]
    assert (failed.index, failed.status, code_of(failed)) == (3, "error", "execution_failed")
    assert str(failed.error) == "Failing (#9) failed: it fails."
    assert shown(items) == [0, 1, 2, 4, 5]
    assert sum(len(one.history) for one in farm) == 6


async def test_the_first_failure_ends_the_sweep_if_that_is_wanted(standins: StandIns, sweep: Sweep, live: Live) -> None:
    farm = await standins(1)
    live.more = lambda value: {"9": ("Failing", {})} if value == 3 else {}
    items = await sweep(urls(farm), 100, on_error="stop")
    assert [item.index for item in items] == [0, 1, 2, 3]
    assert items[-1].error is not None


async def test_a_node_type_that_one_machine_lacks_is_run_by_another(
    standins: StandIns, sweep: Sweep, live: Live
) -> None:
    farm = await standins(2)
    farm[1].nodes["Special"] = {"input": {}}
    live.more = lambda value: {"7": ("Special", {})}
    items = await sweep(urls(farm), 8)
    assert shown(items) == [*range(8)]
    assert (len(farm[0].history), len(farm[1].values)) == (0, 8)


async def test_the_only_machine_that_suits_is_awaited_while_the_others_go_on(
    standins: StandIns, sweep: Sweep, live: Live
) -> None:
    farm = await standins(2)
    farm[1].nodes["Special"], farm[1].seconds = {"input": {}}, None
    live.more = lambda value: {"7": ("Special", {})} if value < 6 else {}
    sweeping = asyncio.create_task(sweep(urls(farm), 12))
    await until(lambda: farm[1].running)
    await farm[1].kill()
    await until(lambda: {*range(6, 12)} <= {*farm[0].values})
    farm[1].seconds = 0.0
    await farm[1].start()
    items = await sweeping
    assert [item.error for item in items] == [None] * 12 and shown(items) == ran(farm) == [*range(12)]


async def test_a_node_type_that_every_machine_lacks_is_an_error(standins: StandIns, sweep: Sweep, live: Live) -> None:
    farm = await standins(2)
    live.more = lambda value: {"7": ("Special", {})}
    items = await sweep(urls(farm), 3)
    assert [item.error.code for item in items if item.error] == ["unknown_node_type"] * 3
    assert "lacks the node type Special" in str(items[0].error)
    assert not any(one.history for one in farm)


@pytest.mark.parametrize(("kind", "elsewhere"), [("value_not_in_list", True), ("value_smaller_than_min", False)])
async def test_a_refused_prompt_is_tried_elsewhere_only_if_machines_can_differ(
    standins: StandIns, sweep: Sweep, kind: str, elsewhere: bool
) -> None:
    farm = await standins(2)
    for one in farm:
        one.refuses = {"1": {"class_type": "Canvas", "errors": [{"type": kind, "message": "No", "details": "value"}]}}
    [item] = await sweep(urls(farm), 1)
    assert (item.status, str(item.error)) == ("error", "ComfyUI would not run this: #1 (Canvas): No: value.")
    assert sum(one.prompted for one in farm) == (2 if elsewhere else 1)


@pytest.mark.parametrize("status", [401, 413, 500])
async def test_a_machine_whose_own_fault_keeps_it_from_taking_prompts_fails_no_variation(
    standins: StandIns, sweep: Sweep, status: int
) -> None:
    farm = await standins(2)
    farm[0].statuses["/prompt"] = [status] * 100
    items = await sweep(urls(farm), 6)
    assert shown(items) == sorted(farm[1].values) == [*range(6)]
    farm[1].statuses["/prompt"] = [status] * 100
    [item] = await sweep(urls(farm), 1)
    assert code_of(item) == "fetch_failed" and f"/prompt returned HTTP {status}; check its log" in str(item.error)


async def test_a_proxy_that_says_for_a_moment_that_its_comfyui_is_away_costs_no_picture(
    standins: StandIns, sweep: Sweep
) -> None:
    farm = await standins(1)
    farm[0].statuses = {path: [502, 503, 504] for path in ("/prompt", "/view", "/queue", "/object_info")}
    items = await sweep(urls(farm), 4)
    assert shown(items) == ran(farm) == [*range(4)]


async def test_inputs_are_uploaded_once_for_each_machine_under_their_digest(
    standins: StandIns, sweep: Sweep, live: Live
) -> None:
    farm = await standins(2)
    live.more = lambda value: {"5": ("LoadImage", {"image": "sub/a.PNG [output]" if value % 2 else "b.png"})}
    live.files["/view?filename=a.PNG&subfolder=sub&type=output"] = b"picture a"
    live.files["/view?filename=b.png&subfolder=&type=input"] = b"picture b"
    items = await sweep(urls(farm), 20)
    assert shown(items) == [*range(20)]
    names = {**farm[0].inputs, **farm[1].inputs}
    assert {name.partition("-")[0]: content for name, content in names.items()} == {
        sha256(content).hexdigest(): content for content in (b"picture a", b"picture b")
    }
    assert Counter(live.reads) == dict.fromkeys(live.files, 1)
    assert all(count == 1 for one in farm for count in Counter(one.uploads).values())
    used = {entry["prompt"][2]["5"]["inputs"]["image"] for one in farm for entry in one.history.values()}
    assert used == {f"uiapi/{name}" for name in names}


async def test_a_missing_input_fails_only_its_variation(standins: StandIns, sweep: Sweep, live: Live) -> None:
    farm = await standins(1)
    live.more = lambda value: {"5": ("LoadImage", {"image": "gone.png"})} if value == 1 else {}
    items = await sweep(urls(farm), 3)
    assert [(item.index, item.error.code) for item in items if item.error] == [(1, "not_found")]
    assert shown(items) == [0, 2]


async def test_a_prompt_that_ends_every_comfyui_is_given_up(standins: StandIns, sweep: Sweep, live: Live) -> None:
    farm = await standins(6)
    for one in farm:
        one.deadly = "13"
    live.more = lambda value: {"13": ("Canvas", {"value": 0})} if value == 2 else {}
    items = await sweep(urls(farm), 12)
    [failed] = [item for item in items if item.error is not None]
    assert (failed.index, code_of(failed)) == (2, "result_lost")
    assert shown(items) == [value for value in range(12) if value != 2]
    assert any(one.is_alive for one in farm)


async def test_files_stay_on_shared_storage(standins: StandIns, sweep: Sweep, tmp_path: Path) -> None:
    farm = await standins(2)
    items = await sweep(urls(farm), 4, shared=tmp_path / "made")
    assert sorted((tmp_path / "made").iterdir()) == sorted(Path(str(item.files[0].path)) for item in items)
    assert all(item.files[0].data for item in items)
    saved = await asyncio.to_thread(lambda: {item.index: item.save(tmp_path)[0].read_bytes() for item in items})
    assert saved == {value: json.dumps(value).encode() for value in range(4)}


async def test_contents_are_left_where_they_are_if_they_are_not_wanted(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(1)
    [item] = await sweep(urls(farm), 1, fetch=False)
    assert item.files[0].filename == f"{item.prompt_id}.png" and item.files[0].data == b""


async def test_missing_models_are_downloaded_by_the_extension_under_its_rules(
    standins: StandIns, sweep: Sweep, live: Live
) -> None:
    farm = await standins(2)
    live.more = lambda value: {"6": ("Loader", {"name": "there.safetensors"})}
    farm[0].verdict, farm[1].verdict = "ready", "blocked"
    items = await sweep(urls(farm), 6)
    assert shown(items) == [*range(6)]
    assert farm[0].downloaded == ["there.safetensors"] and farm[1].downloaded == []
    assert not farm[1].history


async def test_a_model_that_no_machine_can_get_is_named(standins: StandIns, sweep: Sweep, live: Live) -> None:
    farm = await standins(2)
    live.more = lambda value: {"6": ("Loader", {"name": "there.safetensors"})}
    [item] = await sweep(urls(farm), 1)
    assert item.error is not None and item.error.code == "unknown_model"
    assert "lacks the model there.safetensors" in item.error.message


async def test_a_comfyui_that_does_not_respond_is_left_out(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(1, seconds=None)
    notes: list[str] = []
    sweeping = asyncio.create_task(sweep([f"http://127.0.0.1:{free_port()}", *urls(farm)], 3, note=notes.append))
    await until(lambda: any("No ComfyUI answers at" in note for note in notes))
    farm[0].go.set()
    assert shown(await sweeping) == [0, 1, 2]


async def test_without_any_comfyui_the_error_names_its_url(sweep: Sweep) -> None:
    port = free_port()
    notes: list[str] = []
    with pytest.raises(Unreachable, match=rf"No ComfyUI answers at http://127\.0\.0\.1:{port}; start it"):
        await sweep([f"http://127.0.0.1:{port}"], 1, note=notes.append)
    # Not said twice.
    assert notes == []


async def test_an_error_of_the_export_ends_the_sweep(standins: StandIns, sweep: Sweep, live: Live) -> None:
    farm = await standins(1)

    def refuse(variations: object) -> list[dict[str, object]]:
        raise UiapiError("unknown_path", "There is no field Canvas.value.", status=404)

    live.export = refuse  # type: ignore[method-assign]
    with pytest.raises(UiapiError, match="There is no field"):
        await sweep(urls(farm), 2)


async def test_a_variation_that_the_page_cannot_export_is_an_error_of_its_own(
    standins: StandIns, sweep: Sweep, live: Live
) -> None:
    farm = await standins(1)
    export = live.export

    def partly(variations: list[list[list[object]]]) -> list[dict[str, object]]:
        made = export(variations)
        return [
            {**one, "prompt": None, "error": {"code": "invalid", "message": "Too large."}} if at == 1 else one
            for at, one in enumerate(made)
        ]

    live.export = partly  # type: ignore[method-assign]
    items = await sweep(urls(farm), 3)
    assert [(item.index, item.error.code) for item in items if item.error] == [(1, "invalid")]
    assert shown(items) == [0, 2]


async def test_a_defect_of_a_worker_is_an_error_of_its_variation(
    standins: StandIns, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, prompt: object) -> None:
        raise RuntimeError("it broke")

    farm = await standins(1)
    monkeypatch.setattr(catalog.Catalog, "lacks", broken)
    [item] = await sweep(urls(farm), 1)
    assert item.error is not None and item.error.code == "internal"
    assert "RuntimeError: it broke" in item.error.message


async def test_a_deserted_farm_fails_with_what_is_done(
    standins: StandIns, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "DESERTED_TIMEOUT", 0.5)
    monkeypatch.setattr(member, "PATIENCE", 0.1)
    farm = await standins(1, seconds=None)
    sweeping = asyncio.create_task(sweep(urls(farm), 2))
    await until(lambda: farm[0].running)
    await farm[0].kill()
    with pytest.raises(UiapiError, match="No ComfyUI has been in the farm"):
        await sweeping
