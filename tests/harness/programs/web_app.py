"""Requests of a web app, as a browser sends them, and the person's answers to the questions about it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

APP = "https://app.example"
# What a browser sends along with a script's request to another site.
SCRIPT = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
READ = {"fields": ["Canvas.width"]}


async def read(server: Any, origin: str = APP, **headers: str) -> tuple[int, dict[str, Any]]:
    """Read a field as a page of that origin."""
    status, body = await server.post("get_fields", READ, headers={"Origin": origin, **SCRIPT, **headers})
    return status, body


async def code(answer: Awaitable[tuple[int, dict[str, Any]]]) -> str:
    """The code of a refusal, which is 403, or that there was none."""
    status, body = await answer
    assert (status == 403) == ("code" in body), (status, body)
    return str(body.get("code", "let in"))


def decides(person: Any, decision: str | None) -> None:
    """What the person answers from now on."""
    person.on("approve_web_app", {"decision": decision})


def asked(person: Any) -> list[str]:
    """The origins that the person was asked about."""
    return [frame["data"]["origin"] for frame in person.requests if frame["command"] == "approve_web_app"]


async def question(person: Any) -> dict[str, Any]:
    """The next question."""
    while True:
        frame = await person.next()
        if frame["command"] == "approve_web_app":
            return dict(frame)


async def allow(server: Any, person: Any, origin: str = APP) -> None:
    """Have the person allow that origin."""
    decides(person, "allow")
    assert await code(read(server, origin)) == "let in"
