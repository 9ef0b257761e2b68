/** Installations with ComfyUI-Manager: its kinds of routes, its refusals, and that only a person's click starts one. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createPackManager, idOf, REFUSED, UNKNOWN } from "../../../web/page/pack_manager.js";

const CLICK = { isTrusted: true };
const NAMED = { pack: { id: "face-pack", title: "Face Pack", repository: null }, type: "Face" };
const LISTED = { pack: { id: null, title: "Blur Pack", repository: "https://github.com/someone/Blur-Pack.git" }, type: "Blur" };

/** ComfyUI-Manager, by its answers to "METHOD path"; a text is the body of an error 403 or, after "200 ", of a success. */
function scripted(answers) {
  const asked = [];
  const api = Object.assign(new EventTarget(), {
    clientId: "me",
    async fetchApi(path, { method = "GET", body } = {}) {
      asked.push([`${method} ${path.split("?")[0]}`, body && JSON.parse(body)]);
      const answer = answers[`${method} ${path.split("?")[0]}`];
      const made = await (typeof answer === "function" ? answer(path, asked) : answer);
      if (made instanceof Response) return made;
      return new Response(made === undefined ? "" : JSON.stringify(made), { status: 200 });
    },
  });
  const page = { AbortSignal, crypto, performance, setTimeout: (work) => setTimeout(work, 0) };
  return { asked, api, manager: createPackManager(api, page) };
}

const paths = (asked) => asked.map(([path]) => path);

test("nothing is asked of ComfyUI-Manager unless the person has clicked", async () => {
  const { asked, manager } = scripted({});
  for (const click of [undefined, null, {}, { isTrusted: false }, new Event("click")]) {
    await assert.rejects(manager.install(click, "tasks", [NAMED], () => {}), /Only a click of the person/);
    await assert.rejects(manager.restart(click, "tasks"), /Only a click of the person/);
  }
  assert.deepEqual(asked, []);
});

test("version 4 gets a task for each pack, and its history has the result", async () => {
  const results = { "face-pack": "success", "Blur-Pack": "Cannot clone\nTraceback" };
  let looks = 0;
  const { asked, manager } = scripted({
    "GET /v2/customnode/getmappings": { "https://github.com/someone/Blur-Pack": [["Blur"], { title_aux: "Blur Pack" }] },
    "GET /v2/manager/queue/status": { is_processing: true, total_count: 2, done_count: 0 },
    "GET /v2/manager/queue/history": (path, all) => {
      const ident = new URLSearchParams(path.split("?")[1]).get("ui_id");
      const { params } = all.map(([, body]) => body).find((body) => body?.ui_id === ident);
      return ++looks < 3 ? { history: {} } : { history: { result: results[params.id], status: { completed: true } } };
    },
  });
  const done = [];
  const outcomes = await manager.install(CLICK, "tasks", [NAMED, LISTED], (count) => done.push(count));
  assert.deepEqual(outcomes.map(({ state, reason }) => [state, reason]), [["done", ""], ["failed", "Cannot clone"]]);
  assert.deepEqual(done, [1, 2]);
  const [face, blur] = asked.filter(([path]) => path === "POST /v2/manager/queue/task").map(([, body]) => body);
  assert.equal(face.kind, "install");
  assert.deepEqual([face.params.id, face.params.selected_version], ["face-pack", "latest"]);
  assert.deepEqual([blur.params.id, blur.params.selected_version], ["Blur-Pack", "unknown"]);
});

test("version 3 has its own routes and reports results by an event", async () => {
  const { asked, api, manager } = scripted({
    "POST /manager/queue/start": new Response("", { status: 405 }),
    "GET /manager/queue/status": (path, all) => {
      const { ui_id } = all.find(([one]) => one === "POST /manager/queue/install")[1];
      api.dispatchEvent(Object.assign(new Event("cm-queue-status"), { detail: { nodepack_result: { [ui_id]: "success" } } }));
      return { is_processing: true };
    },
  });
  const [outcome] = await manager.install(CLICK, "queue", [NAMED], () => {});
  assert.equal(outcome.state, "done");
  assert.deepEqual(paths(asked).slice(0, 3), ["POST /manager/queue/install", "POST /manager/queue/start", "GET /manager/queue/start"]);
});

test("the older interface of version 4 gets all packs at once, and names those it refuses", async () => {
  const { api, manager } = scripted({
    "POST /v2/manager/queue/batch": { failed: ["face-pack"] },
    "GET /v2/manager/queue/status": (path, all) => {
      const { install } = all.find(([one]) => one.endsWith("/batch"))[1];
      api.dispatchEvent(Object.assign(new Event("cm-queue-status"), { detail: { nodepack_result: { [install[1].ui_id]: "skip" } } }));
      return {};
    },
  });
  const outcomes = await manager.install(CLICK, "batch", [NAMED, LISTED], () => {});
  assert.deepEqual(outcomes.map(({ state, reason }) => [state, reason]), [["refused", REFUSED], ["done", ""]]);
});

test("a refusal by the security level is said so, and the queue is not started for it", async () => {
  for (const [status, text] of [[403, ""], [404, "A security error has occurred."]]) {
    const { asked, manager } = scripted({ "POST /manager/queue/install": () => new Response(text, { status }) });
    const [outcome] = await manager.install(CLICK, "queue", [NAMED], () => {});
    assert.deepEqual([outcome.state, outcome.reason], ["refused", REFUSED]);
    assert.equal(paths(asked).includes("POST /manager/queue/start"), false);
  }
  const { manager } = scripted({ "GET /v2/manager/queue/history": { history: { result: "failed", status: { completed: true } } } });
  assert.equal((await manager.install(CLICK, "tasks", [NAMED], () => {}))[0].state, "refused");
});

test("an installation ends when the queue is idle and gives no result, whatever it answers", async () => {
  for (const odd of [{}, null, [], "text", { history: 5 }, { history: { status: 1 } }]) {
    const { manager } = scripted({ "GET /v2/manager/queue/history": odd, "GET /v2/manager/queue/status": odd });
    const [outcome] = await manager.install(CLICK, "tasks", [NAMED], () => {});
    assert.deepEqual([outcome.state, outcome.reason], ["failed", UNKNOWN]);
  }
});

test("a restart that breaks the connection is one, and a refused one has a reason", async () => {
  const broken = scripted({ "POST /v2/manager/reboot": () => Promise.reject(new TypeError("Failed to fetch")) });
  assert.equal(await broken.manager.restart(CLICK, "tasks"), null);
  const refused = scripted({ "POST /manager/reboot": () => new Response("", { status: 403 }) });
  assert.equal(await refused.manager.restart(CLICK, "queue"), REFUSED);
});

test("a pack gets the id of the registry only if the list of types is sure", () => {
  const known = { blur: [["Blur"], { title_aux: "Blur Pack" }], other: [["Blur"], {}], "https://x/y": [["Blur"], { title_aux: "Blur Pack" }], odd: 5 };
  assert.equal(idOf(LISTED.pack, "Blur", known), "blur");
  assert.equal(idOf({ ...LISTED.pack, title: "Fork" }, "Blur", known), null);
  assert.equal(idOf(LISTED.pack, "Blur", null), null);
});
