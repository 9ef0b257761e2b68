/** Rewritten texts, as in the page's own export. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { graph, node } from "../graphs.mjs";
import { expanded, rewriteWarning } from "../../../web/widgets/text_rewrites.js";

/** A node with one text widget, as the page makes one. */
function text(value, facts = { dynamicPrompts: true }) {
  const made = node("T", "T", { text: value });
  Object.assign(made.widgets[0], { serializeValue: () => "", ...facts });
  return { node: made, hosts: [], widget: made.widgets[0] };
}

const FIXED = {
  "": "",
  "a red cube": "a red cube",
  "a // b": "a ",
  "a // b\nc": "a \nc",
  "/* all\nof */ it": " it",
  "http://example.org/a": "http:",
  "{only}": "only",
  "{a|a}": "a",
  "{}": "",
  "a } b | c": "a } b | c",
  "{ unclosed": " unclosed",
  "\\{a\\|b\\}": "{a|b}",
  "{\\|}": "|",
  "a \\ b": "a \\ b",
  "ends \\": "ends \\undefined",
};

for (const [written, runs] of Object.entries(FIXED)) {
  test(`${JSON.stringify(written)} runs as ${JSON.stringify(runs)}`, () => {
    assert.deepEqual([expanded(written).result, expanded(written).drawn], [runs, false]);
    const warning = rewriteWarning(text(written));
    if (written === runs) assert.equal(warning, null);
    else assert.ok(warning.includes(`uses ${JSON.stringify(runs)}`), warning);
  });
}

for (const written of ["{a|b}", "a {b|{c|d}} e", "{a|b", "{{a|b}}", "{a|b} // c"]) {
  test(`of ${written} one choice is drawn at each run`, () => {
    const warning = rewriteWarning(text(written));
    assert.match(warning, /one of its choices, drawn at random/);
    assert.equal(/removes the comments/.test(warning), written.includes("//"));
  });
}

test("a warning holds no more than 200 letters of the text", () => {
  assert.ok(rewriteWarning(text(`${"x".repeat(4_000_000)} // y`)).length < 300);
});

test("braces nested deeper than the page can read end in a warning, not in a fault", () => {
  assert.match(rewriteWarning(text("{".repeat(20_000))), /drawn at random/);
});

test("a text that the page does not rewrite is not warned about", () => {
  const written = "{a|b} // c";
  assert.equal(rewriteWarning(text(written, {})), null);
  assert.equal(rewriteWarning(text(written, { dynamicPrompts: false })), null);
  const late = text(written);
  delete late.widget.serializeValue;
  assert.equal(rewriteWarning(late), null);
  const promoted = text(written);
  promoted.node.subgraph = graph();
  assert.equal(rewriteWarning(promoted), null);
});

test("the page's own primitive is warned about for the text that it feeds", () => {
  const { node: target, widget } = text("");
  target.inputs = [{ name: "text", type: "STRING", widget: { name: widget.name } }];
  const primitive = node("P", "PrimitiveNode", { value: "{a|b}" });
  const root = graph(primitive, target);
  const owner = { node: primitive, hosts: [], widget: primitive.widgets[0] };
  assert.equal(rewriteWarning(owner), null);
  root.links.set(1, { id: 1, origin_id: primitive.id, origin_slot: 0, target_id: target.id, target_slot: 0, type: "STRING" });
  assert.match(rewriteWarning(owner), /drawn at random/);
});

test("a warning about a file name contains the filled-in placeholders, and nothing else is exported", () => {
  const name = (value, facts) => {
    const owner = text(value, facts);
    owner.widget.name = "filename_prefix";
    return rewriteWarning(owner);
  };
  const filled = { serializeValue: () => "out/2026" };
  assert.match(name("out/%date:yyyy%", filled), /now it would be "out\/2026"/);
  assert.match(name("out/%Canvas.width%", filled), /now it would be/);
  for (const plain of ["out", "100%", "out_%batch_num%", "%width%x%height%"]) assert.equal(name(plain, filled), null);
  assert.equal(name("%date:yyyy%", { serializeValue: () => "%date:yyyy%" }), null);
  const throwing = () => {
    throw new Error("no such node");
  };
  assert.equal(name("%date:yyyy%", { serializeValue: throwing }), null);
  assert.equal(name("%date:yyyy%", { serializeValue: async () => "later" }), null);
});
