/** The changes and the picture of an offered workflow, even a malicious one. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { short } from "../../../../web/ui/format.js";
import { apiItems, compare } from "../../../../web/ui/questions/offer_dialog.js";
import { apiPicture, uiPicture } from "../../../../web/ui/questions/offer_picture.js";

const LINKS = 300_000;

test("an offer draws no more links than a person can see", { timeout: 60_000 }, () => {
  const links = Array.from({ length: LINKS }, (_, id) => [id, 1, 0, 1, 0, "*"]);
  assert.ok(uiPicture({ nodes: [{ id: 1 }], links }).links.length <= 2000);
});

test("an offer whose nodes feed each other in a circle is drawn in time", { timeout: 60_000 }, () => {
  const ids = Array.from({ length: 500 }, (_, at) => String(at));
  const inputs = (at) => Object.fromEntries(Array.from({ length: LINKS / 500 }, (_, slot) => [`in${slot}`, [ids[(at + 499) % 500], 0]]));
  const workflow = Object.fromEntries(ids.map((id, at) => [id, { class_type: "T", inputs: inputs(at) }]));
  const { boxes, links } = apiPicture(workflow);
  assert.ok(boxes.length === 500 && links.length <= 2000);
});

test("an input may have the name of what every object has", () => {
  const [before, after] = [{}, { constructor: 1 }].map((inputs) => apiItems({ 1: { class_type: "T", inputs } }));
  const { lines } = compare(before, after);
  assert.deepEqual(lines, [{ title: "T", what: "constructor", before: undefined, after: 1 }]);
});

test("whatever a value is, there is a text for it", () => {
  for (const value of [undefined, null, () => 1, Symbol("s"), Object, {}, [], "", 0]) assert.equal(typeof short(value), "string");
});

test("a node whose type the export does not name is shown as of unknown type", () => {
  const [item] = apiItems({ "29:8": { class_type: null, inputs: { UNKNOWN: 512 }, _meta: { title: "" } } });
  assert.deepEqual([item.type, item.title], ["unknown type", "unknown type"]);
  const [named] = apiItems({ 1: { class_type: "T", _meta: { title: "" } } });
  assert.equal(named.title, "T");
});
