/** Delayed changes of nodes belong to the step before them; changes by the person do not. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createAfterEffects } from "../../../web/graph/aftereffects.js";

class Tracker {
  static graphEqual = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  changeCount = 0;

  constructor(state) {
    this.initialState = this.activeState = state;
  }

  reset(state) {
    this.initialState = this.activeState = state;
  }
}

const node = (id, widgets_values, more = {}) => ({ id, type: "Late", title: `N${id}`, pos: [0, 0], widgets_values, size: [1, 1], ...more });
const graph = (...nodes) => ({ nodes, links: [], groups: [], extra: {} });

/** A page that shows a graph of one node, after a program's step. */
function shown({ how } = {}) {
  const listeners = {};
  const window = { addEventListener: (name, listener) => (listeners[name] = listener) };
  const page = { now: graph(node(1, [1])), tracker: new Tracker(graph(node(1, [1]))), listeners };
  const frontend = { tracker: () => page.tracker, state: () => structuredClone(page.now), onStep: (note) => (page.note = note) };
  page.effects = createAfterEffects(frontend, window);
  if (how === "load") page.effects.follow(page.tracker, true);
  else page.note(page.tracker);
  return page;
}

test("widgets that a node adds to itself after a step are part of it", () => {
  const page = shown();
  page.now = graph(node(1, [1, "late"], { size: [2, 2] }));
  assert.equal(page.effects.settle(), true);
  assert.deepEqual(page.tracker.activeState, page.now);
  assert.deepEqual(page.tracker.initialState, graph(node(1, [1])));
});

test("changes that a graph makes to itself after a load do not mark it as modified", () => {
  const page = shown({ how: "load" });
  page.now = graph(node(1, [1, "late"]));
  assert.equal(page.effects.settle(), true);
  assert.deepEqual(page.tracker.initialState, page.now);
});

const PERSONS = {
  "another title": graph(node(1, [1], { title: "Mine" })),
  "another place": graph(node(1, [1], { pos: [5, 5] })),
  "another mode": graph(node(1, [1], { mode: 4 })),
  "a node more": graph(node(1, [1]), node(2, [])),
  "no node": graph(),
  "a link": { ...graph(node(1, [1])), links: [[1, 1, 0, 1, 0, "INT"]] },
  "a group": { ...graph(node(1, [1])), groups: [{ title: "G" }] },
};

for (const [what, now] of Object.entries(PERSONS)) {
  test(`${what} is a step of its own`, () => {
    const page = shown();
    const { activeState } = page.tracker;
    page.now = now;
    assert.equal(page.effects.settle(), false);
    assert.equal(page.tracker.activeState, activeState);
  });
}

test("changes after an input event may be the person's", () => {
  const page = shown();
  page.now = graph(node(1, [1, "late"]));
  page.listeners.pointerdown();
  assert.deepEqual(page.tracker.activeState, page.now);
  page.now = graph(node(1, [7, "late"]));
  assert.equal(page.effects.settle(), false);
  assert.deepEqual(page.tracker.activeState, graph(node(1, [1, "late"])));
});

test("nothing is taken into the history of another workflow tab, or in the middle of a step", () => {
  const page = shown();
  page.now = graph(node(1, [1, "late"]));
  page.tracker.changeCount = 1;
  assert.equal(page.effects.settle(), false);
  page.tracker = new Tracker(graph(node(1, [1])));
  assert.equal(page.effects.settle(), false);
});

test("a graph that comes back to what it was by itself has undone nothing", async () => {
  const page = shown();
  const before = graph(node(1, [1, "late"]));
  const soon = setTimeout(() => (page.now = before), 10);
  assert.equal(await page.effects.returnsTo(before, graph(node(1, [1]))), true);
  clearTimeout(soon);
});

test("a widget that a person has added is undone, although only widgets differ", async () => {
  const page = shown();
  assert.equal(await page.effects.returnsTo(graph(node(1, [1, "row"])), graph(node(1, [1]))), false);
});

test("another value is seen at once", async () => {
  const page = shown();
  let looks = 0;
  page.tracker.constructor.graphEqual = (a, b) => ++looks && JSON.stringify(a) === JSON.stringify(b);
  assert.equal(await page.effects.returnsTo(graph(node(1, [2])), graph(node(1, [1]))), false);
  assert.equal(looks, 1);
});

test("another size alone is a step", async () => {
  const page = shown();
  assert.equal(await page.effects.returnsTo(graph(node(1, [1], { size: [9, 9] })), graph(node(1, [1]))), false);
});

test("a node that comes back with its late widgets in another size and with the page's mark has undone nothing", async () => {
  const page = shown();
  page.now.extra.workflowRendererVersion = "LG";
  const made = { ...graph(node(1, [1, "late"], { size: [5, 5] })), extra: page.now.extra };
  const soon = setTimeout(() => (page.now = made), 10);
  assert.equal(await page.effects.returnsTo(graph(node(1, [1, "late"])), graph(node(1, [1]))), true);
  clearTimeout(soon);
});
