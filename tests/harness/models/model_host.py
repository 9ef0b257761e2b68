"""A scripted model host on loopback: it cuts connections, reports wrong lengths, refuses, redirects, changes files."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

REASONS = {200: "OK", 206: "Partial Content", 302: "Found", 307: "Temporary Redirect", 416: "Range Not Satisfiable"}
PIECE = 64 << 10


def model_bytes(size: int, seed: int = 1) -> bytes:
    """Return a safetensors file of exactly `size` bytes: one tensor of random bytes."""
    header, length = b"", 0
    while True:
        header = b'{"t":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (length, length)
        if 8 + len(header) + length == size:
            break
        length = size - 8 - len(header)
    return len(header).to_bytes(8, "little") + header + random.Random(seed).randbytes(length)  # noqa: S311


def onnx_bytes(weights: int) -> bytes:
    """Return an ONNX model with a tensor of `weights` bytes: version, producer, graph and operator set."""
    graph = field_bytes(1, b"a node") + field_bytes(2, b"main") + field_bytes(5, bytes(weights))
    made_by = field_bytes(2, b"pytorch") + field_bytes(3, b"2.9.0")
    return b"\x08\x0a" + made_by + field_bytes(7, graph) + field_bytes(8, b"\x0a\x00\x10\x14")


def field_bytes(number: int, content: bytes) -> bytes:
    """Return a protobuf field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Seen:
    """A request that was received."""

    path: str
    headers: dict[str, str]

    @property
    def range(self) -> tuple[int, int | None] | None:
        text = self.headers.get("range", "")
        if not text.startswith("bytes="):
            return None
        first, _, last = text.removeprefix("bytes=").partition("-")
        return int(first), int(last) if last else None


@dataclass
class Answer:
    """How the host answers one path.

    Attributes:
        data: the file.
        ranges: whether range requests are supported.
        heeds_conditions: whether If-Range is evaluated.
        cuts: how many body bytes each of the next requests gets before the connection is dropped; later ones get all.
        refusals: how each of the next requests is refused: a status, or (status, headers).
        length: a Content-Length to send instead of the true one.
        framing: how the end of a whole file is marked: "length", "chunked", or "close" (the connection ends).
        held: the body is sent when this event is set; None sends it at once.
        free: how many bytes of all bodies for the path are sent at once although it is held.
        rate: bytes per second of each connection, None for no limit.
        silent: requests get no answer.
        trickle: the beginning of an answer, which is followed by single bytes without end.
        before: bytes sent before the answer.
        flood: bytes that are sent without end, as fast as they are read.
        stalls: nothing is sent after the first piece of a file.
        most: the maximum bytes of each range, however many were requested.
    """

    data: bytes = b""
    etag: str | None = '"one"'
    ranges: bool = True
    heeds_conditions: bool = True
    content_type: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    cuts: list[int] = field(default_factory=list)
    refusals: list[int | tuple[int, dict[str, str]]] = field(default_factory=list)
    length: int | None = None
    framing: str = "length"
    held: asyncio.Event | None = None
    free: int = 0
    rate: float | None = None
    silent: bool = False
    trickle: bytes | None = None
    before: bytes = b""
    flood: bytes | None = None
    stalls: bool = False
    most: int | None = None
    on_request: Callable[[Seen], None] | None = None


class Host:
    """The host: `answers` by path, the received requests in `seen`, and the body bytes by path in `sent`."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[Seen] = []
        self.sent: dict[str, int] = {}
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.authority}{path}"

    def offer(self, path: str, data: bytes = b"", **how: Any) -> Answer:
        """Offer a file at a path; `how` sets further attributes of its Answer."""
        answer = Answer(data, **how)
        self.answers[path] = answer
        return answer

    def wanted(self, name: str, folder: str = "loras") -> dict[str, Any]:
        """Return the parameters of download_model for the file offered under this name."""
        model = {"url": self.url(f"/{name}"), "ckpt_type": folder, "sha256": sha256(self.answers[f"/{name}"].data)}
        return {"model_name": name, "model_def": model}

    def redirect(self, path: str, location: str, status: int = 302) -> None:
        self.offer(path, status=status, headers={"Location": location})

    def asked(self, path: str) -> list[Seen]:
        """Return the requests for a path, with or without a query."""
        return [seen for seen in self.seen if seen.path.partition("?")[0] == path]

    async def start(self, port: int = 0) -> Host:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The client has disconnected, or the test is over.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        pairs = (line.partition(":") for line in lines[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        seen = Seen(path, headers)
        self.seen.append(seen)
        answer = self.answers.get(path) or self.answers.get(path.partition("?")[0]) or Answer(status=404)
        if answer.on_request is not None:
            answer.on_request(seen)
        if answer.silent:
            await asyncio.Event().wait()
        writer.write(answer.before)
        if answer.trickle is not None:
            writer.write(answer.trickle)
        while answer.trickle is not None:
            writer.write(b"[")
            await writer.drain()
            await asyncio.sleep(0.05)
        while answer.flood is not None:
            writer.write(answer.flood)
            await writer.drain()
            self.sent[path] = self.sent.get(path, 0) + len(answer.flood)
        if answer.refusals:
            refusal = answer.refusals.pop(0)
            status, extra = refusal if isinstance(refusal, tuple) else (refusal, {})
            await self._head(writer, status, {"Content-Length": "0", **extra})
            return True
        if answer.status != 200:
            body = answer.data
            sent = {"Content-Type": answer.content_type, "Content-Length": str(len(body)), **answer.headers}
            await self._head(writer, answer.status, sent)
            writer.write(body if method != "HEAD" else b"")
            return True
        return await self._file(writer, method, answer, seen)

    async def _file(self, writer: asyncio.StreamWriter, method: str, answer: Answer, seen: Seen) -> bool:
        data, total = answer.data, len(answer.data)
        sent = {"Content-Type": answer.content_type, **answer.headers}
        if answer.etag is not None:
            sent["ETag"] = answer.etag
        status, start, end = 200, 0, total
        span = seen.range
        current = not answer.heeds_conditions or seen.headers.get("if-range") in (None, answer.etag)
        if span is not None and answer.ranges and current:
            if span[0] >= total:
                await self._head(writer, 416, {"Content-Range": f"bytes */{total}", "Content-Length": "0"})
                return True
            status, start = 206, span[0]
            end = total if span[1] is None else min(total, span[1] + 1)
            end = end if answer.most is None else min(end, start + answer.most)
            sent["Content-Range"] = f"bytes {start}-{end - 1}/{total}"
        length = end - start if answer.length is None else answer.length
        framing = answer.framing if status == 200 else "length"
        framed = {
            "length": {"Content-Length": str(length)},
            "chunked": {"Transfer-Encoding": "chunked"},
            "close": {"Connection": "close"},
        }
        await self._head(writer, status, {**framed[framing], **sent})
        if method == "HEAD":
            return True
        cut = answer.cuts.pop(0) if answer.cuts else None
        stop = end if cut is None else min(end, start + cut)
        path = seen.path.partition("?")[0]
        while start < stop:
            if answer.held is not None and self.sent.get(path, 0) >= answer.free:
                await answer.held.wait()
            piece = data[start : min(stop, start + PIECE)]
            self.sent[path] = self.sent.get(path, 0) + len(piece)
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece)
            await writer.drain()
            start += len(piece)
            if answer.stalls:
                await asyncio.Event().wait()
            if answer.rate is not None:
                await asyncio.sleep(len(piece) / answer.rate)
        if framing == "chunked" and cut is None:
            writer.write(b"0\r\n\r\n")
        # A connection that was cut, sent a wrong length, or marks the end by closing cannot be reused.
        return cut is None and answer.length is None and framing != "close"

    async def _head(self, writer: asyncio.StreamWriter, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Scripted')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode(errors="surrogateescape"))
        await writer.drain()
