/** Field paths on plain graphs: corner cases of the grammar, and suggested paths that work. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { described } from "../../../web/graph/nodes.js";
import { resolveNode } from "../../../web/paths/node_paths.js";
import { pathOf, resolve } from "../../../web/paths/paths.js";
import { takePicture } from "../../../web/graph/diff.js";
import { ownerOf, walk } from "../../../web/paths/subgraphs.js";
import { graph, host, node } from "../graphs.mjs";

const value = (root, path) => {
  const { node, hosts, widget } = resolve(root, path);
  return ownerOf({ node, hosts, widget }).widget.value;
};

const refusal = (root, path) => {
  try {
    resolve(root, path);
  } catch (error) {
    return error;
  }
  assert.fail(`${path} was resolved`);
};

test("the order of nodes of one name is that of their ids, not of the list", () => {
  const [first, second] = [node("Twin", "T", { a: 1 }), node("Twin", "T", { a: 2 })];
  const root = graph(second, first);
  assert.equal(value(root, "Twin[0].a"), 1);
  assert.equal(value(root, "Twin[1].a"), 2);
  assert.equal(refusal(root, "Twin[2].a").code, "unknown_path");
});

test("a title beats a type, and a type counts where the title leads nowhere", () => {
  const root = graph(node("Loader", "X", { a: 1 }), node("Other", "Loader", { a: 2, b: 3 }));
  assert.equal(value(root, "loader.a"), 1);
  assert.equal(value(root, "LOADER.b"), 3);
});

test("the longest name wins where it leads to a field", () => {
  const root = graph(node("a", "T", { "b.c": 1, b: 2 }), node("a.b", "T", { c: 3 }), node("a.b.c", "T", { x: 4, y: 5 }));
  assert.equal(value(root, "a.b.c"), 3);
  assert.equal(value(root, '"a".b.c'), 1);
  assert.equal(value(root, "a.b.c.y"), 5);
});

test("a title with slashes is distinguished from a path into a subgraph", () => {
  const inner = node("b", "T", { x: 1 });
  const root = graph(host("a", [inner]), node("a/b", "T", { x: 2 }));
  assert.equal(value(root, "a/b.x"), 2);
  assert.equal(value(root, '"a"/b.x'), 1);
  assert.equal(value(root, '"a"/"b".x'), 1);
});

test("an id is one where a node has it, and a title where none has", () => {
  const root = graph(node("#99", "T", { a: 1 }), node("b", "T", { a: 2 }));
  assert.equal(value(root, "#99.a"), 1);
  assert.equal(value(root, `#${root.nodes[1].id}.a`), 2);
});

test("ids may be texts and hold colons", () => {
  const root = graph(node("a", "T", { x: 1 }, { id: "194:45" }), node("b", "T", { x: 2 }, { id: "loader" }));
  assert.equal(value(root, "#194:45.x"), 1);
  assert.equal(value(root, "#loader.x"), 2);
});

test("letters that grow when they lose their case do not shift a path", () => {
  const root = graph(node("İstanbul", "T", { a: 1 }), node("STRASSE", "T", { b: 2 }));
  assert.equal(value(root, "İstanbul.a"), 1);
  assert.equal(value(root, "strasse.b"), 2);
});

test("a widget is known by its label where no widget has the name", () => {
  const labelled = node("n", "T", { a: 1, b: 2 });
  labelled.widgets[0].label = "b";
  labelled.widgets[1].label = "shown";
  const root = graph(labelled);
  assert.equal(value(root, "n.b"), 2);
  assert.equal(value(root, "n.shown"), 2);
});

test("a bare title stands for the main widget and for nothing when there is none", () => {
  const controlled = node("Seed", "T", { value: 1, control_after_generate: "fixed" });
  controlled.widgets[1].options = { values: ["fixed", "increment", "decrement", "randomize"] };
  const root = graph(controlled, node("Image", "T", { channel: "red", image: "a.png" }), node("Many", "T", { a: 1, b: 2 }));
  assert.equal(value(root, "Seed"), 1);
  assert.equal(value(root, "Image"), "a.png");
  assert.deepEqual(refusal(root, "Many").details.candidates, ["Many.a", "Many.b"]);
});

test("buttons and previews are no fields of their own", () => {
  const loaded = node("Load", "T", { name: "a.png", upload: "x", $$preview: "y" });
  loaded.widgets[1].type = "button";
  assert.equal(value(graph(loaded), "Load"), "a.png");
});

test("a field that is promoted twice is one field", () => {
  const image = node("Image", "EmptyImage", { width: 1 });
  const deep = host("Deep", [image], [["width", image, "width"]]);
  const outer = host("Outer", [deep], [["breadth", deep, "width"]]);
  const root = graph(outer);
  outer.widgets[0].value = 9;
  for (const path of ["Outer.breadth", "Outer/Deep.width", "Outer/Deep/Image.width", "width", "breadth"]) {
    assert.equal(value(root, path), 9, path);
  }
});

test("one subgraph used twice has its inner fields once", () => {
  const image = node("Image", "EmptyImage", { color: 3 });
  const first = host("First", [image]);
  const second = node("Second", "uuid", {}, { subgraph: first.subgraph });
  const root = graph(first, second);
  assert.equal(value(root, "color"), 3);
  assert.equal(value(root, "Second/Image.color"), 3);
});

test("no path is empty, and none of another kind is taken", () => {
  const root = graph(node("a", "T", { x: 1 }));
  for (const path of ["", "  ", null, undefined, 7, {}, ["a.x"]]) assert.equal(refusal(root, path).code, "invalid");
  for (const path of [".", "/", "#", '"', "a.", "a/", ".x", "a..x", "a[", "a[0", "a[-1].x", "a[0]x", '"a"x', "#1[0].x"]) {
    assert.equal(refusal(root, path).code, "unknown_path", path);
  }
});

test("a very long path and a very large graph are answered in time", { timeout: 60_000 }, () => {
  const nodes = Array.from({ length: 1000 }, (_, index) => node(`Node ${index}`, "T", { a: 1, b: 2, c: 3, d: 4, e: 5 }));
  const error = refusal(graph(...nodes), `Node 7${"x".repeat(1900)}.a`);
  assert.equal(error.details.nearest.length, 5);
  assert.ok(error.message.length < 1000);
});

test("whatever the titles, the path of a field leads to it and to no other", () => {
  let state = 7;
  const random = (below) => (state = (state * 48271) % 2147483647) % below;
  const pick = (list) => list[random(list.length)];
  const parts = ["a", "A", "b", ".", "/", "[0]", "#1", '"', "\\", " ", "inputs[0]", "value", "ß", "x.y", ""];
  const word = () => Array.from({ length: 1 + random(3) }, () => pick(parts)).join("");
  const some = (depth) =>
    Array.from({ length: 1 + random(4) }, () => {
      const plain = node(word(), pick(["a", "T.x", "T/y", "b"]), Object.fromEntries([[word() || "w", 1], ["value", 2]]));
      return depth > 0 && random(3) === 0 ? host(word(), some(depth - 1), [["w", plain, "value"]].slice(1)) : plain;
    });
  let checked = 0;
  for (let round = 0; round < 300; round++) {
    const root = graph(...some(2));
    for (const { node: each, hosts } of walk(root)) {
      for (const widget of each.widgets) {
        if (each.widgets.find((one) => one.name.toLowerCase() === widget.name.toLowerCase()) !== widget) continue;
        const path = pathOf(root, { kind: "widget", node: each, hosts, widget });
        const found = resolve(root, path);
        assert.equal(found.node, each, path);
        assert.equal(found.widget, widget, path);
        checked++;
      }
    }
  }
  assert.ok(checked > 1000);
});

test("a title that looks like an id is in quotes, so that its path leads to it and not to the node of that id", () => {
  const root = graph(node("2", "A", { x: 1 }, { id: 1 }), node("Other", "B", { x: 2 }, { id: 2 }));
  const { path } = described(root, { node: root.nodes[0], hosts: [] });
  assert.equal(resolveNode(root, path).node, root.nodes[0]);
  assert.equal(value(root, `${path}.x`), 1);
  assert.equal(takePicture(root).paths.get("1"), path);
  assert.equal(resolveNode(root, "2").node, root.nodes[1]);
});

test("a number past the last node of a title is unknown, and never counts the nodes of a type", () => {
  const root = graph(node("Foo", "KSampler", { seed: 1 }), node("KSampler", "KSampler", { seed: 2 }), node("KSampler", "KSampler", { seed: 3 }));
  assert.deepEqual([0, 1].map((at) => value(root, `KSampler[${at}].seed`)), [2, 3]);
  assert.equal(refusal(root, "KSampler[2].seed").code, "unknown_path");
  const other = graph(node("EmptyImage", "SaveImage", { prefix: "x" }), ...[4, 5].map((width) => node("Picture", "EmptyImage", { width })));
  assert.deepEqual([0, 1].map((at) => value(other, `EmptyImage[${at}].width`)), [4, 5]);
});

test("a letter whose small form depends on its neighbours leads to its node", () => {
  const root = graph(node("ΘΟΡΥΒΟΣ", "RandomNoise", { seed: 1 }));
  for (const path of ["ΘΟΡΥΒΟΣ.seed", '"ΘΟΡΥΒΟΣ".seed', "θορυβος.seed"]) assert.equal(value(root, path), 1, path);
});

test("titles, labels and names that are no texts hide no other field", () => {
  const nameless = node("odd", "T", { a: 1 });
  nameless.widgets.push({ type: "custom", value: 1 }, { name: "b", label: 7, type: "number", value: 2 });
  const root = graph(node(7, "T", { x: 1 }), nameless, node("fine", "T", { y: 3 }));
  assert.deepEqual(["7.x", "odd.b", "fine.y", "fine"].map((path) => value(root, path)), [1, 2, 3, 3]);
  assert.equal(refusal(root, "nothing.z").code, "unknown_path");
  assert.deepEqual([...walk(root)].map((place) => described(root, place).title), ["7", "odd", "fine"]);
});
