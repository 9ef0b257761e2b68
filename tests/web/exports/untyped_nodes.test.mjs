/** A node whose type is not installed only prevents runs that need it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { graph, node } from "../graphs.mjs";
import { leaveOut } from "../../../web/exports/untyped_nodes.js";

const TYPES = { SaveImage: { nodeData: { output_node: true } }, EmptyImage: { nodeData: {} }, ImageInvert: { nodeData: {} } };
const frontend = {
  litegraph: () => ({ registered_node_types: TYPES }),
  rootGraph: () => graph(node("Lost", "Gone Node", {}, { id: "8" })),
};

const prompt = (images) => ({
  1: { class_type: "EmptyImage", inputs: {} },
  8: { inputs: { image: ["1", 0] }, _meta: { title: "Lost" } },
  3: { class_type: "ImageInvert", inputs: { image: ["8", 0] } },
  4: { class_type: "SaveImage", inputs: { images: [images, 0] } },
});

test("one that no output needs is left out with a warning", () => {
  const output = prompt("1");
  const [warning] = leaveOut(frontend, output);
  assert.deepEqual(Object.keys(output), ["1", "3", "4"]);
  assert.match(warning, /node #8 "Lost" \(Gone Node\)/);
});

test("one that an output needs is named, and the prompt stays as it is", () => {
  const output = prompt("3");
  assert.throws(() => leaveOut(frontend, output), (error) => {
    assert.deepEqual([error.code, error.details.nodes], ["execution_failed", ["8"]]);
    assert.match(error.message, /needs node #8 "Lost" \(Gone Node\)/);
    return true;
  });
  assert.deepEqual(output, prompt("3"));
});

test("a prompt of installed types stays as it is", () => {
  const output = { 1: { class_type: "EmptyImage", inputs: { image: ["7", 0] } } };
  assert.deepEqual(leaveOut(frontend, output), []);
  assert.deepEqual(Object.keys(output), ["1"]);
});
