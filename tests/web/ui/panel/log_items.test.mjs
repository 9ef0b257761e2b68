/** The log of programs: who did what in words, bursts as one entry, reads hidden and polling as one line, filters. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { changeText, itemsOf, sentence, wholeChange } from "../../../../web/ui/panel/log_items.js";
import { linesOf } from "../../../../web/ui/panel/text_height.js";

const HOSTILE = '<img src=x onerror="window.hacked = true">';
const ALL = { program: "", kind: "all" };
const DEFAULT = { program: "", kind: "" };

const change = (before, after, path = "Canvas.width") => ({ kind: "widget_changed", path, node: "1", what: path, before, after, cut: false, webui: 1, tab: "tab-1" });
let ids = 0;
function entry(facts = {}) {
  const changes = facts.changes ?? [];
  return { id: ++ids, program: "Blender", kind: "change", command: "set_fields", about: "Canvas.width", time: ids, count: 1, state: "done", code: null, error: null, changes_total: changes.length, ...facts, changes };
}
const drag = (values, facts = {}) => values.slice(1).map((value, at) => entry({ changes: [change(values[at], value)], ...facts }));

test("an entry says in words who did what", () => {
  const said = (facts) => sentence(entry(facts));
  assert.equal(said(), "Blender set Canvas.width");
  assert.equal(said({ command: "run", kind: "run", about: "" }), "Blender ran the workflow");
  assert.equal(said({ command: "arrange", about: "" }), "Blender changed the workflow");
  assert.equal(said({ command: "free_memory", kind: "run", about: "" }), "Blender used free_memory");
  assert.equal(said({ changes: [change(1, 2), change(3, 4, "Canvas.height")] }), "Blender set 2\u00a0values");
  assert.equal(said({ state: "failed" }), "Blender could not change Canvas.width");
  assert.equal(said({ state: "asking" }), "Blender wants to change the workflow");
  const closing = { kind: "load", command: "close_tab", about: "portrait" };
  assert.deepEqual(
    ["done", "failed", "asking"].map((state) => said({ ...closing, state })),
    ["Blender closed portrait", "Blender could not use close_tab (portrait)", "Blender wants to use close_tab"],
  );
});

test("every command that does something has words of its own, or those of its kind", () => {
  const { commands } = JSON.parse(readFileSync(new URL("../../../../client/common/commands.json", import.meta.url), "utf8"));
  for (const command of Object.keys(commands)) assert.doesNotMatch(sentence(entry({ command })), /\{|did\./, command);
});

test("what a program sends stands in a sentence as it is", () => {
  assert.equal(sentence(entry({ program: HOSTILE, about: "{program} $&" })), `${HOSTILE} set {program} $&`);
});

test("a burst is one entry from the first value to the last", () => {
  const items = itemsOf(drag([64, 65, 66, 67]), DEFAULT);
  assert.deepEqual(items.map(({ count, entry: { changes } }) => [count, changes[0].before, changes[0].after]), [[3, 64, 67]]);
});

test("writes of others, to other fields, later, or on another value are not in a burst", () => {
  for (const second of [{ program: "Krita" }, { changes: [change(65, 66, "Canvas.height")] }, { time: 1e6 }, { state: "failed" }, { changes: [change(1, 2)] }]) {
    const first = entry({ changes: [change(64, 65)] });
    assert.equal(itemsOf([first, entry({ changes: [change(65, 66)], ...second })], ALL).length, 2, JSON.stringify(second));
  }
});

test("reads are hidden at first, and all those of a program are one line", () => {
  const poll = () => entry({ kind: "read", command: "get_fields", count: 20 });
  const entries = [poll(), entry(), poll(), entry({ command: "add_node" }), poll(), entry({ kind: "read", state: "failed", error: "No." })];
  assert.deepEqual(itemsOf(entries, DEFAULT).map(({ entry: { kind, state } }) => `${kind} ${state}`), ["read failed", "change done", "change done"]);
  const reads = itemsOf(entries, ALL).filter(({ entry: { kind, state } }) => kind === "read" && state === "done");
  assert.deepEqual(reads.map(({ count }) => count), [60]);
});

test("the filters choose by program and by kind", () => {
  const entries = [entry(), entry({ program: "Krita" }), entry({ kind: "run", command: "run" })];
  assert.equal(itemsOf(entries, { program: "Krita", kind: "" }).length, 1);
  assert.deepEqual(itemsOf(entries, { program: "", kind: "run" }).map(({ entry: { kind } }) => kind), ["run"]);
});

test("a value is short in the line, and whole on hover", () => {
  const long = "a cat ".repeat(40);
  assert.ok(changeText(change("", long)).length < 100);
  assert.ok(wholeChange(change("", long)).includes(long));
});

test("a reason takes as many lines as its words need", () => {
  const measure = (text) => text.length;
  assert.equal(linesOf("", 10, measure), 1);
  assert.equal(linesOf("one two three", 7, measure), 2);
  assert.equal(linesOf("x".repeat(25), 10, measure), 3);
  // As the page breaks it: not between a number and its unit.
  assert.equal(linesOf("one 4\u00a0MB", 5, measure), 2);
  assert.equal(linesOf("one two 4\u00a0MB", 9, measure), 2);
});
