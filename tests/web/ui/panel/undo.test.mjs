/** Taking back what a program did: only in the page and workflow tab it was done in, and only while it is still there. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { fieldsAt } from "../../../../web/paths/paths.js";
import { canUndo, undoChanges } from "../../../../web/ui/panel/undo.js";
import { graph, node } from "../../graphs.mjs";

const HERE = { webui: 2, tab: "tab-1" };
const added = { kind: "node_added", path: "Note", node: "7", what: "", before: null, after: { type: "T", title: "Note" }, cut: false, ...HERE };
const widened = { kind: "widget_changed", path: "Note.width", node: "7", what: "width", before: 1, after: 2, cut: false, ...HERE };

function setUp(title = "Note") {
  const root = graph(node(title, "T", { width: 2 }, { id: 7 }));
  root.remove = (gone) => root.nodes.splice(root.nodes.indexOf(gone), 1);
  return { root, frontend: { rootGraph: () => root, undoStep: (change) => change(), repaint() {} } };
}

const entry = (...changes) => ({ changes, changes_total: changes.length });

/** Nodes in a row, and the change that linked each to the one after it. */
function chain(count) {
  const slots = { inputs: [{ name: "in" }], outputs: [{ name: "out" }] };
  const nodes = Array.from({ length: count }, (_, at) => node(`Node ${at}`, "T", { a: 1, b: 2, c: 3, d: 4, e: 5 }, slots));
  const root = graph(...nodes);
  const changes = nodes.slice(1).map((target, at) => {
    root.links.set(at, { id: at, origin_id: nodes[at].id, origin_slot: 0, target_id: target.id, target_slot: 0 });
    const link = { from: `Node ${at}.outputs[0]`, to: `Node ${at + 1}.inputs[0]` };
    return { kind: "link_added", path: link.to, node: String(target.id), what: "", before: null, after: link, cut: false, ...HERE };
  });
  return { root, frontend: { rootGraph: () => root }, changes };
}

test("what a program did in the shown workflow of this page can be taken back", () => {
  const { root, frontend } = setUp();
  assert.equal(canUndo(frontend, HERE, entry(added)), true);
  assert.equal(canUndo(frontend, HERE, entry(widened)), true);
  undoChanges(frontend, HERE, entry(added));
  assert.deepEqual(root.nodes, []);
});

for (const [where, shown] of [["in another workflow tab", { ...HERE, tab: "tab-2" }], ["in another browser", { ...HERE, webui: 3 }]]) {
  test(`what a program did ${where} is never taken back from this graph`, () => {
    const { root, frontend } = setUp();
    for (const change of [added, widened]) {
      assert.equal(canUndo(frontend, shown, entry(change)), false);
      assert.throws(() => undoChanges(frontend, shown, entry(change)), { code: "conflict" });
    }
    assert.deepEqual([root.nodes.length, root.nodes[0].widgets[0].value], [1, 2]);
  });
}

test("a node that was added is not taken for another one that has its id now", () => {
  const { frontend } = setUp("My precious");
  assert.equal(canUndo(frontend, HERE, entry(added)), false);
});

test("a link can be taken back or put back only while both of its ends are there", () => {
  const { root, frontend, changes } = chain(3);
  const removed = { ...changes[0], kind: "link_removed", before: changes[0].after, after: null };
  assert.equal(canUndo(frontend, HERE, entry(changes[0])), true);
  assert.equal(canUndo(frontend, HERE, entry(removed)), false);
  root.links.clear();
  assert.equal(canUndo(frontend, HERE, entry(changes[0])), false);
  assert.equal(canUndo(frontend, HERE, entry(removed)), true);
  root.nodes[0].title = "Renamed since";
  assert.equal(canUndo(frontend, HERE, entry(removed)), false);
});

/** How often properties of nodes are read while `look` is called with a chain whose first node was renamed. */
function readsOfNodes(count, look) {
  const { root, frontend, changes } = chain(count);
  root.nodes[0].title = "Renamed since";
  let reads = 0;
  const counting = { get: (node, name, receiver) => (reads++, Reflect.get(node, name, receiver)) };
  root.nodes = root.nodes.map((one) => new Proxy(one, counting));
  look(frontend, changes[0], root);
  return reads;
}

test("to know whether a link can be taken back only its ends are looked up, also if a node was renamed", () => {
  const ask = (frontend, change) => assert.equal(canUndo(frontend, HERE, entry(change)), false);
  const lookUp = (_frontend, { after }, root) => [fieldsAt(root, after.from, "outputs"), fieldsAt(root, after.to, "inputs")];
  const [few, many] = [readsOfNodes(100, ask), readsOfNodes(400, ask)];
  assert.ok(many < 5 * few, `${few} reads for 100 nodes, ${many} for 400`);
  // Also finding the node of the change reads each once; to suggest paths in place of the old one takes more than this.
  assert.ok(many < 2 * readsOfNodes(400, lookUp), `${many} reads`);
});
