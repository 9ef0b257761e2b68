"""The connection of a worker to its ComfyUI: HTTP, and one websocket that says when a prompt has ended."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from socket import gethostname
from typing import Any
from uuid import uuid4

import aiohttp
from yarl import URL

from ...common.command_table import route
from ...common.errors import UiapiError
from ...common.tasks import end, first_of
from ...protocol.address import Address
from ...protocol.requests import CONNECT_TIMEOUT, answered, asked, value_of
from ...transport.websocket import opened
from .catalog import Catalog
from .history import refusal_of

# Seconds that a ComfyUI may take to answer: it does not answer while it loads a model or a pack.
ANSWER_TIMEOUT = 120.0
# Seconds between two looks at a prompt whose end no event has announced.
LOOK_INTERVAL = 5.0
# Attempts to connect, and the seconds between them, after which a ComfyUI counts as ended.
ATTEMPTS, ATTEMPT_INTERVAL = 4, 0.25
# Bytes of JSON from which it is parsed on a thread.
LARGE = 100_000
# With these a proxy says that its ComfyUI is away.
AWAY = frozenset({502, 503, 504})
# ComfyUI sends this when a prompt is in its history, and the others shortly before.
ENDED = "executing"
ENDING = frozenset({"execution_success", "execution_error", "execution_interrupted"})


class Lost(Exception):
    """ComfyUI has ended, or was restarted: what it had queued is lost."""


class Removed(Exception):
    """Somebody removed the prompt from ComfyUI's queue."""


class Refused(Exception):
    """ComfyUI refused a prompt; `answer` says why."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(refusal_of(answer)["message"])
        self.answer = answer


class ComfyUI:
    """One ComfyUI. Use it in `async with`, which connects; entering raises Lost if it does not respond.

    Args:
        address: its URL and how to authenticate.
        listen: whether a websocket is kept open; without one, prompts are looked at again and again.

    Attributes:
        lost: set once it has ended. It stays set: the next connection is another object.
    """

    def __init__(self, address: Address, *, listen: bool = True) -> None:
        self.address = address
        self.lost = asyncio.Event()
        self._listen = listen
        self._session: aiohttp.ClientSession | None = None
        self._socket_id = uuid4().hex
        self._listening: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        # How many websockets have ended, since a restart of ComfyUI ends one.
        self._connection = 0
        self._changed: dict[str, asyncio.Event] = {}
        self._catalog: Catalog | None = None
        self._uploaded: set[str] = set()
        self._mark = hashlib.sha256(f"{gethostname()} {address.url}".encode()).hexdigest()[:8]

    async def __aenter__(self) -> ComfyUI:
        self._session = opened()
        try:
            await self.get("/system_stats")
            if self._listen:
                self._listening = asyncio.create_task(self._keep_listening(), name="uiapi farm websocket")
                await first_of(self.lost.wait(), self._connected.wait())
                if self.lost.is_set():
                    raise Lost
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await end([listening])
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # -- prompts --------------------------------------------------------------------------------------------

    async def queue(self, prompt_id: str, prompt: Mapping[str, Any], workflow: Mapping[str, Any] | None) -> str:
        """Queue a prompt; returns its ID. An older ComfyUI chooses another one.

        Raises Refused because of the prompt, UiapiError because of this ComfyUI, or Lost.
        """
        body = {
            "prompt": prompt,
            "prompt_id": prompt_id,
            "client_id": self._socket_id,
            "extra_data": {"extra_pnginfo": {"workflow": workflow}} if workflow else {},
        }
        data = await _encoded(body)
        self._changed.setdefault(prompt_id, asyncio.Event())
        for _ in range(ATTEMPTS):
            try:
                status, content = await self._send("POST", "/prompt", data=data)
                break
            except (aiohttp.ClientError, asyncio.TimeoutError):
                # It may have arrived.
                await asyncio.sleep(ATTEMPT_INTERVAL)
                if await self.find(prompt_id) is not None:
                    return prompt_id
        else:
            self._lose()
            raise Lost
        answer = _object(await _decoded(content))
        if status == 200 and isinstance(answer.get("prompt_id"), str):
            return str(answer["prompt_id"])
        if status == 400 and answer:
            raise Refused(answer)
        raise self._failed("/prompt", status)

    async def follow(self, prompt_id: str) -> dict[str, Any]:
        """Returns the entry of a queued prompt in the history, once it has ended. Raises Lost or Removed."""
        changed = self._changed.setdefault(prompt_id, asyncio.Event())
        connection = self._connection
        try:
            while True:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(changed.wait(), LOOK_INTERVAL if self._listen else ATTEMPT_INTERVAL)
                changed.clear()
                if self.lost.is_set():
                    raise Lost
                found = await self.find(prompt_id)
                if found is None:
                    raise Removed if connection == self._connection else Lost
                if found:
                    return found
        finally:
            self._changed.pop(prompt_id, None)

    async def find(self, prompt_id: str) -> dict[str, Any] | None:
        """Returns the entry of a prompt in the history, an empty one while it is queued or runs, None if there is none.

        Raises Lost.
        """
        for _ in range(2):
            history = _object(await self._json(f"/history/{prompt_id}"))
            if prompt_id in history:
                return _object(history[prompt_id])
            waiting, running = await self._queued()
            if prompt_id in waiting or prompt_id in running:
                return {}
            # It may have ended between the two questions.
        return None

    async def withdraw(self, prompt_id: str) -> None:
        """Remove a prompt from the queue, and interrupt it if it is the one that runs. Raises Lost."""
        for _ in range(ATTEMPTS):
            if await self.take_back(prompt_id):
                break
            # Older versions ignore the ID, and interrupt what runs. A run that just begins overlooks it.
            await self._post("/interrupt", {"prompt_id": prompt_id})
            await asyncio.sleep(ATTEMPT_INTERVAL)
        self._note(prompt_id)

    async def take_back(self, prompt_id: str) -> bool:
        """Remove a prompt from the queue unless it runs already; returns whether it does not run. Raises Lost."""
        await self._post("/queue", {"delete": [prompt_id]})
        _, running = await self._queued()
        return prompt_id not in running

    async def _queued(self) -> tuple[set[str], set[str]]:
        """Returns the IDs of the prompts that wait, and of those that run."""
        found = _object(await self._json("/queue"))
        waiting, running = (found.get(f"queue_{name}") or () for name in ("pending", "running"))
        return {str(one[1]) for one in waiting}, {str(one[1]) for one in running}

    # -- files and models -----------------------------------------------------------------------------------

    async def catalog(self, fresh: bool = False) -> Catalog:
        """Returns its node types; `fresh` if models may have come since. Raises Lost."""
        if self._catalog is None or fresh:
            content = await self.get("/object_info")
            self._catalog = await asyncio.to_thread(lambda: Catalog(_object(json.loads(content))))
        return self._catalog

    async def upload(self, name: str, content: bytes) -> str:
        """Store an input file under a name that begins with the digest of its content; returns the name for a prompt.

        No other ComfyUI uses that name: if two share a folder, one could read what the other is writing.

        Raises Lost, or UiapiError if ComfyUI does not store it.
        """
        digest, dot, suffix = name.partition(".")
        name = f"{digest}-{self._mark}{dot}{suffix}"
        if name not in self._uploaded:
            status, _ = await self._retried("POST", "/upload/image", lambda: _form(name, content))
            if status != 200:
                raise UiapiError("storage_failed", f"{self.address.url} did not store an input (HTTP {status}).")
            self._uploaded.add(name)
        return f"uiapi/{name}"

    async def get(self, path: str) -> bytes:
        """Returns the content at a path. Raises Lost, or UiapiError `not_found` and `fetch_failed`."""
        status, content = await self._retried("GET", path)
        if status == 200:
            return content
        raise self._failed(path, status)

    def _failed(self, path: str, status: int) -> UiapiError:
        code = "not_found" if status == 404 else "fetch_failed"
        return UiapiError(code, f"{self.address.url}{path} returned HTTP {status}; check its log.", status=status)

    async def command(self, name: str, data: Mapping[str, Any]) -> Any:
        """Send a command of this extension; returns its response. Raises Lost or UiapiError."""
        sending = asked(name, data)
        method = "GET" if sending.body is None else "POST"
        own = {"timeout": sending.patience, "away": frozenset[int]()}
        status, content = await self._retried(method, sending.path, lambda: sending.body, **own)
        return value_of(answered(sending, status, content, self.address.url), route(name))

    # -- connections ----------------------------------------------------------------------------------------

    async def _json(self, path: str) -> Any:
        try:
            return await _decoded(await self.get(path))
        except UiapiError as error:
            # Something else answers here now, such as a proxy whose ComfyUI has ended.
            raise Lost from error

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        data = await _encoded(body)
        await self._retried("POST", path, lambda: data)

    async def _retried(
        self, method: str, path: str, body: Callable[[], Any] = lambda: None, **how: Any
    ) -> tuple[int, bytes]:
        """Sends a request that can be repeated. Raises Lost if it does not get through."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._send(method, path, data=body(), **how)
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                if attempt == ATTEMPTS - 1:
                    self._lose()
                    raise Lost from error
                await asyncio.sleep(ATTEMPT_INTERVAL)
        raise Lost

    async def _send(
        self,
        method: str,
        path: str,
        *,
        data: Any,
        timeout: float = ANSWER_TIMEOUT,
        away: frozenset[int] = AWAY,
    ) -> tuple[int, bytes]:
        if self._session is None or self.lost.is_set():
            raise Lost
        headers = self.address.headers
        if isinstance(data, bytes):
            headers = {**headers, "Content-Type": "application/json"}
        async with self._session.request(
            method,
            URL(f"{self.address.url}{path}", encoded=True),
            data=data,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT),
            allow_redirects=False,
            proxy=self.address.proxy,
        ) as response:
            if response.status in away:
                raise aiohttp.ClientConnectionError(f"HTTP {response.status}")
            return response.status, await response.read()

    async def _keep_listening(self) -> None:
        """Keep a websocket open. All prompts are looked at after it was lost, since events may be missing."""
        failures = 0
        while failures < ATTEMPTS:
            try:
                await self._listen_once()
                failures = 0
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
                failures += 1
            for prompt_id in self._changed:
                self._note(prompt_id)
            await asyncio.sleep(ATTEMPT_INTERVAL)
        self._lose()

    async def _listen_once(self) -> None:
        if self._session is None:
            raise aiohttp.ClientError
        url = f"ws{self.address.url.removeprefix('http')}/ws?clientId={self._socket_id}"
        connecting = self._session.ws_connect(
            url, headers=self.address.headers, proxy=self.address.proxy, max_msg_size=0, heartbeat=ANSWER_TIMEOUT
        )
        socket = await asyncio.wait_for(connecting, ANSWER_TIMEOUT)
        try:
            self._connected.set()
            # Also after a reconnection, in which events may have been lost.
            for prompt_id in self._changed:
                self._note(prompt_id)
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    self._take(message.data)
        finally:
            self._connection += 1
            await socket.close()

    def _take(self, text: str) -> None:
        try:
            message = _object(json.loads(text))
        except ValueError:
            return
        kind, data = message.get("type"), _object(message.get("data"))
        prompt_id = data.get("prompt_id")
        if prompt_id not in self._changed:
            return
        if kind == ENDED and data.get("node") is None:
            self._note(prompt_id)
        elif kind in ENDING:
            # Should ComfyUI not send the other event.
            asyncio.get_running_loop().call_later(ATTEMPT_INTERVAL, self._note, prompt_id)

    def _note(self, prompt_id: str) -> None:
        changed = self._changed.get(prompt_id)
        if changed is not None:
            changed.set()

    def _lose(self) -> None:
        self.lost.set()
        for prompt_id in self._changed:
            self._note(prompt_id)


def _form(name: str, content: bytes) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("image", content, filename=name, content_type="application/octet-stream")
    for field, value in (("type", "input"), ("subfolder", "uiapi"), ("overwrite", "true")):
        form.add_field(field, value)
    return form


async def _encoded(value: Any) -> bytes:
    return await asyncio.to_thread(lambda: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


async def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content) if len(content) < LARGE else await asyncio.to_thread(json.loads, content)
    except ValueError:
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
