"""The commands about models: thin handlers over the download service. Their parameters are in requests.py."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from ...bridge.app.dispatch import Call
from ...bridge.protocol.command_spec import (
    DEFAULT_TIMEOUT,
    MAX_TIMEOUT,
    TAB_COMMAND_CODES,
    Kind,
    Preview,
    Request,
    Risk,
    command,
)
from ...bridge.protocol.lazy_types import LazyModule
from ...common.clock import steady_time
from ...common.errors import UiapiError
from ..jobs.states import ItemState
from ..storage import url_map
from ..storage.url_map import load_stored_urlmap
from .lazy_loader import LazyDownloads, given_by

if TYPE_CHECKING:
    from ..jobs.findings import Wanted
    from ..jobs.job import Run
    from .consent import Plan
    from .requests import (
        AddModelUrl,
        DownloadId,
        DownloadModel,
        DownloadModels,
        DownloadPart,
        GetModelUrl,
        ModelName,
        PlanDownloads,
        RelinkModels,
        RemoveModelUrl,
        Search,
        Workflow,
    )
    from .service import Downloads

requests = LazyModule(".requests", __package__)
schemas = LazyModule(".schemas", __package__)

# Seconds a plan, which asks the hosts of all of a workflow's models, may take.
PLAN_TIMEOUT = 300.0

# Error codes of a place on disk, of a source, and of a model's file.
PLACE_CODES = frozenset({"bad_path", "unknown_folder", "unsupported_type", "pickle_refused", "storage_failed"})
SOURCE_CODES = frozenset(
    "host_refused login_required gated early_access not_at_source gone_at_source rate_limited source_failed "
    "offline".split()
)
FILE_CODES = frozenset(
    {"not_a_model", "size_mismatch", "hash_mismatch", "conflict", "damaged", "cancelled", "disk_full", "timeout"}
)
STOP_CODES = frozenset({"unknown_download", "unknown_model", "conflict", "storage_failed"})


def downloads_of(call: Call) -> Downloads:
    """The download service of this bridge. UiapiError `shutting_down` before it has started."""
    downloads = call.bridge.downloads
    if not isinstance(downloads, LazyDownloads):
        raise UiapiError("shutting_down", "The download service is unavailable.")
    return downloads.service


async def workflow_of(call: Call, request: Workflow) -> Any:
    """The request's workflow, or the open one."""
    if request.workflow is not None:
        return request.workflow
    return (await call.tab("get_workflow"))["workflow"]


async def preview_models(call: Call, request: DownloadModels) -> Preview:
    """What `download_models` would fetch."""
    run = await _prepared(call, request)
    return await downloads_of(call).consent.of_new(run)


async def preview_model(call: Call, request: DownloadModel) -> Preview:
    """What `download_model` would fetch."""
    run = await downloads_of(call).prepare_one(request.model_name, request.model_def, overwrite=request.overwrite)
    return await downloads_of(call).consent.of_new(run)


async def preview_resumed(call: Call, request: DownloadPart) -> Preview:
    """What `download_resume` would fetch."""
    run = downloads_of(call).run(request.download_id)
    return await downloads_of(call).consent.of_rest(run, request.model_name)


async def preview_url(call: Call, request: AddModelUrl) -> Preview:
    """What `add_model_url` would save."""
    return downloads_of(call).consent.of_url(request.model_name, request.directory, request.url)


async def _prepared(call: Call, request: DownloadModels) -> Run:
    workflow = await workflow_of(call, request)
    return await downloads_of(call).prepare(
        workflow, request.download_table, overwrite=request.overwrite, only=request.only, wanted=wanted_by(request)
    )


def wanted_by(request: Search) -> Wanted:
    """What a request wants done about models without a known URL."""
    # Imported at first use: ComfyUI waits for every extension to import, and this file is imported at startup.
    from ..jobs.findings import Wanted

    return Wanted(request.searches, request.accept == "found")


def _program_of(call: Call) -> str:
    """The name of the program that wants a download; empty for the person's own."""
    return call.caller.program if call.caller.tab is None else ""


def _agreed(call: Call) -> Plan | None:
    """The plan the person agreed to; None if they were not asked."""
    return call.agreed.plan if call.agreed is not None else None


@command("analyze_workflow", response=schemas.Needs, risk=Risk.READ, errors={"too_large"} | TAB_COMMAND_CODES)
async def analyze_workflow(call: Call, request: Workflow) -> dict[str, Any]:
    """List every model a workflow needs: its directory, its URLs, whether it is present, and the nodes that use it."""
    return {"models": await downloads_of(call).analysis.describe(await workflow_of(call, request))}


@command(
    "plan_downloads",
    response=schemas.Plan,
    risk=Risk.WRITE_DISK,
    kind=Kind.READ,
    timeout=PLAN_TIMEOUT,
    errors={"too_large", "storage_failed"} | TAB_COMMAND_CODES,
)
async def plan_downloads(call: Call, request: PlanDownloads) -> dict[str, Any]:
    """Report what download_models would do, without downloading: sizes, hashes, obstacles, free space on each disk."""
    workflow = await workflow_of(call, request)
    return await downloads_of(call).plan(
        workflow, request.download_table, request.only, overwrite=request.overwrite, wanted=wanted_by(request)
    )


@command(
    "download_models",
    response=schemas.Begun,
    risk=Risk.WRITE_DISK,
    flat=True,
    errors={"too_large", "bad_path", "storage_failed"} | TAB_COMMAND_CODES,
    preview=preview_models,
)
async def download_models(call: Call, request: DownloadModels) -> dict[str, Any]:
    """Start downloading every missing model of a workflow; returns a download_id at once."""
    plan = _agreed(call)
    run = plan.run if plan is not None else await _prepared(call, request)
    await downloads_of(call).launch(run, None if plan is None else plan.agreed, _program_of(call))
    return {"message": "Download task started", "download_id": run.id, "unused": run.unused or []}


@command(
    "download_model",
    response=schemas.Fetched,
    risk=Risk.WRITE_DISK,
    timeout=MAX_TIMEOUT,
    flat=True,
    errors=PLACE_CODES | SOURCE_CODES | FILE_CODES,
    preview=preview_model,
)
async def download_model(call: Call, request: DownloadModel) -> dict[str, Any]:
    """Download one model; returns when it is complete."""
    plan, service = _agreed(call), downloads_of(call)
    if plan is not None:
        run = plan.run
    else:
        run = await service.prepare_one(request.model_name, request.model_def, overwrite=request.overwrite)
    await service.launch(run, None if plan is None else plan.agreed, _program_of(call))
    return await ended(run, call.timeout)


@command(
    "download_status",
    response=schemas.Download,
    risk=Risk.READ,
    method="GET",
    path="download_status/{download_id}",
    flat=True,
    errors={"unknown_download"},
)
async def download_status(call: Call, request: DownloadId) -> dict[str, Any]:
    """Return the progress of a download: sizes in bytes, speed in bytes per second, times in seconds."""
    return {**downloads_of(call).status(request.download_id), "download_id": request.download_id}


@command("downloads", response=schemas.Downloads, risk=Risk.READ, method="GET")
async def downloads(call: Call, request: Request) -> dict[str, Any]:
    """List all downloads, including those left unfinished when ComfyUI last stopped."""
    listed = downloads_of(call).listed()
    return {"downloads": [{"download_id": run_id, **entry} for run_id, entry in listed.items()]}


@command("download_cancel", response=schemas.DownloadState, risk=Risk.WRITE_DISK, flat=True, errors=STOP_CODES)
async def download_cancel(call: Call, request: DownloadPart) -> dict[str, Any]:
    """Cancel a download or one of its models, and delete its partial files."""
    run = await downloads_of(call).stop(request.download_id, request.model_name, ItemState.CANCELLED)
    return {"download_id": run.id, "state": run.state.value}


@command("download_pause", response=schemas.DownloadState, risk=Risk.WRITE_DISK, flat=True, errors=STOP_CODES)
async def download_pause(call: Call, request: DownloadPart) -> dict[str, Any]:
    """Pause a download or one of its models, and keep its partial files."""
    run = await downloads_of(call).stop(request.download_id, request.model_name, ItemState.PAUSED)
    return {"download_id": run.id, "state": run.state.value}


@command(
    "download_resume",
    response=schemas.DownloadState,
    risk=Risk.WRITE_DISK,
    flat=True,
    errors=STOP_CODES,
    preview=preview_resumed,
)
async def download_resume(call: Call, request: DownloadPart) -> dict[str, Any]:
    """Resume a download or one of its models that was paused, cancelled, failed, or interrupted by a restart."""
    plan = _agreed(call)
    run = downloads_of(call).run(request.download_id)
    run.program = _program_of(call)
    await downloads_of(call).resume(run.id, request.model_name, None if plan is None else plan.agreed)
    return {"download_id": run.id, "state": run.state.value}


@command(
    "model_status",
    response=schemas.ModelPresence,
    risk=Risk.READ,
    method="GET",
    # (?s:…) as in server.py.
    path="model_status/{model_name:(?s:.+)}",
    flat=True,
)
async def model_status(call: Call, request: ModelName) -> dict[str, Any]:
    """Report whether a model is present and usable, is being downloaded, or neither."""
    service = downloads_of(call)
    folder, _, rest = request.model_name.partition("/")
    found = await asyncio.to_thread(service.places.find_anywhere, request.model_name)
    if found is None and rest and service.places.is_known(folder):
        path = await asyncio.to_thread(service.places.find, folder, rest)
        found = (folder, path) if path is not None else None
    there: dict[str, Any] = {}
    if found is not None:
        damage = await service.presence.damage(found[1])
        size = await asyncio.to_thread(os.path.getsize, found[1])
        there = {"path": found[1], "type": found[0], "size": size}
        if damage is None:
            return {"status": "success", "exists": True, **there}
        there.update(status="damaged", damage=damage.message)
    fetched = service.find_item(request.model_name)
    if fetched is None:
        return {"status": "not_found", "exists": False, **there}
    run, item = fetched
    began = run.started
    return {
        "status": "downloading",
        "exists": False,
        "progress": item.to_dict(),
        "download_id": run.id,
        "started": began,
        "elapsed": steady_time() - began,
    }


# The saved URLs are shown only to programs that may also change them.
@command(
    "model_urls", response=schemas.UrlMap, risk=Risk.WRITE_DISK, kind=Kind.READ, method="GET", errors={"storage_failed"}
)
async def model_urls(call: Call, request: Request) -> dict[str, Any]:
    """List the saved URLs of models by name."""
    # Imported at first use: ComfyUI waits for every extension to import, and this file is imported at startup.
    from ..jobs.source_choice import cleaned_entry

    return {"urls": {name: cleaned_entry(entry) for name, entry in (await load_stored_urlmap()).items()}}


@command(
    "add_model_url",
    response=schemas.Added,
    risk=Risk.WRITE_DISK,
    flat=True,
    errors={"bad_path", "host_refused", "storage_failed"},
    preview=preview_url,
)
async def add_model_url(call: Call, request: AddModelUrl) -> dict[str, Any]:
    """Save the URL of a model."""
    model_def = {"url": request.url, "directory": request.directory}
    if request.sha256 is not None:
        model_def["sha256"] = request.sha256.lower()
    await downloads_of(call).save_urls({request.model_name: model_def})
    return {"model_def": (await load_stored_urlmap())[request.model_name]}


@command(
    "remove_model_url",
    response=schemas.Forgotten,
    risk=Risk.WRITE_DISK,
    flat=True,
    errors={"unknown_model", "storage_failed"},
)
async def remove_model_url(call: Call, request: RemoveModelUrl) -> dict[str, Any]:
    """Remove the saved URL of a model."""
    if not await url_map.remove_model_url(request.model_name):
        raise UiapiError("unknown_model", f"No URL is saved for {request.model_name!r}.")
    return {"model_name": request.model_name}


@command(
    "get_model_url",
    response=schemas.GivenUrls,
    tab_response=dict[str, Any],
    risk=Risk.WRITE_DISK,
    timeout=DEFAULT_TIMEOUT,
    flat=True,
    tab=True,
    asks=True,
    errors={"bad_path", "host_refused", "storage_failed"},
)
async def get_model_url(call: Call, request: GetModelUrl) -> dict[str, Any]:
    """Ask the person at the browser for the URLs of one or more models, and save them."""
    if not request.model_names and not request.model_name:
        raise UiapiError("invalid", "get_model_url: name the model in model_name, or several in model_names.")
    # Older pages know only the older spellings.
    asked = {"ckpt_names": request.model_names} if request.model_names else {"ckpt_name": request.model_name}
    call.notify_waiting("url")
    answer = await call.tab("get_model_url", asked)
    if request.model_names:
        given = given_by(answer)
        await downloads_of(call).save_urls(given)
        return {"urls": {name: entry if isinstance(entry, str) else entry["url"] for name, entry in given.items()}}
    if not request.model_name or not answer.get("url"):
        raise UiapiError("declined", f"The person gave no URL for {request.model_name}.")
    await downloads_of(call).save_urls(given_by({**answer, "urls": {request.model_name: answer["url"]}}))
    return {"url": answer["url"], "model_type": answer.get("model_type") or "checkpoints"}


@command(
    "clear_nonexistant_models",
    response=schemas.Cleared,
    tab_response=dict[str, Any],
    risk=Risk.DRIVE,
    flat=True,
    tab=True,
    errors={"too_large"},
)
async def clear_nonexistant_models(call: Call, request: Request) -> dict[str, Any]:
    """Clear the widgets of the open workflow whose model file is missing, as one undo step."""
    opened = (await call.tab("get_workflow"))["workflow"]
    missing = await downloads_of(call).analysis.absent(opened)
    if not missing:
        return {"message": "All models of the workflow are present.", "cleared_count": 0, "cleared_fields": []}
    answer: dict[str, Any] = await call.tab("clear_nonexistant_models", {"missing": missing})
    return answer


@command(
    "relink_models",
    response=schemas.RelinkedModels,
    tab_response=schemas.RelinkedWidgets,
    risk=Risk.DRIVE,
    tab=True,
    errors={"too_large", "unknown_model"},
)
async def relink_models(call: Call, request: RelinkModels) -> dict[str, Any]:
    """Set widgets whose model is present under another path to the one ComfyUI lists, as one undo step."""
    opened = (await call.tab("get_workflow"))["workflow"]
    found = await downloads_of(call).analysis.relinks(opened, request.choices)
    answer: dict[str, Any] = {"dry_run": request.dry_run, "relinked": []}
    if found.links:
        answer = await call.tab("relink_models", {"links": found.links, "dry_run": request.dry_run})
    return {**answer, "unchosen": found.unchosen}


async def ended(run: Run, timeout: float) -> dict[str, Any]:
    """Wait for a download of one model and return its path. UiapiError when it failed."""
    item = run.items[0]
    if run.task is not None:
        done, _ = await asyncio.wait({run.task}, timeout=timeout)
        if not done:
            raise UiapiError("timeout", f"{item.key} is still being downloaded; see download_status/{run.id}.")
    if item.failure is not None:
        raise item.failure.anew()
    if item.state is not ItemState.SUCCESS:
        raise UiapiError("cancelled", f"The download of {item.key} was {item.state}.", {"download_id": run.id})
    return {"status": "success", "path": item.path, "download_id": run.id}
