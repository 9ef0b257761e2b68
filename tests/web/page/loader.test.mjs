/** Loads that fail or are overtaken, and the person's own tab afterwards. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage, sleep } from "../page.mjs";
import { formatOf, loadable } from "../../../web/page/loader.js";

const MINE = [saved(1, "Mine", { v: 1 }), saved(2, "Also mine", { v: 2 })];

test("a load that throws half way leaves the shown workflow as it was", async () => {
  const page = showPage(MINE);
  page.configuring = () => {
    page.configuring = undefined;
    throw new Error("an extension's fault");
  };
  await assert.rejects(page.ask("load_workflow", { workflow: { nodes: [saved(9, "New")] } }), /an extension's fault/);
  assert.deepEqual(page.titles(), ["Mine", "Also mine"]);
  page.tab.changeTracker.checkState();
  assert.deepEqual([page.store.activeWorkflow, page.tab.activeState.nodes], [page.tab, MINE]);
  assert.equal(page.tab.changeTracker.undoQueue.length, 0);
});

test("an unsaved change is still there after a load that failed", async () => {
  const page = showPage(MINE);
  page.app.rootGraph.nodes[0].widgets[0].value = 5;
  page.configuring = () => {
    page.configuring = undefined;
    throw new Error("an extension's fault");
  };
  await assert.rejects(page.ask("load_workflow", { workflow: { nodes: [saved(9, "New")] } }));
  assert.equal(page.value("Mine"), 5);
});

test("a type that is only a word of the language is not known", async () => {
  const page = showPage(MINE);
  const workflow = { 1: { class_type: "constructor", inputs: {} } };
  await assert.rejects(page.ask("load_workflow", { workflow }), { code: "invalid", message: /constructor/ });
  assert.deepEqual(page.titles(), ["Mine", "Also mine"]);
});

test("the changes that a failed load could not roll back are named", async () => {
  const page = showPage(MINE);
  page.configuring = () => {
    throw new Error("an extension's fault");
  };
  page.dress = (node) => {
    if (node.title === "Mine") node.title = "Gone";
  };
  await assert.rejects(page.ask("load_workflow", { workflow: { nodes: [saved(9, "New")] } }), (error) => {
    assert.equal(error.code, "tab_failed");
    assert.match(error.message, /did not restore Gone/);
    assert.equal(error.details.changes[0].before, "Mine");
    return true;
  });
});

test("a load is not called done when the person has opened another tab meanwhile", async () => {
  const page = showPage(MINE, { loading: 20 });
  const load = page.ask("load_workflow", { workflow: { nodes: [saved(9, "New", { v: 77 })] } });
  await sleep(30);
  page.tab.changeTracker.initialState = { nodes: [], links: [] };
  page.tab.changeTracker.reset = () => {};
  page.show(page.tab);
  await assert.rejects(load, { code: "tab_changed" });
  assert.deepEqual(page.tab.changeTracker.initialState, { nodes: [], links: [] });
});

const UNTYPED = {
  1: { class_type: "T", inputs: {}, _meta: { title: "Known" } },
  "29:8": { class_type: null, inputs: { UNKNOWN: "x.safetensors" }, _meta: { title: "Lost" } },
  3: { class_type: "T", inputs: { image: ["29:8", 0], other: ["1", 0] } },
};

test("an export with a node of unknown type is one in API format", () => {
  assert.equal(formatOf(UNTYPED), "api");
  assert.equal(formatOf({ 1: { inputs: {}, _meta: { title: "" } } }), "api");
  for (const other of [{ 1: { inputs: {} } }, { 1: { class_type: 3 } }, { 1: { class_type: "T", inputs: [] } }, {}, [UNTYPED], { prompt: UNTYPED }]) {
    assert.throws(() => formatOf(other), { code: "invalid" });
  }
});

test("a page that puts placeholders gets one for a node of unknown type", () => {
  const { api, warnings } = loadable(UNTYPED, true);
  assert.deepEqual(Object.values(api).map(({ class_type }) => class_type).sort(), ["T", "T", "UNKNOWN"]);
  assert.deepEqual(api["29:8"].inputs, UNTYPED["29:8"].inputs);
  assert.match(warnings[0], /#29:8 "Lost".*placeholders/);
});

test("a page that puts none gets the workflow without it and its links", () => {
  const { api, warnings } = loadable(UNTYPED, false);
  assert.deepEqual([Object.keys(api).sort(), api[3].inputs], [["1", "3"], { other: ["1", 0] }]);
  assert.match(warnings[0], /#29:8 "Lost".*left them and their links out/);
});

test("nodes that the page could not create are reported by the load", async () => {
  const page = showPage(MINE);
  const loaded = await page.ask("load_workflow", { workflow: UNTYPED, name: "export" });
  assert.equal(loaded.nodes, 2);
  assert.match(loaded.warnings[0], /#29:8 "Lost"/);
  assert.ok(loaded.message.endsWith(loaded.warnings[0]));
  await assert.rejects(page.ask("load_workflow", { workflow: { 1: UNTYPED["29:8"] } }), { code: "invalid", message: /No node/ });
});
