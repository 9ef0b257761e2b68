/** Writes of one call take effect in order, all or none. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { graph, host, node as made } from "../graphs.mjs";
import { saved, showPage } from "../page.mjs";
import { indexed } from "../../../web/paths/node_lookup.js";
import { fieldsAt } from "../../../web/paths/paths.js";

const KINDS = { h264: { crf: 19, pix_fmt: "yuv420p" }, gif: { loop: true } };

/** A page with a node whose other widgets are rebuilt by the callback of the first one. */
function rebuilding() {
  const page = showPage([saved(1, "R", { format: "h264", crf: 25, pix_fmt: "old" }), saved(2, "Other", { v: 1 })]);
  const [node] = page.app.rootGraph.nodes;
  node.widgets[0].callback = (format) => {
    node.widgets.splice(1);
    for (const [name, value] of Object.entries(KINDS[format])) node.widgets.push({ name, value, type: typeof value });
  };
  return { page, node, values: () => node.widgets.map(({ name, value }) => [name, value]) };
}

const steps = (page) => page.tab.changeTracker.undoQueue.length;

test("a field that only an earlier write of the same call brings is written, and read from the widget that is there", async () => {
  const { page, values } = rebuilding();
  const answer = await page.ask("set_fields", { fields: [["R.format", "gif"], ["R.loop", false]] });
  assert.deepEqual(Object.values(answer).map(({ value, warnings }) => [value, warnings]), [["gif", []], [false, []]]);
  assert.deepEqual(values(), [["format", "gif"], ["loop", false]]);
  assert.equal(steps(page), 1);
});

test("a value that a later write of the same call changes is reported with a warning", async () => {
  const { page } = rebuilding();
  const answer = await page.ask("set_fields", { fields: [["R.crf", 7], ["R.format", "h264"]] });
  assert.equal(answer["R.crf"].value, 19);
  assert.match(answer["R.crf"].warnings.join(), /holds 19 instead of 7/);
});

for (const [how, fields, code, sentence] of [
  ["takes a later field away", [["Other.v", 2], ["R.format", "gif"], ["R.crf", 7]], "unknown_path", /R\.crf no longer exists once Other\.v, R\.format is set/],
  ["takes an earlier field away", [["R.crf", 7], ["Other.v", 2], ["R.format", "gif"]], "unknown_path", /R\.crf no longer exists once Other\.v, R\.format is set/],
  ["is followed by a wrong value", [["R.format", "gif"], ["R.loop", false], ["Other.v", "x"]], "invalid", /takes a number/],
]) {
  test(`a write that ${how} changes nothing, widgets that were made anew included`, async () => {
    const { page, values } = rebuilding();
    const before = values();
    await assert.rejects(page.ask("set_fields", { fields }), (error) => {
      assert.equal(error.code, code);
      assert.match(error.message, sentence);
      return true;
    });
    assert.deepEqual(values(), before);
    assert.deepEqual([page.value("Other"), steps(page)], [1, 0]);
  });
}

test("a callback that throws during a rollback does not prevent the rest", async () => {
  const { page, node, values } = rebuilding();
  const before = values();
  const { callback } = node.widgets[0];
  node.widgets[0].callback = (format) => {
    callback(format);
    throw new Error("a widget's fault");
  };
  await assert.rejects(page.ask("set_fields", { fields: [["Other.v", 2], ["R.format", "gif"]] }), /a widget's fault/);
  assert.deepEqual(values(), before);
  assert.deepEqual([page.value("Other"), steps(page)], [1, 0]);
});

test("of several writes to one field the last one counts", async () => {
  const { page } = rebuilding();
  const answer = await page.ask("set_fields", { fields: [["Other.v", 2], ["#2.v", 3], ["Other.v", 4]] });
  assert.deepEqual([answer["Other.v"].requested, answer["Other.v"].value, answer["Other.v"].warnings], [4, 4, []]);
  assert.equal(answer["#2.v"].value, 4);
  assert.match(answer["#2.v"].warnings.join(), /Other\.v is the same field and was set to another value later/);
  assert.equal(page.value("Other"), 4);
});

test("a node that a write renames is found by its new name, and by no other's", async () => {
  const { page } = rebuilding();
  const [, other] = page.app.rootGraph.nodes;
  other.widgets[0].callback = (value) => void (other.title = `Set ${value}`);
  await page.ask("set_fields", { fields: [["Other.v", 2], ["Set 2.v", 3], ["R.crf", 1]] });
  assert.deepEqual([other.title, other.widgets[0].value], ["Set 3", 3]);
  await assert.rejects(page.ask("set_fields", { fields: [["Set 3.v", 9], ["Set 3.v", 10]] }), { code: "unknown_path" });
  assert.deepEqual([other.title, other.widgets[0].value], ["Set 3", 3]);
});

for (const dry_run of [true, false]) {
  test(`a batch that is ${dry_run ? "a dry run" : "refused"} leaves rebuilt widgets and other nodes as they were`, async () => {
    const { page, values } = rebuilding();
    const [node, other] = page.app.rootGraph.nodes;
    const { callback } = node.widgets[0];
    node.widgets[0].callback = (format) => {
      callback(format);
      other.widgets[0].value = format;
    };
    const before = values();
    const commands = [{ command: "set_fields", data: { fields: [["R.format", "gif"]] } }, { command: "set_fields", data: { fields: [["R.loop", false]] } }];
    const done = page.ask("batch", { commands: dry_run ? commands : [...commands, { command: "set_node", data: { node: "Nobody" } }], dry_run });
    if (dry_run) assert.equal((await done).applied, false);
    else await assert.rejects(done, { code: "unknown_node" });
    const now = page.app.rootGraph.nodes[0].widgets.map(({ name, value }) => [name, value]);
    assert.deepEqual([now, page.value("Other"), steps(page)], [before, 1, 0]);
  });
}

test("a path means the same whether it is looked up alone or with many", () => {
  const inner = made("In.ner", "Type", { a: 1 });
  const root = graph(
    made("Title", "Type", { a: 1, b: 2 }),
    made("Title", "Other.Type", { a: 1 }),
    made("Title.a", "Type", { b: 1 }),
    made("Type", "Type", { a: 1 }),
    made("ΣΑΣ/x[1]", "T", { value: 1 }),
    made("", "12", { value: 1 }, { id: "7:3" }),
    host("Outer", [inner], [["a", inner, "a"]], { id: 70 }),
  );
  const names = ["Title", "title", "Title[1]", "Type", "Other.Type", '"Title.a"', "Title.a", "ΣΑΣ/x[1]", "σας/x[1]", "12", "#7:3", "#70", "Outer", "#70/In.ner", "Outer/Type"];
  const paths = [...names, "a", "#70:" + inner.id, "Nothing", ""].flatMap((name) => [name, `${name}.a`, `${name}.b`, `${name}[0].a`, `${name}.value`]);
  const alone = paths.map((path) => fieldsAt(root, path));
  indexed(() => paths.forEach((path, at) => assert.deepEqual(fieldsAt(root, path), alone[at], path)));
  assert.ok(alone.filter((fields) => fields.length > 0).length > 25);
});

test("many writes do not look at every node for each of them", async () => {
  const COUNT = 400;
  const page = showPage(Array.from({ length: COUNT }, (_, at) => saved(at + 1, `Node ${at}`, { v: 0 })));
  let reads = 0;
  for (const node of page.app.rootGraph.nodes) {
    const { title } = node;
    Object.defineProperty(node, "title", { get: () => (reads++, title) });
  }
  const fields = Array.from({ length: COUNT }, (_, at) => [at % 2 ? `#${at + 1}.v` : `Node ${at}.v`, 1]);
  await page.ask("set_fields", { fields });
  assert.ok(reads < 40 * COUNT, `${reads} reads of titles`);
});

test("a call that is refused makes no step of what the page has changed by itself", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  page.app.rootGraph.nodes[0].title = "Drifted";
  for (const command of ["set_fields", "execute"]) await assert.rejects(page.ask(command, { fields: [["#1.v", "x"]] }), { code: "invalid" });
  const { undoQueue, changeCount } = page.tab.changeTracker;
  assert.deepEqual([undoQueue.length, changeCount], [0, 0]);
});
