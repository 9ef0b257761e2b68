/** Revisions: which changes make a new one, who caused it, and which refuse a write for an earlier one. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage } from "../page.mjs";

const NODES = ["Mine", "Other", "Third", "Fourth"].map((title, at) => saved(at + 1, title, { v: 1 }));

/** A page with a fake clock, after the first check. */
function still(takes) {
  const page = showPage(NODES, takes);
  page.clock = 10_000;
  page.revision();
  return page;
}

/** A change without any hint of it. */
function edit(page, value, title = "Mine") {
  page.app.rootGraph.nodes.find((node) => node.title === title).widgets[0].value = value;
}

const set = (page, path, value) => page.ask("set_fields", { fields: [[path, value]] });

/** The changes that the refusal of a write for a revision names. */
function refusal(page, revision) {
  try {
    page.means.revisions.require(revision);
  } catch (error) {
    assert.equal(error.code, "revision_changed");
    return error;
  }
  return null;
}

test("an edit that was taken back refuses nothing", async () => {
  const page = still();
  const revision = page.revision();
  await set(page, "Mine.v", 2);
  assert.deepEqual(refusal(page, revision).details.changed, ["Mine.v"]);
  await set(page, "Mine.v", 1);
  assert.notEqual(page.revision(), revision);
  assert.equal(refusal(page, revision), null);
});

test("a change that nothing hints at still refuses", () => {
  const page = still();
  const revision = page.revision();
  edit(page, 2);
  assert.equal(page.revision(), revision);
  const { details } = refusal(page, revision);
  assert.deepEqual(details, { revision: page.revision(), changed: ["Mine.v"], changed_total: 1 });
  assert.equal(refusal(page, undefined), null);
});

test("a refusal names three changes, and says when there are more", () => {
  for (const [count, shown] of [[3, "(Mine.v, Other.v, Third.v)"], [4, "(Mine.v, Other.v, Third.v, …)"]]) {
    const page = still();
    const revision = page.revision();
    for (const { title } of NODES.slice(0, count)) edit(page, 2, title);
    const error = refusal(page, revision);
    assert.ok(error.message.includes(shown), error.message);
    assert.equal(error.details.changed_total, count);
  }
});

test("of the last 32 revisions it is known what has changed since, and of no earlier one", () => {
  const page = still();
  const [first, second] = [0, 1].map((value) => {
    edit(page, value);
    return page.means.revisions.picture() && refusal(page, "none").details.revision;
  });
  for (let value = 2; value < 32; value++) {
    edit(page, value);
    page.means.revisions.picture();
  }
  assert.deepEqual(refusal(page, first).details.changed, ["Mine.v"]);
  edit(page, 32);
  assert.deepEqual(refusal(page, first).details.changed, ["more than this page remembers"]);
  assert.deepEqual(refusal(page, second).details.changed, ["Mine.v"]);
});

test("a text that is being written in the graph refuses, and one that is written elsewhere does not", () => {
  const page = still();
  const revision = page.revision();
  const box = (inGraph) => Object.assign(new page.window.Element(), { closest: () => inGraph, classList: { contains: () => false } });
  page.hand("input", { target: box(null) });
  page.hand("input", { target: page.window });
  assert.equal(page.revision(), revision);
  page.hand("input", { target: box({}) });
  assert.notEqual(page.revision(), revision);
  assert.deepEqual(refusal(page, revision).details.changed, ["a text that is being written"]);
  edit(page, 2);
  assert.deepEqual(refusal(page, revision).details.changed, ["Mine.v"]);
});

test("another size is a change only where the pointer was pressed", () => {
  const page = still();
  const revision = page.revision();
  page.app.rootGraph.nodes[0].size = [9, 9];
  assert.equal(refusal(page, revision), null);
  assert.equal(page.revision(), revision);
  page.hand("pointerdown");
  page.app.rootGraph.nodes[0].size = [99, 99];
  assert.notEqual(page.revision(), revision);
  assert.deepEqual(refusal(page, revision).details.changed, ["Mine size"]);
});

test("another workflow tab is another revision, also where it shows the same", async () => {
  const page = still();
  const revision = page.revision();
  const looks = [];
  page.means.revisions.onChange(({ switched }) => looks.push(switched));
  await page.show(page.another("B", NODES));
  assert.notEqual(page.revision(), revision);
  assert.deepEqual(refusal(page, revision).details.changed, ["another workflow tab is shown"]);
  await set(page, "Mine.v", 2);
  assert.deepEqual(looks, [true, false]);
});

test("a change is looked for while a hand is moving, once a second, and after a step, and else costs nothing", () => {
  const page = still();
  let value = 1;
  const seen = () => {
    const revision = page.revision();
    edit(page, ++value);
    return page.revision() !== revision;
  };
  assert.equal(seen(), false);
  page.clock += 1000;
  assert.equal(seen(), false);
  page.clock += 1;
  assert.equal(page.revision() && seen(), false);
  page.hand("keydown");
  assert.equal(seen(), true);
  page.clock += 999;
  assert.equal(seen(), true);
  page.clock += 1;
  assert.equal(seen(), false);
  page.tab.changeTracker.checkState();
  const before = page.revision();
  edit(page, ++value);
  page.tab.changeTracker.checkState();
  assert.notEqual(page.revision(), before);
});

test("a second after the last look the graph is looked at anew", () => {
  const page = still();
  const revision = page.revision();
  edit(page, 2);
  page.clock += 1001;
  assert.notEqual(page.revision(), revision);
});

for (const [end, seen] of [[null, true], ["pointerup", false], ["pointercancel", false]]) {
  test(`a pointer that is ${end ? `let go (${end})` : "held"} ${seen ? "may change" : "changes"} the graph ${seen ? "at any time" : "no more"}`, () => {
    const page = still();
    page.hand("pointerdown");
    if (end) page.hand(end);
    page.clock += 1000;
    page.means.revisions.picture();
    const revision = page.revision();
    edit(page, 2);
    assert.equal(page.revision() !== revision, seen);
  });
}

test("a drag is a hand's move, and a pointer that only passes is none", () => {
  const page = still();
  const revision = page.revision();
  edit(page, 2);
  page.hand("pointermove", { buttons: 0 });
  assert.equal(page.revision(), revision);
  page.hand("pointermove", { buttons: 1 });
  assert.notEqual(page.revision(), revision);
});

test("nothing is looked at while the page loads, and all of it as soon as it has", async () => {
  const page = still();
  const revision = page.revision();
  const looks = [];
  page.means.revisions.onChange(({ after }) => looks.push(after.nodes.size));
  const load = page.app.loadGraphData({ nodes: NODES.slice(1), links: [] }, true, true, page.tab);
  page.clock += 5000;
  assert.equal(page.revision(), revision);
  assert.equal(page.means.revisions.picture().nodes.size, 4);
  await load;
  await page.means.workflows.idle();
  assert.deepEqual(looks, [3]);
});

test("changes during an export are found after it", async () => {
  const page = still({ exporting: 4 });
  const revision = page.revision();
  const over = page.means.frontend.exports.isUnderWay;
  page.means.frontend.exports.isUnderWay = () => true;
  edit(page, 2);
  page.means.revisions.picture();
  assert.equal(page.revision(), revision);
  page.means.frontend.exports.isUnderWay = over;
  assert.notEqual(page.revision(), revision);
});

/** A page that records changes and who caused them. */
function noted() {
  const page = still();
  const causers = [];
  page.means.revisions.onChange(({ by }) => causers.push(by));
  return { page, causers, by: { program: "p", request: "r" }, ...page.means.revisions };
}

test("changes by a command are attributed to its program, and those before and after it to the person", () => {
  const { page, causers, by, caused, revision } = noted();
  edit(page, 2);
  page.hand("keydown");
  assert.equal(caused(by, () => (edit(page, 3), "done")), "done");
  edit(page, 4);
  revision();
  assert.deepEqual(causers, ["person", by, "person"]);
});

test("the remains of a failed change are attributed to its program, and later changes are not", async () => {
  const { page, causers, by, caused, picture } = noted();
  const fail = () => {
    edit(page, 2);
    throw new Error("a fault");
  };
  assert.throws(() => caused(by, fail), /a fault/);
  edit(page, 3);
  picture();
  await assert.rejects(caused(by, async () => (edit(page, 4), assert.fail("late"))), /late/);
  edit(page, 5);
  picture();
  assert.deepEqual(causers, [by, "person", by, "person"]);
});

test("a change that takes its time is the program's until it is over", async () => {
  const { page, causers, by, caused, picture } = noted();
  const done = caused(by, async () => {
    await Promise.resolve();
    edit(page, 2);
    return "late";
  });
  assert.equal(await done, "late");
  edit(page, 3);
  picture();
  assert.deepEqual(causers, [by, "person"]);
});
