/** Edits are carried out all or nothing, and failed rollbacks are reported. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage, sleep } from "../page.mjs";

const NODES = [saved(1, "Mine", { v: 1 }), saved(2, "Other", { v: 1 }), saved(3, "Third", { v: 1 })];
const REMOVE = { command: "remove_node", data: { nodes: ["Mine"] } };
const FAIL = { command: "set_node", data: { node: "Nobody" } };

/** Makes the page fail to restore a state. */
function breakLoads(page) {
  const { loadGraphData } = page.app;
  page.app.loadGraphData = async () => {
    page.app.loadGraphData = loadGraphData;
    throw new Error("an extension's fault");
  };
}

test("a batch that could not be rolled back reports what is left of it", async () => {
  const page = showPage(NODES);
  breakLoads(page);
  await assert.rejects(page.ask("batch", { commands: [REMOVE, FAIL] }), (error) => {
    assert.equal(error.code, "tab_failed");
    assert.match(error.message, /Command 1 \(set_node\).*Nobody.*; the page did not restore Mine: an extension's fault/);
    assert.doesNotMatch(error.message, /nothing was changed/);
    const { index, command, changes } = error.details;
    assert.deepEqual([index, command, changes.map(({ kind }) => kind)], [1, "set_node", ["node_removed"]]);
    return true;
  });
});

test("writes after a batch that could not be rolled back are undo steps of their own", async () => {
  const page = showPage(NODES);
  breakLoads(page);
  await assert.rejects(page.ask("batch", { commands: [REMOVE, FAIL] }));
  for (const value of [2, 3]) await page.ask("set_fields", { fields: [["Other.v", value]] });
  assert.equal(page.tab.changeTracker.changeCount, 0);
  assert.equal(page.tab.changeTracker.undoQueue.length, 2);
});

test("a dry run that the page does not roll back is an error", async () => {
  const page = showPage(NODES);
  // 1.58 goes on as if nothing was when a load answers false.
  page.tab.changeTracker.updateState = async () => {};
  await assert.rejects(page.ask("batch", { commands: [REMOVE], dry_run: true }), {
    code: "tab_failed",
    message: /dry run, but the page did not restore Mine\./,
  });
});

test("a dry run leaves everything as it was, and returns what it would have changed", async () => {
  const page = showPage(NODES);
  const answer = await page.ask("batch", { commands: [REMOVE], dry_run: true });
  assert.deepEqual(answer.changes.map(({ kind, path }) => [kind, path]), [["node_removed", "Mine"]]);
  assert.deepEqual(page.titles(), ["Mine", "Other", "Third"]);
});

test("a value that no workflow is saved with does not count as left behind", async () => {
  const page = showPage(NODES);
  let shown = 0;
  page.dress = (node) => node.widgets.push({ name: "result", type: "text", value: `result ${++shown}`, serialize: false });
  page.app.rootGraph.nodes.forEach(page.dress);
  page.app.rootGraph.serialize = () => ({ nodes: page.titles().map((title) => NODES.find((node) => node.title === title)), links: [] });
  assert.equal((await page.ask("batch", { commands: [REMOVE], dry_run: true })).applied, false);
});

test("a write that waits for the rollback of a batch is an undo step", async () => {
  const page = showPage(NODES);
  const batch = page.ask("batch", { commands: [REMOVE], dry_run: true });
  await sleep(1);
  await page.ask("set_fields", { fields: [["Other.v", 9]] });
  await batch;
  assert.equal(page.value("Other"), 9);
  assert.deepEqual([page.tab.changeTracker.undoQueue.length, page.tab.changeTracker.changeCount], [1, 0]);
});

test("a removal that fails half way is rolled back", async () => {
  const page = showPage(NODES);
  page.app.rootGraph.nodes[1].onRemoved = () => {
    throw new Error("a node's fault");
  };
  await assert.rejects(page.ask("remove_node", { nodes: ["Mine", "Other"] }), /a node's fault/);
  assert.deepEqual(page.titles(), ["Mine", "Other", "Third"]);
  assert.deepEqual([page.tab.changeTracker.undoQueue.length, page.tab.changeTracker.changeCount], [0, 0]);
});

test("a node that fails as it is added is not there afterwards", async () => {
  const page = showPage(NODES);
  const { create } = page;
  page.create = (type) => Object.assign(create(type), { onAdded: () => assert.fail("a node's fault") });
  await assert.rejects(page.ask("add_node", { type: "T" }), /a node's fault/);
  assert.deepEqual(page.titles(), ["Mine", "Other", "Third"]);
});

test("a node whose size fails keeps its title", async () => {
  const page = showPage(NODES);
  page.app.rootGraph.nodes[0].computeSize = () => assert.fail("a node's fault");
  await assert.rejects(page.ask("set_node", { node: "Mine", title: "Yours", size: [10, 10] }), /a node's fault/);
  assert.deepEqual(page.titles(), ["Mine", "Other", "Third"]);
});

test("an edit that is refused loads nothing anew", async () => {
  const page = showPage(NODES);
  const root = page.app.rootGraph;
  for (const command of ["remove_node", "disconnect", "add_group"]) {
    await assert.rejects(page.ask(command, { nodes: ["Nobody"], field: "Nobody.inputs[0]", title: "Group" }));
  }
  assert.equal(page.app.rootGraph, root);
});

/** Two nodes feed one input; the third takes from the first. */
function linkedPage() {
  const page = showPage(NODES);
  page.dress = (node) => {
    node.outputs = [{ name: "IMAGE", type: "IMAGE" }];
    node.inputs = [{ name: "image", type: "IMAGE" }];
    node.connect = (slot, target, at) => {
      const { links } = page.app.rootGraph;
      for (const [id, link] of links) if (link.target_id === target.id && link.target_slot === at) links.delete(id);
      const link = { id: 7, origin_id: node.id, origin_slot: slot, target_id: target.id, target_slot: at, type: "IMAGE" };
      if (target.refuses) return null;
      links.set(7, link);
      return link;
    };
    node.disconnectInput = () => page.app.rootGraph.links.clear();
  };
  page.app.rootGraph.nodes.forEach(page.dress);
  const [first, , third] = page.app.rootGraph.nodes;
  first.connect(0, third, 0);
  page.tab.changeTracker.checkState();
  return page;
}

const feeds = async (page) => (await page.ask("get_fields", { fields: ["Third.inputs[0]"] }))["Third.inputs[0]"]?.title;

test("a link that a node refuses leaves the one that was there", async () => {
  const page = linkedPage();
  page.app.rootGraph.nodes[2].refuses = true;
  await assert.rejects(page.ask("set_connection", { field: ["Other.outputs[0]", "Third.inputs[0]"] }), {
    code: "invalid",
    message: "One of the two nodes refuses a link from Other.outputs[0] to Third.inputs[0]; nothing was changed.",
  });
  assert.equal(await feeds(page), "Mine");
});

test("a link between two types is refused by their names", async () => {
  const page = linkedPage();
  page.app.rootGraph.nodes[2].inputs[0].type = "MASK";
  page.app.rootGraph.nodes[2].refuses = true;
  await assert.rejects(page.ask("set_connection", { field: ["Other.outputs[0]", "Third.inputs[0]"] }), {
    code: "invalid",
    message: "Other.outputs[0] (IMAGE) does not fit Third.inputs[0] (MASK); nothing was changed.",
  });
  assert.equal(await feeds(page), "Mine");
});

for (const command of ["set_connection", "disconnect"]) {
  test(`a node that fails in ${command} leaves the links that were there, and its words are a detail`, async () => {
    const page = linkedPage();
    const { links } = page.app.rootGraph;
    const [, other, third] = page.app.rootGraph.nodes;
    const fail = (link) => {
      links.clear();
      if (link) links.set(9, link);
      throw new Error("a node's fault");
    };
    other.connect = () => fail({ id: 9, origin_id: 2, origin_slot: 0, target_id: 3, target_slot: 0, type: "IMAGE" });
    third.disconnectInput = () => fail();
    const field = command === "disconnect" ? "Third.inputs[0]" : ["Other.outputs[0]", "Third.inputs[0]"];
    await assert.rejects(page.ask(command, { field }), (error) => {
      assert.match(error.message, /failed in the page, and nothing was changed: a node's fault\.$/);
      assert.deepEqual([error.code, error.details.reason], ["tab_failed", "a node's fault"]);
      return true;
    });
    assert.equal(await feeds(page), "Mine");
    assert.deepEqual([page.tab.changeTracker.undoQueue.length, page.tab.changeTracker.changeCount], [1, 0]);
  });
}

test("an input is not taken for the output of the same number", async () => {
  const page = linkedPage();
  const field = { from: "Mine.inputs[0]", to: "Third.inputs[0]" };
  await assert.rejects(page.ask("disconnect", { field }), { code: "invalid", message: /is not an output/ });
  assert.equal(await feeds(page), "Mine");
  await page.ask("disconnect", { field: { from: "Mine.outputs[0]", to: "Third.inputs[0]" } });
  assert.equal(await feeds(page), undefined);
});
