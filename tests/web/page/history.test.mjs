/** Undo, redo and snapshots affect the right steps and restore whole states. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage } from "../page.mjs";

const NODES = [saved(1, "Mine", { v: 1 }), saved(2, "Other", { v: 1 })];

const set = (page, path, value) => page.ask("set_fields", { fields: [[path, value]] });
const values = (page) => [page.value("Mine"), page.value("Other")];

/** A change by the person that the page has not captured yet. */
function edit(page, value) {
  page.app.rootGraph.nodes.find(({ title }) => title === "Mine").widgets[0].value = value;
}

test("a person's edit that was not noted yet is undone before the step under it", async () => {
  const page = showPage(NODES);
  await set(page, "Other.v", 2);
  edit(page, 5);
  assert.deepEqual([await page.ask("undo"), values(page)], [{ done: 1 }, [1, 2]]);
  assert.deepEqual([await page.ask("undo"), values(page)], [{ done: 1 }, [1, 1]]);
  assert.deepEqual([await page.ask("redo", { steps: 5 }), values(page)], [{ done: 2 }, [5, 2]]);
});

test("a person's edit that was not noted yet is no part of a batch after it", async () => {
  const page = showPage(NODES);
  edit(page, 5);
  await page.ask("batch", { commands: [{ command: "set_fields", data: { fields: [["Other.v", 2]] } }] });
  assert.deepEqual([await page.ask("undo"), values(page)], [{ done: 1 }, [5, 1]]);
});

test("a person's edit that was not noted yet is no part of a snapshot's restoring", async () => {
  const page = showPage(NODES);
  await page.ask("take_snapshot", { name: "early" });
  edit(page, 5);
  await page.ask("restore_snapshot", { snapshot: "early" });
  assert.deepEqual(values(page), [1, 1]);
  assert.deepEqual([await page.ask("undo"), values(page)], [{ done: 1 }, [5, 1]]);
  assert.deepEqual([await page.ask("undo"), values(page)], [{ done: 1 }, [1, 1]]);
});

test("nothing is left to redo once a snapshot was restored", async () => {
  const page = showPage(NODES);
  await page.ask("take_snapshot", { name: "early" });
  await set(page, "Mine.v", 2);
  await set(page, "Mine.v", 3);
  await page.ask("undo");
  await page.ask("restore_snapshot", { snapshot: "early" });
  assert.deepEqual([await page.ask("redo"), page.value("Mine")], [{ done: 0 }, 1]);
});

test("a snapshot of what is shown already is restored without a step, and what was undone can be redone", async () => {
  const page = showPage(NODES);
  await page.ask("take_snapshot", { name: "now" });
  await set(page, "Mine.v", 2);
  await page.ask("undo");
  const root = page.app.rootGraph;
  assert.equal((await page.ask("restore_snapshot", { snapshot: "now" })).restored, true);
  assert.equal(page.app.rootGraph, root);
  assert.deepEqual([await page.ask("redo"), page.value("Mine")], [{ done: 1 }, 2]);
});

test("additions of the page to a restored snapshot are not a step", async () => {
  const page = showPage(NODES);
  await page.ask("take_snapshot", { name: "early" });
  await set(page, "Mine.v", 2);
  page.dress = (node) => node.widgets.push({ name: "late", value: 0, type: "number" });
  await page.ask("restore_snapshot", { snapshot: "early" });
  const { undoQueue } = page.tab.changeTracker;
  const steps = undoQueue.length;
  page.tab.changeTracker.checkState();
  assert.equal(undoQueue.length, steps);
});

test("a snapshot comes back whole a second time, whatever the page does to what it was given", async () => {
  const page = showPage(NODES);
  await page.ask("take_snapshot", { name: "early" });
  const { loadGraphData } = page.app;
  page.app.loadGraphData = async (state, ...rest) => {
    await loadGraphData.call(page.app, state, ...rest);
    state.nodes.length = 0;
  };
  for (const value of [2, 3]) {
    await set(page, "Mine.v", value);
    await page.ask("restore_snapshot", { snapshot: "early" });
    assert.deepEqual(values(page), [1, 1]);
  }
});

test("a name means the newest snapshot called so, and an id the one it was given", async () => {
  const page = showPage(NODES);
  const { snapshot } = await page.ask("take_snapshot", { name: "same" });
  await set(page, "Mine.v", 2);
  await page.ask("take_snapshot", { name: "same" });
  await set(page, "Mine.v", 3);
  await page.ask("restore_snapshot", { snapshot: "same" });
  assert.equal(page.value("Mine"), 2);
  await page.ask("restore_snapshot", { snapshot: snapshot.id });
  assert.equal(page.value("Mine"), 1);
  await assert.rejects(page.ask("restore_snapshot", { snapshot: "none" }), {
    code: "unknown_snapshot",
    details: { snapshot: "none", ids: ["snapshot-1", "snapshot-2"] },
  });
});

test("fifty snapshots are kept, and the oldest makes room", async () => {
  const page = showPage(NODES);
  for (let count = 0; count < 51; count++) await page.ask("take_snapshot", {});
  const { snapshots } = await page.ask("list_snapshots");
  assert.deepEqual([snapshots.length, snapshots[0].name, snapshots[49].nodes], [50, "snapshot-2", 2]);
});

test("snapshots are compared in their order, and one alone with the open graph", async () => {
  const page = showPage(NODES);
  await page.ask("take_snapshot", { name: "a" });
  await set(page, "Mine.v", 2);
  await page.ask("take_snapshot", { name: "b" });
  await set(page, "Mine.v", 3);
  const { history } = page.means;
  const change = ({ changes }) => changes.map(({ path, before, after }) => [path, before, after]);
  assert.deepEqual(change(history.compare("a", "b")), [["Mine.v", 1, 2]]);
  assert.deepEqual(change(history.compare("b", "a")), [["Mine.v", 2, 1]]);
  assert.deepEqual(change(history.compare("a")), [["Mine.v", 1, 3]]);
});

test("a step in which nothing changed is neither counted nor left to redo", async () => {
  const page = showPage(NODES);
  await set(page, "Mine.v", 2);
  const { undoQueue, activeState } = page.tab.changeTracker;
  undoQueue.push(structuredClone(activeState));
  assert.deepEqual([await page.ask("undo"), page.value("Mine")], [{ done: 1 }, 1]);
  assert.equal(page.tab.changeTracker.redoQueue.length, 1);
  assert.deepEqual([await page.ask("redo", { steps: 5 }), page.value("Mine")], [{ done: 1 }, 2]);
});

test("several steps each count from the one before", async () => {
  const page = showPage(NODES);
  for (const value of [2, 1, 2]) await set(page, "Mine.v", value);
  assert.deepEqual([await page.ask("undo", { steps: 5 }), page.value("Mine")], [{ done: 3 }, 1]);
});

test("a page that does not undo a step is an error that says how many were done", async () => {
  const page = showPage(NODES);
  for (const value of [2, 3]) await set(page, "Mine.v", value);
  const tracker = page.tab.changeTracker;
  const { undo } = tracker;
  tracker.undo = async () => {
    await undo.call(tracker);
    tracker.undo = async () => {};
  };
  await assert.rejects(page.ask("undo", { steps: 2 }), { code: "tab_failed", details: { done: 1 } });
});

test("an undo that answers before the page has loaded is waited for", async () => {
  const page = showPage(NODES);
  await set(page, "Mine.v", 2);
  const tracker = page.tab.changeTracker;
  const { undo } = tracker;
  tracker.undo = async () => void undo.call(tracker);
  assert.deepEqual([await page.ask("undo"), page.value("Mine")], [{ done: 1 }, 1]);
});
