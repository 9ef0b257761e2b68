/** What the panel and the settings know of the server: nothing newer is lost to something older. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createSettings } from "../../../../web/ui/controls/settings.js";
import { createState } from "../../../../web/ui/panel/state.js";

const settled = () => new Promise((resume) => setImmediate(resume));

/** A state, and what it asks the server, to be answered by hand. */
function setUp() {
  const asked = [];
  const request = (command) => new Promise((resolve, reject) => asked.push({ command, resolve, reject }));
  const state = createState({ clientId: () => 1, request }, { requestAnimationFrame: () => 1, console: { debug() {} } });
  state.receive("panel_state", { rules: {} });
  const commands = () => asked.map(({ command }) => command);
  const answer = (command, response) => asked.findLast((one) => one.command === command).resolve(response);
  return { state, asked, commands, answer };
}

test("a restart of the server shows in a page that nobody saw meanwhile", () => {
  const { state } = setUp();
  const { losses } = state;
  state.lost();
  state.receive("panel_state", { rules: {} });
  assert.ok(state.server && state.losses > losses);
});

test("an event between two responses is newer than they are", async () => {
  const { state, answer } = setUp();
  state.watch(true);
  answer("panel_watch", { entries: [{ id: 1, state: "running" }, { id: 2, state: "running" }], programs: [] });
  state.receive("activity", { entries: [{ id: 2, state: "done" }, { id: 3, state: "done" }], programs: [] });
  state.receive("download_progress", { download_id: "d", completed: true });
  answer("downloads", { downloads: [{ download_id: "c", completed: true }, { download_id: "d", completed: false }] });
  answer("subscribe", {});
  await settled();
  assert.deepEqual([...state.entries.values()].map((entry) => [entry.id, entry.state]), [[1, "running"], [2, "done"], [3, "done"]]);
  assert.deepEqual([...state.downloads.values()].map((entry) => [entry.download_id, entry.completed]), [["c", true], ["d", true]]);
});

test("the entries of an earlier server are removed when the next one responds", async () => {
  const { state, answer } = setUp();
  state.watch(true);
  const empty = () => {
    answer("downloads", { downloads: [] });
    answer("subscribe", {});
  };
  answer("panel_watch", { entries: [{ id: 7 }], programs: [] });
  empty();
  await settled();
  state.lost();
  state.receive("panel_state", { rules: {} });
  answer("panel_watch", { entries: [{ id: 1 }], programs: [] });
  empty();
  await settled();
  assert.deepEqual([...state.entries.keys()], [1]);
});

test("a page subscribes once per connection, however often its panel is opened", async () => {
  const { state, asked, commands, answer } = setUp();
  const subscriptions = () => commands().filter((command) => command === "subscribe").length;
  for (let time = 0; time < 10; time++) {
    state.watch(true);
    state.watch(false);
  }
  answer("subscribe", {});
  await state.listen();
  assert.equal(subscriptions(), 1);
  state.lost();
  state.receive("panel_state", { rules: {} });
  const failed = state.listen();
  assert.equal(subscriptions(), 2);
  asked.at(-1).reject(new Error("gone"));
  await assert.rejects(failed);
  state.listen();
  assert.equal(subscriptions(), 3);
});

test("a question of the page itself waits for the person as those of programs do, also without a server", async () => {
  const { state } = setUp();
  assert.deepEqual(state.asking, []);
  state.receive("panel_state", { rules: {}, asking: ["Blender"] });
  assert.deepEqual(state.asking, ["Blender"]);
  state.lost();
  let answer;
  const given = state.whileAsking(new Promise((resolve) => (answer = resolve)));
  assert.deepEqual(state.asking, ["ComfyUI"]);
  answer("token");
  assert.equal(await given, "token");
  assert.deepEqual(state.asking, []);
  await assert.rejects(state.whileAsking(Promise.reject(new Error("closed"))));
  assert.deepEqual(state.asking, []);
});

/** The settings as a person sees them, and what was decided. */
function settings() {
  const values = {};
  const decided = [];
  const { declared, show } = createSettings((rules) => decided.push(rules));
  const choose = (kind, value) => {
    values[`uiapi.rules.${kind}`] = value;
    declared.find(({ id }) => id === `uiapi.rules.${kind}`).onChange(value);
  };
  const frontend = { setting: (id) => values[id], setSetting: (id, value) => choose(id.split(".").at(-1), value) };
  return { values, decided, choose, show: (rules) => show(rules, frontend) };
}

const RULES = { read: "allow", change: "allow", run: "allow", download: "once", load: "allow" };

test("a rule that is set while the server is away is sent when it is back, and stays set", () => {
  const { values, decided, choose, show } = settings();
  choose("run", "allow");
  show(RULES);
  choose("read", "refuse");
  show(undefined);
  choose("change", "refuse");
  assert.deepEqual(decided, [{ read: "refuse" }]);
  show({ ...RULES, read: "refuse" });
  assert.deepEqual(decided, [{ read: "refuse" }, { change: "refuse" }]);
  assert.equal(values["uiapi.rules.change"], "refuse");
  show({ ...RULES, read: "refuse", change: "refuse" });
  assert.equal(decided.length, 2);
});
