"""The adapter to ComfyUI's internals; a change in ComfyUI needs changes in this file only.

Nothing is imported from ComfyUI: its modules are already loaded when it loads this package. Looking them up by name
keeps the package importable without ComfyUI, and its `server` module apart from ours.
"""

from __future__ import annotations

import asyncio
import copy
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientTimeout
from yarl import URL

from ...common.errors import UiapiError
from ...common.network import is_loopback
from ...common.shorten import cut_texts, sentence

# Binary event numbers of ComfyUI's protocol.py (BinaryEventTypes).
UNENCODED_PREVIEW_IMAGE = 2
PREVIEW_IMAGE_WITH_METADATA = 4

# ComfyUI checks the whole workflow before it answers, which takes a while for a large one.
QUEUE_TIMEOUT = ClientTimeout(total=60)

EventListener = Callable[[Any, Any], None]


def running_prompt_server() -> Any | None:
    """Return ComfyUI's PromptServer, or None if this package is imported outside ComfyUI."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)


class Comfy:
    """The running ComfyUI.

    Args:
        prompt_server: ComfyUI's PromptServer.
        folder_paths: its folder_paths module; looked up by default.
    """

    def __init__(self, prompt_server: Any, folder_paths: Any = None) -> None:
        self.prompt_server = prompt_server
        self.folder_paths: Any = folder_paths or sys.modules.get("folder_paths")

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that serves every request."""
        loop: asyncio.AbstractEventLoop = self.prompt_server.loop
        return loop

    @property
    def version(self) -> str:
        """ComfyUI's version, such as "0.3.75"; empty if unknown."""
        return getattr(sys.modules.get("comfyui_version"), "__version__", "")

    @property
    def node_classes(self) -> dict[str, type]:
        """The loaded node classes by type name."""
        return getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {})

    @property
    def node_titles(self) -> dict[str, str]:
        """The display names of node types, where they differ from the type name."""
        return getattr(sys.modules.get("nodes"), "NODE_DISPLAY_NAME_MAPPINGS", {})

    @property
    def beyond_loopback(self) -> bool:
        """Whether ComfyUI listens on an IP address that other machines can reach."""
        args = getattr(sys.modules.get("comfy.cli_args"), "args", None)
        listen = getattr(args, "listen", None)
        if listen is None:
            return False
        # An empty address means all interfaces.
        return not all(is_loopback(address.strip()) for address in listen.split(","))

    def input_directory(self) -> Path:
        """Return the directory in which LoadImage and similar nodes look for files."""
        return Path(self.folder_paths.get_input_directory())

    def directory_of(self, kind: str) -> Path | None:
        """Return the directory of a file's `type`: "output", "temp" or "input"; None for any other type."""
        getter = {
            "output": self.folder_paths.get_output_directory,
            "temp": self.folder_paths.get_temp_directory,
            "input": self.folder_paths.get_input_directory,
        }.get(kind)
        return Path(getter()) if getter else None

    def user_directory(self) -> Path:
        """Return the directory of the settings and workflows of people and extensions."""
        return Path(self.folder_paths.get_user_directory())

    def pack_roots(self) -> list[Path]:
        """Return the directories from which ComfyUI loads packs of custom nodes."""
        return [Path(root) for root in self.folder_paths.get_folder_paths("custom_nodes")]

    def state_directory(self) -> Path:
        """Return this package's directory in ComfyUI's user directory, which ComfyUI does not serve over HTTP."""
        if hasattr(self.folder_paths, "get_system_user_directory"):
            return Path(self.folder_paths.get_system_user_directory("uiapi"))
        return self.user_directory() / "__uiapi"

    # -- the process ------------------------------------------------------------------------------------

    def devices(self) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Return the devices that ComfyUI computes on with their memory, and the main memory, in bytes.

        It asks the driver and may block, so call it on a thread.
        """
        management = sys.modules.get("comfy.model_management")
        if management is None:
            return [], {}
        device, main = management.get_torch_device(), management.torch.device("cpu")
        known = {
            "name": management.get_torch_device_name(device),
            "type": device.type,
            "index": device.index,
            "vram_total": int(management.get_total_memory(device)),
            "vram_free": int(management.get_free_memory(device)),
        }
        memory = {
            "ram_total": int(management.get_total_memory(main)),
            "ram_free": int(management.get_free_memory(main)),
        }
        return [known], memory

    @property
    def torch_version(self) -> str:
        """The version of PyTorch; empty if unknown."""
        return str(getattr(sys.modules.get("torch"), "__version__", ""))

    def log_entries(self) -> list[dict[str, Any]]:
        """Return what ComfyUI wrote last, as pieces of text under "m" with their time under "t"."""
        logger = sys.modules.get("app.logger")
        entries = logger.get_logs() if logger is not None else None
        # Other threads write to it meanwhile; a copy of a deque does not let go of the interpreter.
        return list(entries or ())

    # -- ComfyUI's own websocket -------------------------------------------------------------------------

    def sockets(self) -> dict[str, Any]:
        """Return ComfyUI's open websockets by clientId; because of ComfyUI's design a stale one can hide a live one."""
        sockets: dict[str, Any] = self.prompt_server.sockets
        return sockets

    @staticmethod
    def agent_of(socket: Any) -> str | None:
        """Return the User-Agent of a websocket; None if aiohttp does not provide it."""
        request = getattr(socket, "_req", None)
        return None if request is None else request.headers.get("User-Agent", "")

    async def send_event(self, event: str, data: dict[str, Any], sid: str) -> None:
        """Send an event over ComfyUI's own websocket to the page with that clientId."""
        await self.prompt_server.send_json(event, data, sid)

    # -- executions ---------------------------------------------------------------------------------------

    def tap(self, listener: EventListener) -> Callable[[], None]:
        """Call `listener(event, data)` for every event ComfyUI sends its pages, on the sending thread.

        ComfyUI has no hook for this, so its `send_sync` is wrapped on the instance; the original is called first,
        with the same arguments. Returns a function that removes the wrapper.
        """
        original = self.prompt_server.send_sync

        def send_sync(event: Any, data: Any, sid: str | None = None) -> None:
            original(event, data, sid)
            listener(event, data)

        def untap() -> None:
            if self.prompt_server.send_sync is send_sync:
                self.prompt_server.send_sync = original

        self.prompt_server.send_sync = send_sync
        return untap

    async def queue_prompt(self, prompt: dict[str, Any], targets: list[str] | None = None) -> dict[str, Any]:
        """Queue an API-format workflow; with `targets`, only these output nodes and what they need. See `submit`."""
        # ComfyUI sends the events of a run only to the client that queued it. No page has this id; the tap gets all.
        body: dict[str, Any] = {"prompt": prompt, "client_id": "uiapi"}
        if targets is not None:
            body["partial_execution_targets"] = targets
        return await self.submit({"json": body})

    async def queue_body(self, body: bytes) -> dict[str, Any]:
        """Queue what a page would have submitted, as JSON; see `submit`."""
        return await self.submit({"data": body, "headers": {"Content-Type": "application/json"}})

    async def submit(self, content: dict[str, Any]) -> dict[str, Any]:
        """Queue a prompt over ComfyUI's own HTTP API, which is more stable than its internals.

        Returns prompt_id, number and node_errors. Raises UiapiError `execution_failed` if ComfyUI refuses it.
        """
        args = getattr(sys.modules.get("comfy.cli_args"), "args", None)
        secure = bool(getattr(args, "tls_keyfile", None) and getattr(args, "tls_certfile", None))
        address = self.prompt_server.address
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
        url = URL.build(scheme="https" if secure else "http", host=host, port=self.prompt_server.port, path="/prompt")
        # The certificate is not for the loopback address that is used here.
        asked = self.prompt_server.client_session.post(url, ssl=False, timeout=QUEUE_TIMEOUT, **content)
        try:
            async with asked as response:
                answer: dict[str, Any] = await response.json()
        except (ClientError, asyncio.TimeoutError, ValueError) as error:
            # A workflow can make ComfyUI fail with an answer that is not JSON.
            raise UiapiError(
                "execution_failed",
                "ComfyUI gave no valid answer about the workflow; check its log and its queue.",
                {"reason": f"{type(error).__name__}: {error}"},
            ) from None
        if response.status != 200:
            errors = answer.get("node_errors") or {}
            said = answer.get("error") or {}
            details = {"error": cut_texts(said), "node_errors": cut_texts(errors)}
            raise UiapiError("execution_failed", sentence(_refusal(said, errors)), details)
        return {key: answer.get(key) for key in ("prompt_id", "number", "node_errors")}

    def history_of(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the history entry of a finished execution, or None if there is none; do not change it."""
        # get_history() would deep-copy the whole prompt on the event loop; an entry does not change any more.
        entry: dict[str, Any] | None = self.prompt_server.prompt_queue.history.get(prompt_id)
        return entry

    def queued_ids(self) -> set[str]:
        """Return the ids of all waiting and running prompts; call it once for many, since it copies the queue."""
        running, waiting = self.prompt_server.prompt_queue.get_current_queue_volatile()
        return {item[1] for item in (*running, *waiting)}

    def queued_prompts(self) -> list[Any]:
        """Return the running and waiting prompts in API format; do not change them."""
        running, waiting = self.prompt_server.prompt_queue.get_current_queue_volatile()
        return [item[2] for item in (*running, *waiting)]

    def prompt_of(self, prompt_id: str) -> dict[str, Any]:
        """Return a running prompt in API format, empty if it is not running; do not change it."""
        running, _ = self.prompt_server.prompt_queue.get_current_queue_volatile()
        return next((item[2] for item in running if item[1] == prompt_id), {})

    def queued(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the running and the waiting prompts, each with prompt_id, number and its number of nodes."""
        running, waiting = self.prompt_server.prompt_queue.get_current_queue_volatile()
        return [_brief(item) for item in running], [_brief(item) for item in sorted(waiting, key=lambda item: item[0])]

    def cancel(self, prompt_id: str) -> bool:
        """Remove a waiting prompt from the queue. Returns False if it is not waiting."""
        return bool(self.prompt_server.prompt_queue.delete_queue_item(lambda item: item[1] == prompt_id))

    def clear_queue(self) -> None:
        """Remove all waiting prompts from the queue."""
        self.prompt_server.prompt_queue.wipe_queue()

    def set_flag(self, name: str) -> None:
        """Set a flag that ComfyUI's executor takes when no prompt is running: "unload_models" or "free_memory".

        It ignores all others, so that one more shows when the executor is done with those before.
        """
        self.prompt_server.prompt_queue.set_flag(name, True)

    def is_flagged(self, name: str) -> bool:
        """Whether the executor has yet to take a flag."""
        return name in self.prompt_server.prompt_queue.get_flags(reset=False)

    def interrupt(self) -> None:
        """Ask the running prompt to stop."""
        sys.modules["nodes"].interrupt_processing()

    def interrupt_only(self, prompt_ids: Collection[str]) -> bool:
        """Ask the running prompt to stop if it is one of these. Returns whether it was."""
        # ComfyUI takes the next prompt under this lock, and resets the request to stop before it runs that one.
        with self.prompt_server.prompt_queue.mutex:
            running, _ = self.prompt_server.prompt_queue.get_current_queue_volatile()
            if not any(item[1] in prompt_ids for item in running):
                return False
            self.interrupt()
            return True

    async def validate(self, prompt_id: str, prompt: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Validate an API-format workflow in ComfyUI. Returns (valid, error, errors by node)."""
        # ComfyUI writes converted values into the prompt.
        checked = await sys.modules["execution"].validate_prompt(prompt_id, copy.deepcopy(prompt), None)
        return checked[0], checked[1], checked[3]

    def running_prompt_id(self) -> str | None:
        """Return the id of the prompt that ComfyUI started last."""
        return getattr(self.prompt_server, "last_prompt_id", None)


def _refusal(said: Any, errors: dict[str, Any]) -> str:
    """Return the sentence about a prompt that ComfyUI refused, as the page words it (web/page/run_queue.js)."""
    if not errors:
        return f"ComfyUI refused the workflow: {_words(said)}."
    node_id, failed = next(iter(errors.items()))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    problem: Any = next(iter(failed.get("errors") or ()), {})
    return f"ComfyUI refused node #{node_id} ({failed.get('class_type')}): {_words(problem)}{more}."


def _words(problem: Any) -> str:
    """Return what ComfyUI says about a problem."""
    said = [problem.get("message"), problem.get("details")] if isinstance(problem, dict) else [problem]
    return ": ".join(str(part) for part in said if part) or "it gave no reason"


def _brief(item: tuple[Any, ...]) -> dict[str, Any]:
    return {"prompt_id": item[1], "number": item[0], "nodes": len(item[2])}


def names_of(node: Any) -> tuple[str | None, str | None]:
    """Return the title and type of an API-format node; None for each that is not a string."""
    if not isinstance(node, dict):
        return None, None
    meta = node.get("_meta")
    names = (meta.get("title") if isinstance(meta, dict) else None, node.get("class_type"))
    title, node_type = (name if isinstance(name, str) else None for name in names)
    return title, node_type
