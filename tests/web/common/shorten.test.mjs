/** Long values are described by their length, and refused where only a choice or a file name is accepted. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { cut, named } from "../../../web/common/shorten.js";
import { saved, showPage } from "../page.mjs";

const LONG = "x".repeat(4000);

/** A page with a combo that takes uploads, one whose list comes later, a plain combo and a text. */
function page() {
  const values = { image: "a.png", later: "a", choice: "a", text: "a" };
  const shown = showPage([saved(1, "Load", values)]);
  const [node] = shown.app.rootGraph.nodes;
  class LoadImage {
    static nodeData = { input: { required: { image: [[], { image_upload: true }] } } };
  }
  Object.setPrototypeOf(node, LoadImage.prototype);
  const [image, later, choice, text] = node.widgets;
  Object.assign(image, { type: "combo", options: { values: ["a.png"] } });
  Object.assign(later, { type: "combo", options: {} });
  Object.assign(choice, { type: "combo", options: { values: ["a", `${LONG}!`] } });
  Object.assign(text, { type: "customtext" });
  return shown;
}

test("a long value is shown by its beginning and its length, a short one as it is", () => {
  for (const value of [null, true, 5, "", "x".repeat(200), { a: 1 }, [1, 2]]) assert.deepEqual(cut(value), value);
  assert.equal(cut(LONG), `${"x".repeat(100)}… (4000 characters)`);
  assert.match(cut({ rows: [LONG] }), /^\{"rows":\["x+… \(4013 characters\)$/);
  assert.doesNotMatch(cut(`${"x".repeat(99)}😀${LONG}`), /[\ud800-\udbff](?![\udc00-\udfff])/);
  assert.equal(named("a"), '"a"');
  assert.equal(named(LONG), "a text of 4000 characters");
});

test("an over-long text is refused in every combo that does not list it, and not repeated", async () => {
  const shown = page();
  for (const [name, value] of [["image", LONG], ["later", LONG], ["choice", LONG], ["image", "画".repeat(86)]]) {
    await assert.rejects(shown.ask("set_fields", { fields: [[`Load.${name}`, value]] }), (error) => {
      assert.equal(error.code, "invalid");
      assert.ok(!JSON.stringify([error.message, error.details]).includes("x".repeat(201)));
      return true;
    });
  }
  const listed = await shown.ask("set_fields", { fields: [["Load.choice", `${LONG}!`]] });
  assert.match(listed["Load.choice"].value, /\(4001 characters\)$/);
});

test("a long text is written whole, answered by its length, and read whole", async () => {
  const shown = page();
  const { requested, value, warnings } = (await shown.ask("set_fields", { fields: [["Load.text", LONG]] }))["Load.text"];
  assert.deepEqual([requested, value, warnings], [cut(LONG), cut(LONG), []]);
  assert.equal((await shown.ask("get_fields", { fields: ["Load.text"] }))["Load.text"], LONG);
});

test("a text that is a picture is its file in a field that takes pictures, and a text elsewhere", async () => {
  const shown = page();
  const name = "INPUT_Load_0123456789abcdef.png";
  const fields = [["Load.text", LONG], ["Load.image", LONG], ["Load.later", "b"]];
  const written = await shown.ask("set_fields", { fields, pictures: { 0: name, 1: name } });
  assert.deepEqual(written["Load.image"], { requested: name, value: name, warnings: [] });
  assert.equal(shown.value("Load", "text"), LONG);
});
