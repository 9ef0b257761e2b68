/** Runs, and everything that can happen during one. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage, sleep } from "../page.mjs";

const VALUES = ({ nodes }) => nodes.map(({ values }) => values.v);

test("a tab that is clicked during a run keeps its graph to itself", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 40, loading: 2 });
  const other = page.another("B", [saved(1, "Other", { v: 100 }), saved(2, "More", { v: 7 })]);
  const run = page.ask("execute", { fields: [["Mine.v", 5]] });
  await sleep(5);
  page.show(other);
  await assert.rejects(run, { code: "tab_changed" });
  assert.deepEqual(page.queued, []);
  assert.deepEqual(VALUES(page.tab.activeState), [5]);
  assert.deepEqual([page.tab.changeTracker.undoQueue.length, page.tab.changeTracker.changeCount], [1, 0]);
});

test("a run that had to wait is an undo step of the tab that is shown by then", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  const other = page.another("B", [saved(1, "Mine", { v: 100 })]);
  const first = page.ask("execute");
  const second = page.ask("execute", { fields: [["Mine.v", 5]] });
  await first;
  await page.show(other);
  await second;
  assert.deepEqual([VALUES(page.tab.activeState), VALUES(other.activeState)], [[1], [5]]);
  assert.deepEqual([page.tab, other].map(({ changeTracker }) => changeTracker.undoQueue.length), [0, 1]);
  assert.equal(other.changeTracker.changeCount, 0);
});

test("a run waits for a load, and a load for a run", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 6, loading: 40 });
  const runs = [page.ask("execute"), page.ask("execute", { fields: [["Mine.v", 5]] })];
  await sleep(1);
  const load = page.ask("load_workflow", { workflow: { nodes: [saved(9, "Mine", { v: 77 })] } });
  await Promise.all([...runs, load]);
  assert.deepEqual(page.queued.map(VALUES), [[1], [5]]);
});

test("a run is refused when a load is under way as it is exported", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 20, loading: 40 });
  const run = page.ask("execute");
  await sleep(5);
  page.show(page.tab);
  await assert.rejects(run, { code: "tab_changed" });
  assert.deepEqual(page.queued, []);
});

test("an aborted batch of runs reports which of them were queued", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 20, loading: 40 });
  const run = page.ask("execute", { batch_count: 3 }, { submitting: () => setTimeout(() => page.show(page.tab), 5) });
  await assert.rejects(run, { code: "tab_changed", message: /only 1 of 3/ });
  await run.catch(({ details }) => assert.deepEqual(details.prompt_ids, ["prompt-1"]));
  assert.equal(page.queued.length, 1);
});

test("the fields of a run that is queued several times are held until the last one is queued", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 10 });
  const run = page.ask("execute", { batch_count: 3, fields: [["Mine.v", 5]] });
  await sleep(2);
  const write = page.ask("set_fields", { fields: [["Mine.v", 999]] });
  assert.equal((await run).prompt_ids.length, 3);
  await write;
  assert.deepEqual(page.queued.map(VALUES), [[5], [5], [5]]);
  assert.equal(page.value("Mine"), 999);
});

test("a run begins when the page has queued another one, well or not, and writes into neither", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  const { graphToPrompt } = page.app;
  page.app.graphToPrompt = async () => {
    page.app.graphToPrompt = graphToPrompt;
    await sleep(20);
    throw new Error("No picture from the webcam");
  };
  const failing = assert.rejects(page.app.queuePrompt(0, 1));
  const first = page.ask("execute", { fields: [["Mine.v", 5]] });
  await failing;
  await first;
  const theirs = page.app.queuePrompt(0, 2);
  await sleep(3);
  const second = page.ask("execute", { fields: [["Mine.v", 33]] });
  await Promise.all([theirs, second]);
  assert.deepEqual(page.queued.map(VALUES), [[5], [5], [5], [33]]);
});

test("a run that waited for another one answers with its own id", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  page.app.queuePrompt(0, 2);
  await sleep(3);
  const answer = await page.ask("execute");
  assert.equal(page.queued.length, 3);
  assert.match(answer.prompt_id, /^prompt-/);
});

test("a run that is cancelled before its export is never queued", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 40 });
  const abort = new AbortController();
  const run = page.ask("execute", {}, { signal: abort.signal });
  await sleep(5);
  abort.abort();
  await assert.rejects(run, { code: "conflict" });
  await sleep(60);
  assert.deepEqual(page.queued, []);
});

test("a run that is cancelled after it was queued answers all the same", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 4 });
  const abort = new AbortController();
  const answer = await page.ask("execute", { batch_count: 2 }, { signal: abort.signal, submitting: () => abort.abort() });
  assert.deepEqual(answer.prompt_ids, ["prompt-1", "prompt-2"]);
});

test("a run whose export fails in a pack's code says so and leaves nothing that was set for it", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  await page.ask("set_fields", { fields: [["Mine.v", 2]] });
  page.app.graphToPrompt = async () => {
    throw new Error("a pack's fault.");
  };
  await assert.rejects(page.ask("execute", { fields: [["Mine.v", 7]] }), (error) => {
    assert.equal(error.message, "Exporting the workflow failed in the page, and nothing was changed: a pack's fault.");
    assert.deepEqual([error.code, error.details.reason], ["tab_failed", "a pack's fault."]);
    return true;
  });
  assert.equal(page.value("Mine"), 2);
  assert.deepEqual(await page.ask("undo"), { done: 1 });
  assert.equal(page.value("Mine"), 1);
});

test("the fields of a run are a step of their own although the page saves what the step before has led to", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { following: 4 });
  await page.ask("set_fields", { fields: [["Mine.v", 2]] });
  await page.ask("execute", { fields: [["Mine.v", 7]] });
  await page.ask("undo");
  assert.equal(page.value("Mine"), 2);
  page.app.graphToPrompt = async () => {
    await sleep(10);
    throw new Error("a pack's fault");
  };
  await page.ask("set_fields", { fields: [["Mine.v", 3]] });
  await assert.rejects(page.ask("execute", { fields: [["Mine.v", 8]] }), { message: /nothing was changed/ });
  assert.equal(page.value("Mine"), 3);
});

test("an export that fails in a pack's code says so", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  page.app.graphToPrompt = async () => {
    throw new Error("a pack's fault");
  };
  for (const command of ["get_workflow", "get_workflow_api"]) {
    await assert.rejects(page.ask(command), { code: "tab_failed", message: /^Exporting the workflow failed in the page.*a pack's fault\.$/ });
  }
});

test("a node of a type that is not installed is left out of a run that does not need it, and that is said", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  const output = { 1: { class_type: "T", inputs: {} }, 8: { inputs: {}, _meta: { title: "Lost" } } };
  page.app.graphToPrompt = async () => ({ workflow: { nodes: [] }, output });
  const answer = await page.ask("execute");
  assert.match(answer.warnings[0], /node #8 "Lost"/);
  assert.deepEqual(Object.keys(output), ["1"]);
});

test("a run comes next however fast the person presses Run, with its own values", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 6 });
  page.afterQueued = () => (page.app.rootGraph.nodes[0].widgets[0].value += 1000);
  const pressing = setInterval(() => page.app.queuePrompt(0, 1), 1);
  try {
    for (const seed of [5, 6, 7, 8, 9]) {
      // A run that would begin in the middle of an export comes after that.
      const reading = [0, 4, 8].map((moment) => sleep(moment).then(() => page.ask("get_workflow_api")));
      await sleep(seed);
      const before = page.queued.length;
      const { number } = await page.ask("execute", { fields: [["Mine.v", seed]] });
      assert.deepEqual(VALUES(page.queued[number - 1]), [seed]);
      assert.ok(number - before <= 6, `${number - before} runs came before it`);
      await Promise.all(reading);
    }
  } finally {
    clearInterval(pressing);
    page.app.queueItems.length = 0;
  }
});

test("a run in the page's line that is cancelled or can't be prepared leaves the line to the others", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  const theirs = Array.from({ length: 8 }, () => page.app.queuePrompt(0, 1));
  const abort = new AbortController();
  const cancelled = assert.rejects(page.ask("execute", { fields: [["Mine.v", 5]] }, { signal: abort.signal }), { code: "conflict" });
  await sleep(5);
  abort.abort();
  await cancelled;
  await assert.rejects(page.ask("execute", { fields: [["Nobody.v", 5]] }), { code: "unknown_path" });
  const last = page.ask("execute", { fields: [["Mine.v", 6]] });
  const { number } = await last;
  assert.ok(number < 8, `${number - 1} runs came before it`);
  assert.deepEqual(VALUES(page.queued[number - 1]), [6]);
  await Promise.all(theirs);
  assert.equal(page.queued.length, 9);
});

test("a run in the page's line whose export fails says so and leaves nothing that was set for it", async () => {
  const below = (app) => {
    const { graphToPrompt } = app;
    app.graphToPrompt = () =>
      page.value("Mine") === 7 ? Promise.reject(new Error("a pack's fault")) : graphToPrompt.call(app);
  };
  const page = showPage([saved(1, "Mine", { v: 1 })], {}, { below });
  const theirs = assert.rejects(page.app.queuePrompt(0, 1), /a pack's fault/);
  for (let times = 0; times < 7; times++) page.app.queuePrompt(0, 1);
  const ours = page.ask("execute", { fields: [["Mine.v", 7]] });
  await assert.rejects(ours, { code: "tab_failed", message: /^Exporting the workflow failed.*a pack's fault\.$/ });
  await theirs;
  assert.equal(page.value("Mine"), 1);
});

const OUTPUT = { nodeData: { output_node: true } };

test("a run is limited to its targets, and the next one is not", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 }), saved(2, "Other", { v: 2 })]);
  page.window.LiteGraph.registered_node_types.T.nodeData = OUTPUT.nodeData;
  await page.ask("execute", { targets: ["Other"] });
  await page.ask("execute");
  assert.deepEqual(page.targets, [["2"], undefined]);
});

test("a run that the page would not limit is not submitted", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  page.window.LiteGraph.registered_node_types.T.nodeData = OUTPUT.nodeData;
  const { pop } = page.app.queueItems;
  page.app.queueItems.pop = function () {
    return { ...pop.call(this), queueNodeIds: undefined };
  };
  await assert.rejects(page.ask("execute", { targets: ["Mine"] }), { code: "tab_failed", message: /limit the run/ });
  assert.deepEqual(page.queued, []);
});

test("a muted target is refused", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  page.window.LiteGraph.registered_node_types.T.nodeData = OUTPUT.nodeData;
  page.app.rootGraph.nodes[0].mode = 2;
  await assert.rejects(page.ask("execute", { targets: ["Mine"] }), { code: "invalid", message: /muted/ });
});
