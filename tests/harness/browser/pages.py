"""A page that tries every kind of request to a server without a person's help, and the results."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from comfyui_uiapi.tests.harness.browser.tab import until
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from playwright.async_api import Page

# The ways of fetch: with and without a content type that makes the browser ask the server first, with a token, and
# without access to the response.
WAYS = ("json", "token", "text", "blind")
# Each request names its way in its URL, and is refused as invalid once it is admitted.
TRY = """async ([url, token]) => {
    const to = way => `${url}/uiapi/load_workflow?by=${way}`, body = JSON.stringify({nonsense: 1})
    const seen = (way, options) => fetch(to(way), {method: 'POST', body, ...options})
        .then(async answer => answer.type === 'opaque' ? 'opaque' : (await answer.json()).code, () => 'nothing')
    const json = {'Content-Type': 'application/json'}
    const socket = new Promise(resolve => {
        const ws = new WebSocket(url.replace('http', 'ws') + '/uiapi/ws?by=socket'), answers = {}
        const ask = (id, command) => ws.send(JSON.stringify({type: 'request', id, command, data: {nonsense: 1}}))
        ws.onopen = () => ws.send(JSON.stringify({type: 'hello', role: 'client', protocol: 1, token}))
        ws.onerror = () => resolve('nothing')
        ws.onmessage = ({data}) => {
            const frame = JSON.parse(data)
            if (answers.type === undefined) {
                answers.type = frame.type
                if (frame.type !== 'welcome') return resolve(answers)
                ask('drive', 'load_workflow')
                ask('disk', 'add_model_url')
            } else if (frame.type === 'response') answers[frame.id] = frame.code
            if ('drive' in answers && 'disk' in answers) resolve(answers)
        }
    })
    const frame = document.createElement('iframe')
    frame.name = 'target'
    const form = document.createElement('form')
    Object.assign(form, {method: 'POST', enctype: 'text/plain', target: 'target', action: to('form')})
    const input = document.createElement('input')
    Object.assign(input, {name: '{"nonsense": 1, "client_id": "', value: '"}'})
    form.append(input)
    document.documentElement.append(frame, form)
    const sent = new Promise(resolve => (frame.onload = resolve))
    form.submit()
    await sent
    return {
        json: await seen('json', {headers: json}),
        token: await seen('token', {headers: {...json, Authorization: `Bearer ${token}`}}),
        text: await seen('text', {}),
        blind: await seen('blind', {mode: 'no-cors'}),
        socket: await socket,
    }
}"""


class Attempts:
    """The attempts of a page.

    Attributes:
        seen: what the page got to see of each way.
    """

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        # By the browser's id of each request, since the browser may report a result before the request.
        self._ways: dict[str, str] = {}
        self._codes: dict[str, int] = {}

    async def of(self, page: Page, url: str, token: str) -> Attempts:
        """Have the page try everything with the server at that address."""
        watching = await page.context.new_cdp_session(page)
        await watching.send("Network.enable")
        watching.on("Network.requestWillBeSent", self._asked)
        watching.on("Network.responseReceivedExtraInfo", self._answered)
        watching.on("Network.webSocketCreated", self._opened)
        watching.on("Network.webSocketHandshakeResponseReceived", self._shaken)
        watching.on("Network.webSocketFrameError", self._refused)
        self.seen = await asyncio.wait_for(page.evaluate(TRY, [url, token]), PATIENCE)
        return self

    @property
    def statuses(self) -> dict[str, int]:
        """The status of each way, as the browser saw it; missing ways were never sent."""
        return {way: self._codes[ident] for ident, way in self._ways.items() if ident in self._codes}

    async def reported(self, ways: Iterable[str]) -> dict[str, int]:
        """The statuses, once those of these ways are known; the browser may report them later than the page."""

        async def known() -> bool:
            return self.statuses.keys() >= {*ways}

        await until(known, f"answers to {[*ways]}", PATIENCE)
        return self.statuses

    def _asked(self, event: dict[str, Any]) -> None:
        [way] = parse_qs(urlsplit(event["request"]["url"]).query).get("by", [""])
        # A preflight request is not an attempt.
        if way and event["request"]["method"] == "POST":
            self._ways[event["requestId"]] = way

    def _answered(self, event: dict[str, Any]) -> None:
        self._codes[event["requestId"]] = event["statusCode"]

    def _opened(self, event: dict[str, Any]) -> None:
        if event["url"].endswith("?by=socket"):
            self._ways[event["requestId"]] = "socket"

    def _shaken(self, event: dict[str, Any]) -> None:
        self._codes[event["requestId"]] = event["response"]["status"]

    def _refused(self, event: dict[str, Any]) -> None:
        # "Error during WebSocket handshake: Unexpected response code: 403"
        code = event["errorMessage"].rpartition(": ")[2]
        if code.isdecimal():
            self._codes[event["requestId"]] = int(code)
