/** Pictures of a graph show every change, even with unusual nodes. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { differences, takePicture } from "../../../web/graph/diff.js";
import { query } from "../../../web/graph/query.js";
import { createRevisions } from "../../../web/page/revisions.js";
import { graph, node } from "../graphs.mjs";

const circle = {};
circle.self = circle;
const ODD = {
  "a title that is no text": () => node(7, "T", { a: 1 }),
  "a widget without a name": () => node("n", "T", {}, { widgets: [{ type: "custom", value: 1 }] }),
  "a widget that holds a circle": () => node("n", "T", { w: circle }),
  "a widget that holds a BigInt": () => node("n", "T", { w: 1n }),
  "a widget that throws when it is read": () => {
    const value = { enumerable: true, get: () => assert.fail("not ready") };
    return node("n", "T", {}, { widgets: [Object.defineProperty({ name: "w", type: "custom" }, "value", value)] });
  },
};

/** The changes that an action makes to a graph. */
function changesOf(root, change) {
  const before = takePicture(root);
  change();
  return differences(before, takePicture(root)).map(({ kind, what, before: was, after }) => [kind, what, was, after]);
}

for (const [what, odd] of Object.entries(ODD)) {
  test(`${what} hides no change, neither elsewhere nor of the node itself`, () => {
    const strange = odd();
    strange.widgets.push({ name: "v", type: "number", value: 1 });
    const root = graph(strange, node("fine", "T", { b: 1 }));
    const changes = changesOf(root, () => root.nodes.forEach((each) => (each.widgets.at(-1).value = 2)));
    assert.deepEqual(changes, [["widget_changed", "v", 1, 2], ["widget_changed", "b", 1, 2]]);
  });
}

test("a list of the nodes contains the odd ones too", () => {
  const root = graph(...Object.values(ODD).map((odd) => odd()));
  const listed = JSON.parse(JSON.stringify(query(root, {}))).nodes;
  assert.deepEqual(listed.map(({ title }) => title), ["7", "n", "n", "n", "n"]);
  assert.match(listed[2].widgets[0].value, /circular/);
  assert.match(listed[4].widgets[0].value, /not ready/);
});

test("a page whose first workflow has an odd node connects all the same", () => {
  const root = graph(...Object.values(ODD).map((odd) => odd()));
  const workflows = { idOf: () => "tab-1", active() {}, onLoaded() {}, tracker() {}, loading() {} };
  const revisions = createRevisions({ rootGraph: () => root, exports: { isUnderWay: () => false } }, workflows, { performance, addEventListener() {} });
  assert.match(revisions.revision(), /-1$/);
});

test("widgets may have the names of what every object has", () => {
  const root = graph(node("n", "T", { constructor: 1 }));
  root.nodes[0].widgets.push({ name: "__proto__", type: "number", value: 1 });
  assert.deepEqual(changesOf(root, () => (root.nodes[0].widgets[1].value = 2)), [["widget_changed", "__proto__", 1, 2]]);
  const removed = root.nodes[0].widgets.shift();
  assert.deepEqual(changesOf(root, () => root.nodes[0].widgets.push(removed)), [["widget_changed", "constructor", null, 1]]);
});
