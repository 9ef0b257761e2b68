/** Variations are exported as runs would be, and the graph is as before. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { pieces, changedPieces } from "../../../web/common/pieces.js";
import { deferDrawing } from "../../../web/exports/capture.js";
import { saved, showPage, sleep } from "../page.mjs";

const QUICK = { exporting: 0 };
// Milliseconds after which a page that may have been left is taken to stay.
const LEAVING = 5000;

/** The values of a widget in the prompts of an answer. */
function values({ prompts }, name = "v") {
  let base = [];
  return prompts.map(({ texts, changes, error }) => {
    if (error) return error.code;
    if (texts) base = texts;
    const whole = [...base];
    for (const [at, text] of changes ?? []) whole[at] = text;
    return JSON.parse(whole.join("")).extra_data.extra_pnginfo.workflow.nodes[0].values[name];
  });
}

const variations = (...all) => ({ variations: all.map((value) => ({ fields: [["Mine.v", value]] })) });

/** What must not change, and what nobody else may notice. */
function traces(page) {
  const { undoQueue, redoQueue, changeCount } = page.tab.changeTracker;
  return [page.value("Mine"), undoQueue.length, redoQueue.length, changeCount, page.revision(), page.queued.length, page.app.queueItems.length];
}

test("each variation is exported with its own values, and the graph has none of them", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], QUICK);
  const before = traces(page);
  const answer = await page.ask("export_prompts", variations(5, 6, 7));
  assert.deepEqual(values(answer), [5, 6, 7]);
  assert.deepEqual(answer.prompts[1].fields, [{ path: "Mine.v", requested: 6, value: 6, warnings: [] }]);
  assert.deepEqual(traces(page), before);
});

test("what the page saves after a step, while a variation is prepared, is the person's graph", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { following: 4 });
  const { changeTracker } = page.tab;
  await page.ask("set_fields", { fields: [["Mine.v", 2]] });
  assert.deepEqual(values(await page.ask("export_prompts", variations(5, 6))), [5, 6]);
  assert.equal(changeTracker.activeState.nodes[0].values.v, 2);
  page.app.rootGraph.nodes[0].widgets[0].value = 3;
  await sleep(10);
  assert.equal(changeTracker.activeState.nodes[0].values.v, 3);
  assert.deepEqual(await page.ask("undo"), { done: 1 });
  assert.equal(page.value("Mine"), 1);
});

test("a change that the person begins while a variation is prepared, and ends later, is a step", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { following: 4 });
  const { changeTracker } = page.tab;
  const exported = page.ask("export_prompts", variations(5));
  await sleep(5);
  changeTracker.beforeChange();
  assert.deepEqual(values(await exported), [5]);
  page.app.rootGraph.nodes[0].widgets[0].value = 2;
  changeTracker.afterChange();
  assert.deepEqual([changeTracker.activeState.nodes[0].values.v, changeTracker.undoQueue.length], [2, 1]);
});

test("a page that is left while a variation is prepared saves the person's graph, and prepares no other until it stays", async (context) => {
  const { setTimeout } = globalThis;
  let stay = () => {};
  context.mock.method(globalThis, "setTimeout", (resume, wait) => (wait === LEAVING ? (stay = resume) : setTimeout(resume, wait)));
  const page = showPage([saved(1, "Mine", { v: 1 })], { ...QUICK, following: 4 });
  /** @type {any[]} */
  const savings = [];
  page.api.dispatchCustomEvent = (name, state) => void (name === "graphChanged" && savings.push([page.value("Mine"), state.nodes[0].values.v]));
  const { graphToPrompt } = page.app;
  const slow = Promise.withResolvers();
  const begun = Promise.withResolvers();
  let prepared = 0;
  page.app.graphToPrompt = async () => {
    prepared++;
    begun.resolve();
    await slow.promise;
    return graphToPrompt();
  };
  const exported = page.ask("export_prompts", variations(5, 6));
  await begun.promise;
  await sleep(1);
  assert.equal(page.value("Mine"), 5);
  page.hand("beforeunload");
  slow.resolve();
  await sleep(20);
  // The page saves the graph as it is now when it is left.
  assert.deepEqual([savings, prepared, page.value("Mine")], [[[1, 1]], 1, 1]);
  stay();
  assert.deepEqual(values(await exported), [5, 6]);
});

test("what the page itself changes for a run is in the export, and is put back", async () => {
  const page = showPage([saved(1, "Mine", { v: 1, seed: 40 })], QUICK);
  const seed = () => page.app.rootGraph.nodes[0].widgets[1];
  page.beforeQueued = () => void (seed().value += 1);
  page.afterQueued = () => void (seed().value += 10);
  assert.deepEqual(values(await page.ask("export_prompts", { ...variations(5, 6), seeds: 3 }), "seed"), [41, 52, 63, 41, 52, 63]);
  assert.equal(page.value("Mine", "seed"), 40);
});

test("two values for one field in a variation are refused, since one of them would be lost", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], QUICK);
  const fields = (value) => ({ fields: [["Mine.v", 5], ["#1.v", value]] });
  const { prompts } = await page.ask("export_prompts", { variations: [fields(6), fields(5)] });
  assert.equal(prompts[0].error.code, "invalid");
  assert.equal(prompts[0].error.error, "Mine.v and #1.v are the same field, which can't have two values; name it once.");
  assert.deepEqual(values({ prompts: prompts.slice(1) }), [5]);
  assert.equal(page.value("Mine"), 1);
  const set = await page.ask("set_fields", { fields: [["Mine.v", 5], ["#1.v", 6]] });
  assert.deepEqual(set["Mine.v"], { requested: 5, value: 6, warnings: ["#1.v is the same field and was set to another value later."] });
});

test("notes of packs are put back whatever else is on their nodes", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], QUICK);
  const [node] = page.app.rootGraph.nodes;
  node.runs = 7;
  Object.defineProperty(node, "secret", { value: 5, writable: true });
  Object.defineProperty(node, "computed", { enumerable: true, get: () => assert.fail("it is computed for every export") });
  Object.seal(node);
  page.beforeQueued = () => void ((node.runs += 1), (node.secret += 1));
  assert.deepEqual(values(await page.ask("export_prompts", variations(5, 6))), [5, 6]);
  assert.deepEqual([node.runs, node.secret, page.value("Mine")], [7, 5, 1]);
});

test("a property that is computed once keeps what an export has computed", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], QUICK);
  const [node] = page.app.rootGraph.nodes;
  const once = () => void Object.defineProperty(node, "once", { value: 3, writable: true });
  Object.defineProperty(node, "once", { configurable: true, enumerable: true, get: () => (once(), node.once) });
  page.beforeQueued = () => assert.equal(node.once, 3);
  assert.deepEqual(values(await page.ask("export_prompts", variations(5, 6))), [5, 6]);
  assert.equal(node.once, 3);
});

test("the page computes again what depends on the graph if there are other widgets only, since values are restored", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], QUICK);
  const { rootGraph } = page.app;
  let changes = 0;
  rootGraph.incrementVersion = () => void changes++;
  await page.ask("export_prompts", variations(5, 6));
  assert.equal(changes, 0);
  const [node] = rootGraph.nodes;
  const [widget] = node.widgets;
  const more = { name: "more", value: 3 };
  widget.callback = (value) => void (value === 9 ? node.widgets.push(more) : node.widgets.includes(more) && node.widgets.pop());
  await page.ask("export_prompts", variations(9));
  assert.ok(changes >= 2 && !node.widgets.includes(more));
});

test("what packs note about runs is in the prompts of a variation, and is put back", async () => {
  const page = showPage([saved(1, "Mine", { v: 1, seed: 40 })], QUICK);
  const [node] = page.app.rootGraph.nodes;
  const seed = node.widgets[1];
  // As 1.58 notes promoted seeds, and as packs count runs.
  const noted = new WeakSet();
  const mark = Symbol("mark");
  node.runs = 7;
  node.history = ["kept"];
  page.beforeQueued = () => {
    if (noted.has(seed)) seed.value += node.runs;
    noted.add(seed);
    node.runs += 1;
    seed[mark] = true;
  };
  page.afterQueued = () => void (node.last = page.app.queueItems.length);
  const before = { ...node };
  for (let times = 0; times < 2; times++) {
    assert.deepEqual(values(await page.ask("export_prompts", { ...variations(5, 6), seeds: 3 }), "seed"), [40, 48, 57, 40, 48, 57]);
    assert.deepEqual({ ...node }, before);
    assert.deepEqual([noted.has(seed), Reflect.ownKeys(seed).includes(mark), seed.value], [false, false, 40]);
  }
});

test("a written seed is the one of the first run, and a control that acts before runs draws the others", async () => {
  const page = showPage([saved(1, "Mine", { v: 1, seed: 40 })], QUICK);
  page.settings["Comfy.WidgetControlMode"] = "before";
  const [node] = page.app.rootGraph.nodes;
  const [, seed] = node.widgets;
  const control = { name: "control_after_generate", value: "increment", type: "combo", options: { values: ["fixed", "increment", "decrement", "randomize"] } };
  node.widgets.push(control);
  seed.linkedWidgets = [control];
  page.beforeQueued = () => {
    if (control.executed) seed.value += 1;
    control.executed = true;
  };
  const asked = { variations: [{ fields: [["Mine.seed", 100]] }, { fields: [["Mine.seed", 200]] }], seeds: 3 };
  assert.deepEqual(values(await page.ask("export_prompts", asked), "seed"), [100, 101, 102, 200, 201, 202]);
  assert.deepEqual([seed.value, "executed" in control], [40, false]);
});

test("a variation that can't be exported is reported, and the others are exported", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], QUICK);
  const before = traces(page);
  const wrong = { fields: [["Mine.v", 2], ["Mine.nothing", 3]] };
  const { variations: right } = variations(5, 7);
  assert.deepEqual(values(await page.ask("export_prompts", { variations: [right[0], wrong, right[1]] })), [5, "unknown_path", 7]);
  assert.deepEqual(traces(page), before);
});

test("a pack that fails in an export leaves the graph as it was", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], QUICK);
  const before = traces(page);
  page.app.graphToPrompt = async () => {
    throw new Error("a pack's fault");
  };
  assert.deepEqual(values(await page.ask("export_prompts", variations(5))), ["tab_failed"]);
  assert.deepEqual(traces(page), before);
});

test("a run of the person between two variations has none of their values", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 6 });
  const asked = page.ask("export_prompts", variations(5, 6, 7, 8));
  const person = [];
  for (let times = 0; times < 3; times++) {
    await sleep(5);
    person.push(page.app.queuePrompt(0, 1));
  }
  assert.deepEqual(values(await asked), [5, 6, 7, 8]);
  await Promise.all(person);
  while (page.app.processingQueue) await sleep(1);
  assert.deepEqual(page.queued.map(({ nodes }) => nodes[0].values.v), [1, 1, 1]);
});

test("a write of another program between two variations stays, and is part of those that follow", async () => {
  const page = showPage([saved(1, "Mine", { v: 1, w: 0 })], { exporting: 4 });
  const asked = page.ask("export_prompts", variations(5, 6, 7, 8));
  await sleep(6);
  await page.ask("set_fields", { fields: [["Mine.w", 9]] });
  const answer = await asked;
  assert.deepEqual(values(answer), [5, 6, 7, 8]);
  assert.equal(page.value("Mine", "w"), 9);
  assert.equal(values(answer, "w").at(-1), 9);
});

/** Waits until a variation is in the graph and the page still prepares its prompt. */
async function prepared(page) {
  while (page.value("Mine") === 1) await sleep(1);
}

test("what the person does while a prompt is prepared happens to their own graph, and stays", async () => {
  const page = showPage([saved(1, "Mine", { v: 1, w: 0, seed: 40 })], { exporting: 30 });
  const [, w, seed] = page.app.rootGraph.nodes[0].widgets;
  page.afterQueued = () => void (seed.value += 10);
  const asked = page.ask("export_prompts", variations(5, 6, 7));
  await prepared(page);
  page.hand("pointerdown");
  assert.equal(page.value("Mine"), 1);
  w.value = 9;
  page.tab.changeTracker.checkState();
  const answer = await asked;
  assert.deepEqual([values(answer), values(answer, "w")], [[5, 6, 7], [9, 9, 9]]);
  assert.deepEqual([page.value("Mine"), w.value, seed.value, page.tab.changeTracker.undoQueue.length], [1, 9, 40, 1]);
});

test("the person's undo while a prompt is prepared stays undone", async () => {
  const page = showPage([saved(1, "Mine", { v: 1, w: 0 })], { exporting: 30 });
  page.app.rootGraph.nodes[0].widgets[1].value = 9;
  page.tab.changeTracker.checkState();
  const asked = page.ask("export_prompts", variations(5));
  await prepared(page);
  page.hand("keydown");
  await page.tab.changeTracker.undo();
  assert.deepEqual(values(await asked), [5]);
  assert.deepEqual(traces(page).slice(0, 3), [1, 0, 1]);
  assert.equal(page.value("Mine", "w"), 0);
});

test("a workflow that is opened while a prompt is prepared gets nothing of the variation, and the other one keeps its values", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 30 });
  page.afterQueued = () => void (page.app.rootGraph.nodes[0].widgets[0].value += 10);
  const asked = page.ask("export_prompts", variations(5, 6));
  await prepared(page);
  page.hand("pointerdown");
  assert.equal(page.app.rootGraph.serialize().nodes[0].values.v, 1);
  await page.show(page.another("B", [saved(1, "Other", { v: 9 })]));
  const { prompts, stopped } = await asked;
  assert.deepEqual([prompts, stopped.code, page.value("Other")], [[], "tab_changed", 9]);
});

test("an answer ends with the time that it may take, after a whole variation", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 5 });
  const { variations: all } = variations(...Array(30).keys());
  const made = [];
  while (made.length < 90) {
    const { prompts } = await page.ask("export_prompts", { variations: all.slice(made.length / 3), seeds: 3, within: 20 });
    assert.ok(prompts.length > 0 && prompts.length % 3 === 0 && prompts.length < 90);
    made.push(...values({ prompts }));
  }
  assert.deepEqual(made, [...Array(90).keys()].map((at) => Math.floor(at / 3)));
  const { prompts } = await page.ask("export_prompts", { variations: all, within: 1 });
  assert.equal(prompts.length, 1);
});

test("the graph is compared after the last variation for which there is time", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], QUICK);
  // In the same task as the export before, after which the graph was compared.
  page.app.graphToPrompt = async () => ({ workflow: page.app.rootGraph.serialize(), output: {} });
  const { variations: many } = variations(...Array(20000).keys());
  // The first exports of a page are slow.
  await page.ask("export_prompts", { variations: many.slice(0, 100) });
  const root = page.app.rootGraph;
  const { serialize } = root;
  root.serialize = () => ({ ...serialize(), extra: root.extra });
  let exported = 0;
  page.afterQueued = () => {
    if (exported++) root.extra = "left by a pack";
  };
  const { prompts } = await page.ask("export_prompts", { variations: many, within: 20 });
  assert.ok(prompts.length < 20000);
  assert.equal(page.app.rootGraph.serialize().extra, undefined);
});

test("the page is not held for longer than a slice, whatever an export, saving the graph and checking it take", async (t) => {
  const page = showPage([saved(1, "Mine", { v: 1 })], QUICK);
  let clock = 0;
  t.mock.method(performance, "now", () => clock);
  const { rootGraph } = page.app;
  const { serialize } = rootGraph;
  for (const [saving, exporting, slices] of [[1, 2, 2], [2, 9, 6], [3, 12, 12], [6, 3, 6]]) {
    rootGraph.serialize = () => ((clock += saving), serialize());
    page.app.graphToPrompt = async () => ((clock += exporting), { workflow: serialize(), output: {} });
    const ends = [clock];
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      if (clock > ends.at(-1)) ends.push(clock);
      port2.postMessage(null);
    };
    port2.postMessage(null);
    const exported = values(await page.ask("export_prompts", variations(...Array(12).keys())));
    while (ends.at(-1) < clock) await sleep(1);
    port1.close();
    assert.deepEqual(exported, [...Array(12).keys()]);
    const held = ends.slice(1).map((end, at) => end - ends[at]);
    assert.ok(Math.max(...held) <= 25, held.join());
    assert.equal(held.length, slices);
  }
});

test("exports are not held up by frames unless the person uses the page, and what was to be drawn is drawn afterwards", () => {
  let drawn = 0;
  let dirty = false;
  let isUsed = false;
  const canvas = { draw: () => void drawn++, setDirty: () => void (dirty = true) };
  const end = deferDrawing({ canvas }, () => isUsed);
  canvas.draw();
  assert.equal(drawn, 0);
  isUsed = true;
  canvas.draw();
  assert.equal(drawn, 1);
  canvas.draw(true, true);
  assert.equal(drawn, 1);
  end();
  assert.ok(dirty);
  canvas.draw();
  assert.equal(drawn, 2);
});

test("an answer ends before it is too large for a message", async () => {
  const page = showPage([saved(1, "Mine", { v: "short" })], QUICK);
  const text = "x".repeat(2 ** 21);
  const { prompts } = await page.ask("export_prompts", variations(...Array(20).fill(text).map((one, at) => one + at)));
  assert.ok(prompts.length > 0 && prompts.length < 9, `${prompts.length}`);
});

test("a variation is given up if the person does something each time it is prepared", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 4 });
  const { graphToPrompt } = page.app;
  page.app.graphToPrompt = (...all) => {
    page.hand("wheel");
    return graphToPrompt(...all);
  };
  assert.deepEqual(values(await page.ask("export_prompts", variations(5))), ["conflict"]);
  assert.equal(page.value("Mine"), 1);
});

test("the export ends when another workflow is opened, with what was exported", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 4 });
  const [{ id }] = page.means.tabs.list().tabs;
  const asked = page.ask("export_prompts", variations(...Array(50).keys()), { workflow_tab: id });
  await sleep(20);
  await page.show(page.another("B", [saved(1, "Other", { v: 9 })]));
  const answer = await asked;
  assert.equal(answer.stopped.code, "tab_changed");
  assert.ok(answer.prompts.length < 50);
});

test("pieces of JSON are its text, and prompts of one graph differ in a few of them", () => {
  const made = (v) => ({
    prompt: { 1: { class_type: "T", inputs: { v } }, 2: { class_type: "U", inputs: {} } },
    extra_data: { extra_pnginfo: { workflow: { nodes: [{ id: 1, v }, { id: 2 }], definitions: { subgraphs: [{ id: "s", nodes: [{ v }], links: [] }] } } } },
  });
  const [base, other] = [pieces(made(1)), pieces(made(2))];
  assert.equal(base.join(""), JSON.stringify(made(1)));
  const changes = changedPieces(base, other);
  assert.equal(changes.length, 3);
  for (const [at, text] of changes) base[at] = text;
  assert.equal(base.join(""), JSON.stringify(made(2)));
  assert.equal(changedPieces(base, ["{}"]), null);
});

test("what the page has changed by itself since the last export stays, although nothing hints at it", async () => {
  const page = showPage([saved(1, "Mine", { v: 1, seed: 40 })], QUICK);
  const seed = page.app.rootGraph.nodes[0].widgets[1];
  await page.ask("export_prompts", variations(5));
  // As a seed control does for the person's run.
  seed.value = 41;
  assert.deepEqual(values(await page.ask("export_prompts", variations(6)), "seed"), [41]);
  assert.equal(page.value("Mine", "seed"), 41);
});
