/** Writes to widgets: rollbacks of failed writes, and warnings. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage } from "../page.mjs";

test("widgets of one name are each put back to their own value", async () => {
  const page = showPage([saved(1, "Mine", { v: 1 })]);
  const [node] = page.app.rootGraph.nodes;
  const control = (value) => ({ name: "control_after_generate", type: "combo", value, options: { values: ["fixed", "randomize"] } });
  node.widgets.push(control("fixed"), control("randomize"));
  node.widgets[0].callback = (value) => assert.equal(value, 1, "a widget's fault");
  await assert.rejects(page.ask("set_fields", { fields: [["Mine.v", 2]] }), /a widget's fault/);
  assert.deepEqual(node.widgets.map(({ value }) => value), [1, "fixed", "randomize"]);
});

/** A page with a combo that takes uploads. */
function uploads() {
  const page = showPage([saved(1, "Load", { image: "a.png" })]);
  page.dress = (node) => {
    class LoadImage {
      static nodeData = { input: { required: { image: [[], { image_upload: true }] } } };
    }
    Object.setPrototypeOf(node, LoadImage.prototype);
    Object.assign(node.widgets[0], { type: "combo", options: { values: page.files } });
  };
  page.files = ["a.png"];
  page.app.rootGraph.nodes.forEach(page.dress);
  return page;
}

for (const more of [[], [{ command: "remove_group", data: { group: "Frame" } }]]) {
  test(`a dry run ${more.length > 0 ? "that is put back by loading " : ""}leaves no choice behind`, async () => {
    const page = uploads();
    const write = { command: "set_fields", data: { fields: [["Load.image", "b.png"]] } };
    await page.ask("batch", { commands: [write, ...more], dry_run: true }).catch(({ code }) => assert.equal(code, "unknown_group"));
    assert.deepEqual([page.files, page.value("Load", "image")], [["a.png"], "a.png"]);
  });
}

test("a file that is not listed is accepted with a warning, a picture that was just stored without", async () => {
  const page = uploads();
  const written = async (name) => (await page.ask("set_fields", { fields: [["Load.image", name]] }))["Load.image"];
  const { value, warnings } = await written("b.png");
  assert.equal(value, "b.png");
  assert.match(warnings.join(), /does not list "b.png"/);
  assert.deepEqual((await written("a.png")).warnings, []);
  assert.deepEqual((await written("INPUT_Load_0123456789abcdef.png")).warnings, []);
  assert.match((await written("INPUT_mine.png")).warnings.join(), /does not list "INPUT_mine.png"/);
});

test("a field is answered under its path, whatever that is", async () => {
  const page = showPage([saved(1, "__proto__", { v: 1 })]);
  assert.equal(JSON.stringify(await page.ask("get_fields", { fields: ["__proto__"] })), '{"__proto__":1}');
});
