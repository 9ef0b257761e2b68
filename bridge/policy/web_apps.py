"""Web apps: pages from elsewhere that the person has been asked about, with their decisions and rules for each.

A web app is known by its origin, which the browser sends and a page cannot change. Until the person allows an origin,
nothing that it requests is carried out. An origin raises one question at most, and its requests wait a while for the
answer. Decisions are kept in ComfyUI's user directory; only a connected tab can change them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from ...common.clock import steady_time
from ...common.errors import UiapiError, waiting_for_person, web_app_refused
from ...common.json_store import Damaged, read_json, set_aside, write_json
from ..protocol.command_spec import DEFAULT_TIMEOUT, Kind, Risk, tab_command
from ..tabs.registry import Webuis
from .origins import canonical_origin
from .rules import DECIDED, Rule, read_rules

log = logging.getLogger("uiapi")

# Seconds for which a request waits for the answer to the question about its origin.
MAX_WAIT = 25.0
# Requests that wait at a time, and questions that are open at a time.
MAX_WAITING = 64
MAX_OPEN = 3
# Questions within PERIOD seconds that may end without permission; after that none is asked for a while.
MAX_IN_VAIN = 10
PERIOD = 3600.0
# Origins that are remembered.
MAX_APPS = 200

# The rules of a web app that has just been allowed.
FIRST_RULES = {kind: Rule.ALWAYS if kind is Kind.DOWNLOAD else Rule.ALLOW for kind in DECIDED}

tab_command(
    "approve_web_app",
    "Ask the person at the browser whether a web app may use this ComfyUI.",
    response=dict[str, Any],
    risk=Risk.READ,
    timeout=DEFAULT_TIMEOUT,
    route=False,
    asks=True,
)


class Decision(str, Enum):
    """The person's decision about a web app; `session` allows it until ComfyUI stops."""

    ALLOW = "allow"
    SESSION = "session"
    REFUSE = "refuse"


KEPT = frozenset({Decision.ALLOW, Decision.REFUSE})


class Closable(Protocol):
    """A websocket of a web app."""

    def close(self, code: int, reason: str) -> object:
        """Close it."""


@dataclass(eq=False)
class WebApp:
    """A web app that asked.

    Attributes:
        origin: its origin.
        decision: the person's decision; None while there is none.
        rules: its own rules, which hold in addition to those for all programs.
        named: whether the operator has named it.
        question: the open question about it.
        answered: set when the question is over.
        connections: its open websockets.
        requests: its HTTP requests in progress.
    """

    origin: str
    decision: Decision | None = None
    rules: dict[Kind, Rule] = field(default_factory=lambda: dict(FIRST_RULES))
    named: bool = False
    question: asyncio.Task[None] | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    connections: set[Closable] = field(default_factory=set)
    requests: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def allowed(self) -> bool:
        """Whether it may use this ComfyUI now."""
        return self.decision in (Decision.ALLOW, Decision.SESSION)

    def as_json(self) -> dict[str, Any]:
        """Return the state for the panel."""
        return {
            "origin": self.origin,
            "decision": self.decision.value if self.decision else None,
            "rules": {kind.value: rule.value for kind, rule in self.rules.items()},
            "named": self.named,
            "asking": self.question is not None,
        }

    def end_all(self) -> None:
        """End its websockets and requests."""
        for connection in self.connections:
            connection.close(4403, "web_app_refused")
        for request in self.requests:
            request.cancel()


class WebApps:
    """The web apps by origin, and the open questions about them.

    Args:
        directory: returns the directory of the file with the decisions.
        changed: called when something that the panel shows has changed.
        spawn: runs a coroutine in a task that the bridge owns.
        webuis: the connected tabs, where the person is asked.
        named: the origins that the operator allows (UIAPI_ALLOWED_ORIGINS).
        ended: called with an origin that is no longer allowed, to end what outlives its requests.
    """

    def __init__(
        self,
        directory: Callable[[], Path],
        changed: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, Any], str], asyncio.Task[Any]],
        webuis: Webuis,
        named: frozenset[str] = frozenset(),
        ended: Callable[[str], None] = lambda origin: None,
    ) -> None:
        self.apps = {origin: WebApp(origin, Decision.ALLOW, named=True) for origin in sorted(named)}
        # Why the file could not be used, until the person has decided again.
        self.problem: str | None = None
        self._unusable = False
        self._directory = directory
        self._changed = changed
        self._spawn = spawn
        self._webuis = webuis
        self._ended = ended
        self._waiting = 0
        # When the last questions ended without permission.
        self._in_vain: deque[float] = deque(maxlen=MAX_IN_VAIN)
        self._saving = asyncio.Lock()
        self._started = False

    # -- the person's decisions -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the decisions. If that fails, only the origins that the operator named are allowed."""
        try:
            kept = await read_json(self._path(), _read)
            for origin, (decision, rules) in _read(kept or {}).items():
                app = self.apps.setdefault(origin, WebApp(origin))
                app.decision, app.rules = decision, rules
        except UiapiError as error:
            log.error("%s Web apps have to be allowed again.", error.message)
            self.problem = error.message
            # A damaged file was renamed already; any other must not be overwritten by the next decision.
            self._unusable = not isinstance(error, Damaged)
        self._started = True

    async def decide(
        self, origin: str, decision: Decision | None = None, rules: Mapping[Kind, Rule] | None = None
    ) -> None:
        """Apply a decision, or rules, now and store them. Raises UiapiError `invalid` or `storage_failed`."""
        if not canonical_origin(origin):
            raise UiapiError("invalid", f"{origin[:200]!a} is not an origin; send one that the panel lists.")
        app = self.apps.setdefault(origin, WebApp(origin))
        app.rules.update(rules or {})
        if decision is not None:
            self._apply(app, decision)
        self._changed()
        await self._save()

    async def forget(self, origin: str) -> None:
        """Forget a web app, so that the person is asked about it again; it may use nothing until then."""
        app = self.apps.pop(origin, None)
        if app is None:
            return
        if app.named:
            # The operator's decision remains.
            self.apps[origin] = WebApp(origin, Decision.ALLOW, named=True)
        self._withdraw(app)
        app.decision = None
        self._end(app)
        self._changed()
        await self._save()

    def _apply(self, app: WebApp, decision: Decision) -> None:
        app.decision = decision
        self._withdraw(app)
        if app.allowed:
            log.info("The person allowed the web app %s.", app.origin)
        else:
            log.info("The person refused the web app %s.", app.origin)
            self._end(app)

    def _end(self, app: WebApp) -> None:
        app.end_all()
        self._ended(app.origin)

    def _withdraw(self, app: WebApp) -> None:
        """Close the question about an app that was decided in the panel."""
        if app.question is not None:
            app.question.cancel()
            self._over(app)

    async def _save(self) -> None:
        async with self._saving:
            if self._unusable:
                await set_aside(self._path(), "it could not be read, and a web app was decided about again")
                self._unusable = False
            kept = {
                app.origin: {"decision": app.decision.value, "rules": app.as_json()["rules"]}
                for app in self.apps.values()
                if app.decision in KEPT and app.decision is not None
            }
            await write_json(self._path(), {"apps": kept})
        if self.problem is not None:
            self.problem = None
            self._changed()

    def state(self) -> dict[str, Any]:
        """Return the web apps for the panel."""
        return {"web_apps": [app.as_json() for app in self.apps.values()], "web_apps_problem": self.problem}

    # -- checking requests ----------------------------------------------------------------------------------

    def allows(self, origin: str) -> bool:
        """Whether a web app may use this ComfyUI now. Raises UiapiError `web_app_refused`."""
        app = self.apps.get(origin)
        if app is None or not self._started:
            return False
        if app.decision is Decision.REFUSE:
            raise web_app_refused()
        return app.allowed

    def rules_of(self, program: str) -> Mapping[Kind, Rule] | None:
        """Return the rules of a web app by its name, which is its origin; None for any other program."""
        app = self.apps.get(program)
        return None if app is None else app.rules

    async def ask(self, origin: str) -> None:
        """Return once the person has allowed a web app, after asking them if that has not been done.

        Raises UiapiError `web_app_refused`, or `waiting_for_person` if there is no answer yet.
        """
        app = self.apps.get(origin) or self._open(origin)
        if app is None or app.question is None or self._waiting >= MAX_WAITING:
            raise waiting_for_person()
        self._waiting += 1
        try:
            await asyncio.wait_for(app.answered.wait(), MAX_WAIT)
        except asyncio.TimeoutError:
            raise waiting_for_person() from None
        finally:
            self._waiting -= 1
        if not self.allows(origin):
            raise waiting_for_person()

    @contextmanager
    def connected(self, origin: str, connection: Closable) -> Iterator[None]:
        """Close this websocket when the web app is no longer allowed."""
        app = self.apps.get(origin)
        if app is None or not app.allowed:
            connection.close(4403, "web_app_refused")
            yield
            return
        app.connections.add(connection)
        try:
            yield
        finally:
            app.connections.discard(connection)

    async def carry_out(self, origin: str, work: Coroutine[Any, Any, Any]) -> Any:
        """Carry out a request of an allowed web app. Raises UiapiError `web_app_refused` once that is not allowed."""
        app = self.apps[origin]
        task = asyncio.create_task(work, name=f"uiapi request of {origin}")
        app.requests.add(task)
        try:
            answer = await task
        except asyncio.CancelledError:
            if not app.allowed:
                raise web_app_refused() from None
            raise
        finally:
            app.requests.discard(task)
        if not app.allowed:
            raise web_app_refused()
        return answer

    # -- the question ---------------------------------------------------------------------------------------

    def _open(self, origin: str) -> WebApp | None:
        """Ask the person about a new origin; returns None if they cannot be asked now."""
        now = steady_time()
        recent = [time for time in self._in_vain if now - time < PERIOD]
        asking = sum(app.question is not None for app in self.apps.values())
        if not self._started or asking >= MAX_OPEN or asking + len(recent) >= MAX_IN_VAIN:
            return None
        try:
            self._webuis.with_person()
        except UiapiError:
            return None
        if not self._make_room():
            return None
        app = self.apps[origin] = WebApp(origin)
        app.question = self._spawn(self._put(app), f"ask about {origin}")
        self._changed()
        return app

    async def _put(self, app: WebApp) -> None:
        try:
            answer = await self._answer(app)
        except UiapiError as error:
            log.info("The person could not be asked about the web app %s: %s", app.origin, error.message)
            if error.code == "timeout":
                self._in_vain.append(steady_time())
            elif self.apps.get(app.origin) is app:
                # Nobody has seen the question; the next request asks again.
                del self.apps[app.origin]
            self._over(app)
            return
        # Its own answer must not withdraw the question.
        app.question = None
        chosen = answer.get("decision") if isinstance(answer, dict) else None
        if chosen in [decision.value for decision in Decision]:
            try:
                await self.decide(app.origin, Decision(chosen))
            except UiapiError as error:
                log.error("%s The decision about %s holds until ComfyUI stops.", error.message, app.origin)
        if not app.allowed:
            self._in_vain.append(steady_time())
        self._over(app)

    def _over(self, app: WebApp) -> None:
        app.question = None
        app.answered.set()
        self._changed()

    async def _answer(self, app: WebApp) -> Any:
        until = steady_time() + DEFAULT_TIMEOUT
        while True:
            webui = self._webuis.with_person()
            try:
                data = {"origin": app.origin}
                left = max(until - steady_time(), 0.001)
                return await webui.request("approve_web_app", data, left, app.origin)
            except UiapiError as error:
                # Another tab may be the main one now.
                if error.code != "client_disconnected":
                    raise

    def _make_room(self) -> bool:
        """Forget the oldest origins that are not allowed if MAX_APPS are known. Returns whether there is room."""
        for app in [*self.apps.values()]:
            if len(self.apps) < MAX_APPS:
                break
            if not app.allowed and not app.named and app.question is None:
                del self.apps[app.origin]
        return len(self.apps) < MAX_APPS

    def _path(self) -> Path:
        return self._directory() / "web_apps.json"


def _read(kept: dict[str, Any]) -> dict[str, tuple[Decision, dict[Kind, Rule]]]:
    """Return the decisions in a file. Raises ValueError if one is invalid."""
    apps = kept.get("apps", {})
    if not isinstance(apps, dict) or not all(isinstance(app, dict) for app in apps.values()):
        raise ValueError("it does not hold the web apps")
    for origin in apps:
        if not canonical_origin(origin):
            raise ValueError(f"{origin[:100]!a} is not an origin")
    return {origin: (Decision(app.get("decision")), read_rules(app.get("rules"))) for origin, app in apps.items()}
