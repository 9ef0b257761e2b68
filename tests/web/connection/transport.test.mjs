/** The transport without a browser, on a scripted WebSocket and a fake clock. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { CommandError } from "../../../web/common/errors.js";
import { createTransport } from "../../../web/connection/transport.js";
import { backOff } from "../../../web/common/waiting.js";

class Clock {
  now = 0;
  timers = new Map();
  last = 0;

  setTimeout = (action, delay) => {
    this.timers.set(++this.last, { at: this.now + delay, action });
    return this.last;
  };

  clearTimeout = (id) => this.timers.delete(id);

  advance(milliseconds) {
    const end = this.now + milliseconds;
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.now = due[1].at;
      due[1].action();
    }
    this.now = end;
  }
}

/** A page whose sockets are kept in a list, and a transport on it. */
function setUp({ early = false, ...options } = {}) {
  const clock = new Clock();
  const sockets = [];
  class WebSocket {
    readyState = 0;
    sent = [];

    constructor(url) {
      this.url = url;
      sockets.push(this);
    }

    send(text) {
      assert.equal(this.readyState, 1, "sent on a socket that is not open");
      this.sent.push(JSON.parse(text));
    }

    close(code = 1005) {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.onclose({ code });
    }

    open() {
      this.readyState = 1;
      this.onopen();
    }

    say(frame) {
      this.onmessage({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
    }

    welcome(identity = { client_id: 3, session: "s3" }) {
      this.open();
      this.say({ type: "welcome", protocol: 1, ...identity });
    }
  }
  const state = { info: { workflow_name: "one" }, token: null, key: "k1", renewals: [] };
  const transport = createTransport({
    url: () => "ws://host/uiapi/ws",
    opened: early ? new WebSocket("ws://host/uiapi/ws") : undefined,
    info: () => state.info,
    sid: () => "sid",
    capabilities: ["execute.fields"],
    handle: () => null,
    askToken: async () => null,
    token: () => state.token,
    pageKey: {
      current: () => state.key,
      renew: () => new Promise((resume) => state.renewals.push(resume)),
    },
    graphState: () => ({}),
    onEvent() {},
    greeted() {},
    page: { WebSocket, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout },
    random: () => 1,
    ...options,
  });
  return { clock, sockets, transport, state };
}

/** Waits until settled promises have taken effect. */
const settle = () => new Promise((resume) => setImmediate(resume));

test("the hello comes first and contains what the server needs", () => {
  const { sockets, transport } = setUp();
  transport.start();
  sockets[0].open();
  assert.deepEqual(sockets[0].sent, [
    {
      type: "hello",
      role: "webui",
      protocol: 1,
      client_id: null,
      session: null,
      sid: "sid",
      capabilities: ["execute.fields"],
      info: { workflow_name: "one" },
      page_key: "k1",
    },
  ]);
});

test("a socket that was opened before the page was ready is greeted when it is", () => {
  for (const before of [true, false]) {
    const { sockets, transport } = setUp({ early: true });
    // Nobody listens to it yet.
    if (before) sockets[0].readyState = 1;
    transport.start();
    if (!before) sockets[0].open();
    assert.deepEqual([sockets.length, sockets[0].sent[0].type], [1, "hello"]);
  }
});

test("a socket that was opened before the page was ready and lost since is opened anew", () => {
  const { sockets, transport } = setUp({ early: true });
  sockets[0].readyState = 3;
  transport.start();
  sockets[1].open();
  assert.deepEqual([sockets.length, sockets[1].sent[0].type], [2, "hello"]);
});

test("a tab that comes back presents the id and session it was given", () => {
  const { clock, sockets, transport } = setUp();
  transport.start();
  sockets[0].welcome();
  sockets[0].close(1006);
  clock.advance(500);
  sockets[1].open();
  assert.deepEqual([sockets[1].sent[0].client_id, sockets[1].sent[0].session], [3, "s3"]);
});

test("waits double up to a cap and are spread", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 50].map((failures) => backOff(failures, 1)), [500, 1000, 2000, 4000, 4000, 4000, 4000]);
  assert.equal(backOff(0, 0), 250);
  assert.equal(backOff(50, 0), 2000);
});

test("tries that fail wait longer, and a welcome makes them short again", () => {
  const { clock, sockets, transport } = setUp();
  transport.start();
  for (const wait of [500, 1000, 2000]) {
    sockets.at(-1).close(1006);
    const count = sockets.length;
    clock.advance(wait - 1);
    assert.equal(sockets.length, count);
    clock.advance(1);
    assert.equal(sockets.length, count + 1);
  }
  sockets.at(-1).welcome();
  sockets.at(-1).close(1006);
  const count = sockets.length;
  clock.advance(500);
  assert.equal(sockets.length, count + 1);
});

test("a socket that is opened and never welcomed is given up", () => {
  const { clock, sockets, transport } = setUp();
  transport.start();
  sockets[0].open();
  clock.advance(10_000);
  assert.equal(sockets[0].readyState, 3);
  clock.advance(500);
  assert.equal(sockets.length, 2);
});

test("word that the server is back ends the wait, and opens no second socket", () => {
  const { clock, sockets, transport } = setUp();
  transport.start();
  sockets[0].close(1006);
  transport.hurry();
  assert.equal(sockets.length, 2);
  transport.hurry();
  sockets[1].welcome();
  transport.hurry();
  clock.advance(60_000);
  assert.equal(sockets.filter(({ readyState }) => readyState !== 3).length, 1);
});

test("word that the server is back has something said on a socket that looks open, so that a dead one is found out", () => {
  const { sockets, transport } = setUp();
  transport.start();
  sockets[0].welcome();
  transport.hurry();
  assert.deepEqual(sockets[0].sent.slice(1).map(({ event }) => event), ["info"]);
});

test("a tab that was replaced stays away", () => {
  const { clock, sockets, transport } = setUp();
  transport.start();
  sockets[0].welcome();
  sockets[0].close(4001);
  transport.hurry();
  clock.advance(3_600_000);
  assert.equal(sockets.length, 1);
});

test("a tab that is closed stays closed, and starts again when the page is shown again", () => {
  const { clock, sockets, transport } = setUp();
  transport.start();
  sockets[0].welcome();
  transport.stop();
  transport.hurry();
  clock.advance(3_600_000);
  assert.equal(sockets.length, 1);
  transport.start();
  assert.equal(sockets.length, 2);
});

/** Makes the server refuse the key in the hello of this socket. */
function refuseKey(socket) {
  socket.open();
  socket.say({ type: "error", error: "no", code: "wrong_page" });
  socket.close(4403);
}

test("a page whose key a restarted server refuses fetches another and comes back at once as the same tab", async () => {
  const { clock, sockets, transport, state } = setUp();
  transport.start();
  sockets[0].welcome();
  sockets[0].close(1006);
  clock.advance(500);
  refuseKey(sockets[1]);
  clock.advance(3_600_000);
  transport.hurry();
  assert.deepEqual([sockets.length, state.renewals.length], [2, 1]);
  state.key = "k2";
  state.renewals[0]();
  await settle();
  assert.equal(sockets.length, 3);
  sockets[2].open();
  const { client_id, session, page_key } = sockets[2].sent[0];
  assert.deepEqual([client_id, session, page_key], [3, "s3", "k2"]);
});

test("a server that refuses its own key is tried ever more seldom, and each welcome makes the first refusal quick again", async () => {
  const { clock, sockets, transport, state } = setUp();
  transport.start();
  for (const wait of [500, 1000]) {
    refuseKey(sockets.at(-1));
    state.renewals.at(-1)();
    await settle();
    const count = sockets.length;
    refuseKey(sockets.at(-1));
    clock.advance(wait - 1);
    await settle();
    assert.equal(sockets.length, count);
    clock.advance(1);
    assert.equal(sockets.length, count + 1);
  }
  assert.equal(state.renewals.length, 2);
  sockets.at(-1).welcome();
  sockets.at(-1).close(1006);
  clock.advance(500);
  refuseKey(sockets.at(-1));
  assert.equal(state.renewals.length, 3);
});

test("a page that was closed while it asked for the key stays closed", async () => {
  const { sockets, transport, state } = setUp();
  transport.start();
  refuseKey(sockets[0]);
  transport.stop();
  state.renewals[0]();
  await settle();
  assert.equal(sockets.length, 1);
});

for (const [refusal, wrong] of [["token_required", false], ["wrong_token", true]]) {
  test(`a refusal with ${refusal} asks for a token once and comes back with it`, async () => {
    const asked = [];
    let give;
    const { clock, sockets, transport, state } = setUp({
      askToken(was) {
        asked.push(was);
        return new Promise((resume) => (give = resume));
      },
    });
    transport.start();
    sockets[0].open();
    sockets[0].say({ type: "error", error: "no", code: refusal });
    sockets[0].close(4403);
    clock.advance(3_600_000);
    transport.hurry();
    assert.deepEqual([asked, sockets.length], [[wrong], 1]);
    state.token = "t";
    give("t");
    await settle();
    sockets[1].open();
    assert.equal(sockets[1].sent[0].token, "t");
  });
}

test("without a token the tab stays away", async () => {
  const { clock, sockets, transport } = setUp();
  transport.start();
  sockets[0].open();
  sockets[0].say({ type: "error", error: "no", code: "token_required" });
  sockets[0].close(4403);
  await settle();
  clock.advance(3_600_000);
  assert.equal(sockets.length, 1);
});

test("an answer that is there at once is sent in the same task", () => {
  const { sockets, transport } = setUp({ handle: (command, data) => ({ command, data }) });
  transport.start();
  sockets[0].welcome();
  sockets[0].say({ type: "request", id: "q", command: "get_fields", data: { fields: [] } });
  assert.deepEqual(sockets[0].sent[1], {
    type: "response",
    id: "q",
    status: "ok",
    response: { command: "get_fields", data: { fields: [] } },
  });
});

test("errors keep their code, and unforeseen ones become tab_failed with their words", async () => {
  const { sockets, transport } = setUp({
    handle(command) {
      if (command === "known") throw new CommandError("unknown_path", "No.", { path: "x" });
      if (command === "later") return Promise.reject(new TypeError("undefined is no function"));
      throw "thrown text";
    },
  });
  transport.start();
  sockets[0].welcome();
  for (const command of ["known", "later", "text"]) sockets[0].say({ type: "request", id: command, command, data: {} });
  await settle();
  const answers = Object.fromEntries(sockets[0].sent.slice(1).map(({ id, error, code, details }) => [id, { error, code, details }]));
  assert.deepEqual(answers, {
    known: { error: "No.", code: "unknown_path", details: { path: "x" } },
    later: { error: "undefined is no function", code: "tab_failed", details: {} },
    text: { error: "thrown text", code: "tab_failed", details: {} },
  });
});

test("an answer that JSON can't hold is an error, not a silence", () => {
  const loop = {};
  loop.loop = loop;
  const { sockets, transport } = setUp({ handle: () => loop });
  transport.start();
  sockets[0].welcome();
  sockets[0].say({ type: "request", id: "q", command: "c", data: {} });
  assert.deepEqual([sockets[0].sent[1].status, sockets[0].sent[1].code], ["error", "tab_failed"]);
});

test("an answer too large for the socket is an error instead", () => {
  const sizes = { fits: 30 * 1024 * 1024, grows: 30 * 1024 * 1024, large: 70 * 1024 * 1024 };
  const { sockets, transport } = setUp({ handle: (size) => (size === "grows" ? "€" : "x").repeat(sizes[size]) });
  transport.start();
  sockets[0].welcome();
  for (const size of Object.keys(sizes)) sockets[0].say({ type: "request", id: size, command: size, data: {} });
  assert.deepEqual(sockets[0].sent.slice(1).map(({ id, status }) => [id, status]), [
    ["fits", "ok"],
    ["grows", "error"],
    ["large", "error"],
  ]);
});

test("a cancelled request is notified, and its failure is not sent", async () => {
  const calls = [];
  const { sockets, transport } = setUp({
    handle: (command, data, call) => new Promise((_, fail) => calls.push({ call, fail })),
  });
  transport.start();
  sockets[0].welcome();
  sockets[0].say({ type: "request", id: "q", command: "c", data: {} });
  sockets[0].say({ type: "cancel", id: "q" });
  assert.equal(calls[0].call.signal.aborted, true);
  calls[0].fail(new Error("given up"));
  await settle();
  assert.equal(sockets[0].sent.length, 1);
});

test("requests of a lost socket are cancelled and never answered on the next one", async () => {
  const calls = [];
  const { clock, sockets, transport } = setUp({
    handle: (command, data, call) => new Promise((resume) => calls.push({ call, resume })),
  });
  transport.start();
  sockets[0].welcome();
  sockets[0].say({ type: "request", id: "q", command: "c", data: {} });
  sockets[0].close(1006);
  assert.equal(calls[0].call.signal.aborted, true);
  clock.advance(500);
  sockets[1].welcome();
  calls[0].resume("late");
  await settle();
  assert.equal(sockets[1].sent.length, 1);
});

test("a call knows when its answer is with the socket", async () => {
  const order = [];
  const { sockets, transport } = setUp({
    async handle(command, data, { answered }) {
      answered.then(() => order.push(sockets[0].sent.length));
      return "done";
    },
  });
  transport.start();
  sockets[0].welcome();
  sockets[0].say({ type: "request", id: "q", command: "c", data: {} });
  await settle();
  assert.deepEqual(order, [2]);
});

test("changed facts are sent once, and unchanged ones only to detect a dead socket", () => {
  const { sockets, transport, state } = setUp();
  transport.start();
  transport.changed();
  sockets[0].open();
  transport.hurry();
  assert.equal(sockets[0].sent.length, 1);
  state.info = { workflow_name: "two" };
  sockets[0].say({ type: "welcome", protocol: 1, client_id: 3, session: "s" });
  const event = { type: "event", event: "info", data: { workflow_name: "two" } };
  assert.deepEqual(sockets[0].sent.slice(1), [event]);
  transport.changed();
  assert.equal(sockets[0].sent.length, 2);
  transport.hurry();
  assert.deepEqual(sockets[0].sent.slice(2), [event]);
});

test("an unreadable graph is an error for its request, and does not affect other responses", () => {
  const odd = new TypeError("title.toLowerCase is not a function");
  let broken = true;
  const graphState = () => {
    if (broken) throw odd;
    return {};
  };
  const { sockets, transport } = setUp({ handle: () => 1, graphState, onEvent: () => (broken = false) });
  transport.start();
  sockets[0].welcome();
  const request = (id) => ({ type: "request", id, command: "c", data: {} });
  sockets[0].say(request("alone"));
  sockets[0].say([request("first"), { type: "event", event: "e", data: {} }, request("second")]);
  const [alone, [first, second]] = sockets[0].sent.slice(1);
  assert.deepEqual([alone, first].map(({ id, code, error }) => [id, code, error]), [
    ["alone", "tab_failed", odd.message],
    ["first", "tab_failed", odd.message],
  ]);
  assert.deepEqual([second.id, second.status], ["second", "ok"]);
});

test("news the page can't take costs none of the requests that came with them", (context) => {
  context.mock.method(console, "error", () => {});
  const onEvent = () => {
    throw new Error("no such tab");
  };
  const { sockets, transport } = setUp({ handle: () => 1, onEvent });
  transport.start();
  sockets[0].welcome();
  sockets[0].say([{ type: "event", event: "e", data: {} }, { type: "request", id: "q", command: "c", data: {} }]);
  assert.deepEqual(sockets[0].sent[1].map(({ id, status }) => [id, status]), [["q", "ok"]]);
});

test("frames that are too large for the socket are not sent, so the tab stays connected", async (context) => {
  context.mock.method(console, "warn", () => {});
  const { sockets, transport } = setUp();
  transport.start();
  sockets[0].welcome();
  const workflow = "€".repeat(30 * 1024 * 1024);
  transport.sendEvent("snapshot", { workflow });
  await assert.rejects(transport.request("analyze_workflow", { workflow }), { code: "invalid" });
  assert.equal(sockets[0].sent.length, 1);
  transport.sendEvent("snapshot", { workflow: "small" });
  assert.equal(sockets[0].sent.length, 2);
});
