/** Failed edits and dry runs are rolled back: nodes, added choices, and the view. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage } from "../page.mjs";

const NODES = ["Mine", "Other", "Third", "Fourth", "Fifth", "Sixth"].map((title, at) => saved(at + 1, title, { v: 1 }));
const FAIL = { command: "set_node", data: { node: "Nobody" } };

const at = (page, title) => page.app.rootGraph.nodes.find((node) => node.title === title);
const fail = (page, ...commands) => assert.rejects(page.ask("batch", { commands: [...commands, FAIL] }), { code: "unknown_node" });
const steps = ({ tab }) => [tab.changeTracker.undoQueue.length, tab.changeTracker.changeCount];

/** A page whose nodes have the methods of LiteGraph's. */
function able() {
  const page = showPage(NODES);
  page.dress = (node) =>
    Object.assign(node, {
      setSize: (size) => void (node.size = [...size]),
      collapse: () => void (node.flags.collapsed = !node.flags.collapsed),
      pin: (pinned) => void (node.flags.pinned = pinned),
    });
  page.app.rootGraph.nodes.forEach(page.dress);
  return page;
}

/** A widget that accepts files that it does not list. */
function taker(page, list) {
  const node = at(page, "Mine");
  node.widgets[0] = { name: "v", type: "combo", value: list[0], options: { values: list } };
  node.constructor = { nodeData: { input: { required: { v: [list, { image_upload: true }] } } } };
  return node;
}

test("a callback that throws leaves no trace in its node's properties, title and size", async () => {
  const page = able();
  const node = Object.assign(at(page, "Mine"), { properties: { kept: 1, taken: 2 } });
  node.widgets[0].callback = (value) => {
    if (value === 1) return;
    Object.assign(node.properties, { kept: 9, added: 3 });
    delete node.properties.taken;
    Object.assign(node, { title: "Another", size: [7, 8] });
    throw new Error("a callback's fault");
  };
  await assert.rejects(page.ask("set_fields", { fields: [["Mine.v", 2]] }), /nothing was changed: a callback's fault/);
  assert.deepEqual(node.properties, { kept: 1, taken: 2 });
  assert.deepEqual([node.title, node.size, node.widgets[0].value], ["Mine", [1, 1], 1]);
  assert.deepEqual(steps(page), [0, 0]);
});

test("a callback that throws leaves no choice behind that was added for it, and takes none that it added itself", async () => {
  for (const [own, left] of [[[], ["a.png"]], [["own.png"], ["a.png", "b.png", "own.png"]]]) {
    const page = able();
    const list = ["a.png"];
    taker(page, list).widgets[0].callback = (value) => {
      if (value === "a.png") return;
      list.push(...own);
      throw new Error("a callback's fault");
    };
    await assert.rejects(page.ask("set_fields", { fields: [["Mine.v", "b.png"]] }), /a callback's fault/);
    assert.deepEqual(list, left);
  }
});

test("choices that a batch has added go again, the last one first, and those that others added stay", async () => {
  const page = able();
  const list = ["a.png"];
  taker(page, list);
  const add = (value) => ({ command: "set_fields", data: { fields: [["Mine.v", value]] } });
  await fail(page, add("b.png"), add("c.png"));
  assert.deepEqual([list, at(page, "Mine").widgets[0].value], [["a.png"], "a.png"]);
  at(page, "Mine").widgets[0].callback = (value) => value === "b.png" && list.push("own.png");
  await fail(page, add("b.png"));
  assert.deepEqual(list, ["a.png", "b.png", "own.png"]);
});

test("the appearance of a node is restored exactly", async () => {
  const page = able();
  const node = Object.assign(at(page, "Mine"), { color: "#111", bgcolor: "#222", size: [5, 6], mode: 2, flags: { pinned: true } });
  for (const looks of [
    { title: "Another", pos: [9, 9], mode: "bypassed", color: "#333333", collapsed: true, pinned: false },
    { size: [5, 60] },
    { size: [50, 6] },
    { color: null },
  ]) {
    await fail(page, { command: "set_node", data: { node: "Mine", ...looks } });
    const { title, color, bgcolor, size, pos, mode, flags } = node;
    assert.deepEqual([title, color, bgcolor, size, pos, mode], ["Mine", "#111", "#222", [5, 6], [0, 0], 2]);
    assert.deepEqual(flags, { pinned: true });
  }
  assert.deepEqual(steps(page), [0, 0]);
});

test("a node of a mode that has no name keeps it", async () => {
  const page = able();
  at(page, "Mine").mode = 3;
  await fail(page, { command: "set_node", data: { node: "Mine", title: "Another" } });
  assert.equal(at(page, "Mine").mode, 3);
});

test("changes that a callback made to another node are rolled back too", async () => {
  const page = able();
  at(page, "Mine").widgets[0].callback = (value) => value === 2 && page.app.rootGraph.remove(at(page, "Other"));
  await fail(page, { command: "set_fields", data: { fields: [["Mine.v", 2]] } });
  assert.deepEqual(page.titles(), NODES.map(({ title }) => title));
  assert.equal(page.value("Mine"), 1);
});

test("the commands after the one that failed are not carried out", async () => {
  const page = able();
  const seen = [];
  at(page, "Mine").widgets[0].callback = (value) => void seen.push(value);
  await fail(page, { command: "set_node", data: { node: "Nobody" } }, { command: "set_fields", data: { fields: [["Mine.v", 7]] } });
  assert.equal(seen.includes(7), false);
});

test("a refusal keeps what the command's own said, and its place in the batch", async () => {
  const page = able();
  const wrong = { command: "set_fields", data: { fields: [["Mine.v", "text"]] } };
  await assert.rejects(page.ask("batch", { commands: [wrong] }), (error) => {
    const { index, command, path, expected } = error.details;
    assert.deepEqual([error.code, index, command, path, expected], ["invalid", 0, "set_fields", "Mine.v", "number"]);
    return true;
  });
  for (const command of ["execute", "constructor"]) {
    await assert.rejects(page.ask("batch", { commands: [{ command }] }), { code: "invalid", details: { index: 0, command } });
  }
});

test("at most five places that were not restored are named, and the others counted", async () => {
  for (const [count, more] of [[5, ""], [6, " and 1 more"]]) {
    const page = able();
    page.tab.changeTracker.updateState = async () => {};
    const nodes = NODES.slice(0, count).map(({ title }) => title);
    await assert.rejects(page.ask("batch", { commands: [{ command: "remove_node", data: { nodes } }, FAIL] }), (error) => {
      assert.match(error.message, new RegExp(`the page did not restore Mine, Other, Third, Fourth, Fifth${more}\\.$`));
      assert.equal(error.details.changes.length, count);
      return true;
    });
  }
});

test("view and selection are the same after a rollback", async () => {
  const page = able();
  const { canvas } = page.app;
  Object.assign(canvas.ds, { scale: 2, offset: [30, 40] });
  canvas.selectedItems.add(at(page, "Other"));
  const shown = [];
  canvas.setGraph = (graph) => void (canvas.graph = graph);
  canvas.selectItems = (items) => shown.push(...items.map(({ title }) => title));
  page.configuring = () => {
    canvas.ds.scale = 1;
    canvas.ds.offset[0] = canvas.ds.offset[1] = 0;
    canvas.graph = null;
    shown.push(canvas.pause_rendering);
  };
  await page.ask("batch", { commands: [{ command: "remove_node", data: { nodes: ["Mine"] } }], dry_run: true });
  assert.deepEqual([canvas.ds, shown], [{ scale: 2, offset: [30, 40] }, [true, "Other"]]);
  assert.deepEqual([canvas.graph, canvas.pause_rendering], [page.app.rootGraph, false]);
});

test("an open subgraph stays open after a rollback", async () => {
  const page = able();
  const { canvas } = page.app;
  const inner = { id: "inside", nodes: [], groups: [] };
  page.configuring = () => void (page.app.rootGraph.subgraphs = new Map([["inside", inner]]));
  page.configuring();
  canvas.subgraph = inner;
  canvas.setGraph = (graph) => void (canvas.graph = graph);
  await page.ask("batch", { commands: [{ command: "remove_node", data: { nodes: ["Mine"] } }], dry_run: true });
  assert.equal(canvas.graph, inner);
});

test("the page draws again when a rollback has failed", async () => {
  const page = able();
  page.tab.changeTracker.updateState = async () => assert.fail("an extension's fault");
  const commands = [{ command: "remove_node", data: { nodes: ["Mine"] } }];
  await assert.rejects(page.ask("batch", { commands, dry_run: true }), { code: "tab_failed" });
  assert.equal(page.app.canvas.pause_rendering, false);
});

test("an edit alone that fails is no open step", async () => {
  const page = able();
  await assert.rejects(page.ask("set_node", { node: "Nobody" }), { code: "unknown_node" });
  assert.deepEqual(steps(page), [0, 0]);
  await page.ask("set_node", { node: "Mine", title: "Another" });
  assert.deepEqual(steps(page), [1, 0]);
});
