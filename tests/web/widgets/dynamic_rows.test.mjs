/** Widgets that packs draw themselves: rows of objects, decorations, and rows that a node adds. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage } from "../page.mjs";

const draw = () => {};
const row = (name, value) => ({ name, type: "custom", draw, value });
const one = { on: true, lora: "a.safetensors", strength: 1, strengthTwo: null };

/** A page with a node of rows between decorations. */
function rows(add) {
  const page = showPage([saved(1, "PL")]);
  page.dress = (node) => {
    if (node.title !== "PL") return;
    node.counter = 1;
    node.widgets.push(
      row("divider", {}),
      row("Header", { type: "HeaderWidget" }),
      row("lora_1", { ...one }),
      { ...row("Add", ""), mouseClickCallback: draw },
      { name: "More", type: "button", value: undefined, callback: () => {} },
    );
    add?.(node);
  };
  page.app.rootGraph.nodes.forEach(page.dress);
  return page;
}

const addMethod = (node) => {
  node.addNewLoraWidget = () => void node.widgets.splice(-2, 0, row(`lora_${++node.counter}`, { ...one, lora: null }));
};
const set = async (page, path, value) => (await page.ask("set_fields", { fields: [[path, value]] }))[path];

test("an object is merged over the present one, and neither of the two is changed", async () => {
  const page = rows();
  const before = page.value("PL", "lora_1");
  const asked = { strength: 0.5 };
  const { requested, value, warnings } = await set(page, "#1.lora_1", asked);
  assert.deepEqual([requested, value, warnings], [{ strength: 0.5 }, { ...one, strength: 0.5 }, []]);
  assert.deepEqual([asked, before], [{ strength: 0.5 }, one]);
});

test("a value of another JSON type is refused, by the key where it is inside", async () => {
  const page = rows();
  for (const wrong of ["x", 5, true, null, [one]]) await assert.rejects(set(page, "#1.lora_1", wrong), { code: "invalid" });
  await assert.rejects(set(page, "#1.lora_1", { on: "yes" }), { code: "invalid", message: /lora_1: on takes a boolean, not "yes"/ });
  assert.deepEqual(page.value("PL", "lora_1"), one);
  assert.deepEqual((await set(page, "#1.lora_1", { lora: null, strengthTwo: 2 })).value, { ...one, lora: null, strengthTwo: 2 });
});

test("a list is replaced as a whole by items of the types it has", async () => {
  const page = showPage([saved(1, "L", { loras: [{ name: "a" }], any: [] })]);
  for (const wrong of [{ name: "a" }, ["a"], [{ name: "a" }, 5]]) await assert.rejects(set(page, "L.loras", wrong), { code: "invalid" });
  assert.deepEqual((await set(page, "L.loras", [{ name: "b" }, { name: "c" }])).value, [{ name: "b" }, { name: "c" }]);
  assert.deepEqual((await set(page, "L.any", [1, "a"])).value, [1, "a"]);
});

test("the keys that a widget makes something else of are named", async () => {
  const page = showPage([saved(1, "L")]);
  const widget = { name: "plain", type: "custom", draw };
  page.app.rootGraph.nodes[0].widgets.push(widget);
  let held = { on: true, strength: 1 };
  Object.defineProperty(widget, "value", { get: () => held, set: ({ on, strength }) => (held = { on, strength: Math.min(strength, 2) }) });
  const { warnings } = await set(page, "L.plain", { strength: 5, extra: { deep: 1 } });
  assert.deepEqual(warnings, ["The widget holds strength 2 instead of 5, no extra."]);
});

test("an object that could not be written is put back whole", async () => {
  const page = rows();
  const fields = [["#1.lora_1", { strength: 9 }], ["#1.nothing", 1]];
  await assert.rejects(page.ask("set_fields", { fields }), { code: "unknown_path" });
  assert.deepEqual(page.value("PL", "lora_1"), one);
});

test("headers, dividers and buttons are no fields", async () => {
  const page = rows();
  const { nodes } = await page.ask("query_fields");
  assert.deepEqual(nodes[0].widgets.map(({ name }) => name), ["lora_1"]);
  assert.deepEqual(Object.keys(await page.ask("get_fields", { fields: ["PL"] })), ["PL"]);
  for (const name of ["divider", "Header", "Add"]) {
    await assert.rejects(set(page, `#1.${name}`, {}), { code: "invalid", message: /is only for show and has no value/ });
  }
  await assert.rejects(set(page, "PL.More", "x"), { code: "invalid", message: /is a button and has no value/ });
  await assert.rejects(set(page, "divider", {}), { code: "unknown_path" });
});

test("a widget drawn by a pack that has a value or a callback stays a field", async () => {
  const page = showPage([saved(1, "C")]);
  const kept = [row("text", "x"), { ...row("empty", ""), callback: draw }, row("plain", ""), row("list", []), row("rows", { a: 1 })];
  const canvas = Object.assign(Object.create({ get value() { return ""; } }), { name: "canvas", type: "div", element: {}, options: {} });
  page.app.rootGraph.nodes[0].widgets.push(...kept, canvas);
  const { nodes } = await page.ask("query_fields");
  assert.deepEqual(nodes[0].widgets.map(({ name }) => name), ["text", "empty", "plain", "list", "rows"]);
});

test("widgets of one name are distinguished by their labels", async () => {
  const page = showPage([saved(1, "G")]);
  const labelled = (label) => ({ ...row("TOGGLE", { toggled: false }), label });
  page.app.rootGraph.nodes[0].widgets.push(labelled("Enable A"), labelled("Enable B"));
  await set(page, "G.Enable B", { toggled: true });
  assert.deepEqual(page.app.rootGraph.nodes[0].widgets.map(({ value }) => value.toggled), [false, true]);
  const error = await page.ask("get_fields", { fields: ["G"] }).catch((caught) => caught);
  assert.deepEqual(error.details.candidates, ["G.TOGGLE", "G.Enable B"]);
});

for (const type of ["easyHidden", "tschide", "converted-widget", "labHidden:x"]) {
  test(`a combo whose type is ${type} takes its choices and nothing else`, async () => {
    const page = showPage([saved(1, "H", { w: "a" })]);
    const [widget] = page.app.rootGraph.nodes[0].widgets;
    for (const values of [["a", "b"], () => ["a", "b"], { a: "A", b: "B" }]) {
      Object.assign(widget, { type, options: { values } });
      await assert.rejects(set(page, "H.w", "nope"), { code: "invalid", message: /does not offer "nope"/ });
      assert.equal((await set(page, "H.w", "b")).value, "b");
    }
    const { nodes } = await page.ask("query_fields");
    assert.deepEqual(nodes[0].widgets[0].options, ["a", "b"]);
  });
}

for (const [how, add] of [
  ["method", addMethod],
  ["button", (node) => {
    const more = node.widgets.at(-1);
    more.name = "Add row";
    more.callback = () => void node.widgets.splice(-2, 0, row(`lora_${++node.counter}`, { ...one, lora: null }));
  }],
]) {
  test(`a row is added by the node's own ${how} and written, as one step`, async () => {
    const page = rows(add);
    const fields = [["#1.lora_2", { lora: "b" }], ['#1."lora_3"', { lora: "c", strength: 2 }]];
    const answer = await page.ask("set_fields", { fields });
    assert.deepEqual(answer["#1.lora_2"].value, { ...one, lora: "b" });
    assert.equal(page.value("PL", "lora_3").strength, 2);
    assert.equal(page.tab.changeTracker.undoQueue.length, 1);
  });
}

test("a row of a call that fails is taken away, and can be added again under its name", async () => {
  const page = rows(addMethod);
  const names = () => page.app.rootGraph.nodes[0].widgets.map(({ name }) => name);
  const before = names();
  for (const _ of [1, 2]) {
    await assert.rejects(page.ask("set_fields", { fields: [["#1.lora_2", { lora: "b" }], ["#1.lora_3", { on: 7 }]] }), { code: "invalid" });
    assert.deepEqual(names(), before);
  }
  assert.equal((await set(page, "#1.lora_2", { lora: "b" })).value.lora, "b");
});

test("a row that is not the next one, or that no way of the node adds, is unknown", async () => {
  const page = rows(addMethod);
  await assert.rejects(set(page, "#1.lora_7", {}), { code: "unknown_path", message: /is called lora_2/ });
  await assert.rejects(set(page, "#1.text_2", {}), { code: "unknown_path" });
  await assert.rejects(set(rows(), "#1.lora_2", {}), { code: "unknown_path" });
});

test("a node whose type is not installed is not written, and says so", async () => {
  const page = showPage([saved(1, "Known", { v: 1 }), { ...saved(2, "Lost", { UNKNOWN: 593927061734313 }), type: "NotInstalled" }]);
  page.app.rootGraph.nodes[1].last_serialization = { type: "NotInstalled" };
  const fields = [["Known.v", 2], ["#2.UNKNOWN", 593927061734314]];
  await assert.rejects(page.ask("set_fields", { fields }), { code: "unknown_node_type", message: /"NotInstalled" is not installed/ });
  assert.deepEqual([page.value("Known"), page.value("Lost", "UNKNOWN")], [1, 593927061734313]);
});

test("a switch that acts by itself is switched, not only shown as switched, and back when a later write fails", async () => {
  const page = showPage([saved(1, "G"), saved(2, "Other", { v: 1 })]);
  const [node, other] = page.app.rootGraph.nodes;
  node.widgets.push({
    ...row("TOGGLE", { toggled: false }),
    toggle(on) {
      this.value.toggled = on;
      other.mode = on ? 0 : 2;
    },
  });
  assert.deepEqual((await set(page, "G.TOGGLE", { toggled: true })).value, { toggled: true });
  assert.equal(other.mode, 0);
  await assert.rejects(page.ask("set_fields", { fields: [["G.TOGGLE", { toggled: false }], ["Other.v", "x"]] }), { code: "invalid" });
  assert.deepEqual([other.mode, page.value("G", "TOGGLE")], [0, { toggled: true }]);
});
