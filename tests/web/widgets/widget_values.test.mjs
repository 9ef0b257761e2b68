/** The values that widgets accept, the names of browsers, and the formats of workflows. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { browserName } from "../../../web/page/frontend.js";
import { formatOf } from "../../../web/page/loader.js";
import { accepted } from "../../../web/widgets/widget_values.js";

const owner = (type, value, options = {}) => ({ node: { widgets: [] }, widget: { name: "w", type, value, options } });
const taken = (type, value, requested, options) => accepted("n.w", owner(type, value, options), requested).value;
const refused = (type, value, requested, options) =>
  assert.throws(() => taken(type, value, requested, options), { code: "invalid" });

test("a number widget takes numbers within its range and nothing else", () => {
  for (const type of ["number", "slider", "knob", "gradientslider"]) {
    assert.equal(taken(type, 1, 5, { min: 0, max: 10 }), 5);
    assert.equal(taken(type, 1, -5, { min: 0, max: 10 }), 0);
    assert.equal(taken(type, 1, 50, { min: 0, max: 10 }), 10);
    assert.equal(taken(type, 1, 50), 50);
    for (const wrong of ["5", true, null, [5], { a: 5 }]) refused(type, 1, wrong);
  }
});

test("a text takes texts, a switch takes true and false, a button takes nothing", () => {
  assert.equal(taken("customtext", "a", ""), "");
  assert.equal(taken("toggle", false, true), true);
  for (const wrong of [1, null, true, ["a"]]) refused("text", "a", wrong);
  for (const wrong of [1, 0, "true", null]) refused("toggle", false, wrong);
  refused("button", undefined, "x");
});

test("a widget of an unknown type keeps the type of its value", () => {
  assert.equal(taken("color", 255, 7), 7);
  assert.equal(taken("color", "#000000", "#ffffff"), "#ffffff");
  refused("color", 255, "#ffffff");
  assert.deepEqual(taken("curve", [[0, 1]], [[1, 1]]), [[1, 1]]);
});

test("a combo takes its choices, whatever their form", () => {
  assert.equal(taken("combo", "a", "b", { values: ["a", "b"] }), "b");
  assert.equal(taken("combo", 1, 2, { values: [1, 2] }), 2);
  assert.equal(taken("combo", "a", "b", { values: { a: "A", b: "B" } }), "b");
  assert.equal(taken("combo", "a", "b", { values: () => ["a", "b"] }), "b");
  assert.equal(taken("combo", "a", "b", {}), "b");
  for (const wrong of ["c", "A", 1, null]) refused("combo", "a", wrong, { values: ["a", "b"] });
  refused("combo", 1, "1", { values: [1, 2] });
  refused("combo", "", "x", { values: [] });
});

test("only a combo of uploaded files takes a name that it does not list", () => {
  class LoadImage {
    static nodeData = { input: { required: { w: [[], { image_upload: true }] } } };
  }
  const loader = { ...owner("combo", "a.png", { values: ["a.png"] }), node: new LoadImage() };
  assert.deepEqual(accepted("n.w", loader, "new.png"), { value: "new.png", adds: true });
  assert.deepEqual(accepted("n.w", loader, "a.png"), { value: "a.png", adds: false });
  assert.throws(() => accepted("n.w", loader, 7), { code: "invalid" });
  assert.throws(() => accepted("n.w", loader, ""), { code: "invalid" });
});

test("a browser is named by its brand and major version", () => {
  const brands = (...list) => ({ userAgentData: { brands: list.map(([brand, version]) => ({ brand, version })) } });
  assert.equal(browserName(brands(["Not;A=Brand", "8"], ["Chromium", "143"], ["Google Chrome", "143"])), "Google Chrome 143");
  assert.equal(browserName(brands(["Chromium", "143"], ["Not A(Brand", "24"])), "Chromium 143");
  assert.equal(browserName({ userAgent: "Mozilla/5.0 (X11; rv:140.0) Gecko/20100101 Firefox/140.0" }), "Firefox 140");
  const safari = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15";
  assert.equal(browserName({ userAgent: safari }), "Safari 18");
  assert.equal(browserName({}), "");
});

test("the two formats are distinguished, and everything else is refused", () => {
  const api = { 1: { class_type: "A", inputs: {} }, 2: { class_type: "B" } };
  const ui = { nodes: [{ id: 1, type: "A" }], links: [] };
  assert.equal(formatOf(api), "api");
  assert.equal(formatOf(ui), "ui");
  assert.equal(formatOf({ nodes: [] }), "ui");
  // A node of the API format may well be called nodes.
  assert.equal(formatOf({ nodes: { class_type: "A", inputs: {} } }), "api");
  for (const wrong of [null, 7, "x", [], [ui], {}, { nodes: [null] }, { nodes: [{}] }, { 1: null }, { 1: { class_type: 7 } }]) {
    assert.throws(() => formatOf(wrong), { code: "invalid" });
  }
  for (const [key, inner] of [["workflow", ui], ["output", api], ["prompt", api]]) {
    assert.throws(() => formatOf({ [key]: inner }), (error) => error.code === "invalid" && error.message.includes(key));
  }
});

for (const [flag, name, why] of [
  ["audio_upload", "INPUT_Song_0123456789abcdef.mp3", null],
  ["audio_upload", "INPUT_Song_0123456789abcdef.mp4", null],
  ["audio_upload", "INPUT_Song_0123456789abcdef.png", /takes a sound or a video, not a picture/],
  ["image_upload", "INPUT_Photo_0123456789abcdef.mp3", /takes a picture, not a sound/],
  ["video_upload", "INPUT_Clip_0123456789abcdef.mp3", /not a sound/],
  ["image_upload", "3d/INPUT_Cat_0123456789abcdef.glb", /not a 3D model/],
  ["file_upload", "3d/INPUT_Cat_0123456789abcdef.glb", null],
  ["image_upload", "mine.mp3", null],
]) {
  test(`a field with ${flag} ${why ? "refuses" : "takes"} ${name}`, () => {
    class Loader {
      static nodeData = { input: { required: { w: [[], { [flag]: true }] } } };
      widgets = [{ name: "w", type: "combo", value: "", options: { values: [] } }];
    }
    const node = new Loader();
    const write = () => accepted("Loader.w", { node, widget: node.widgets[0], hosts: [] }, name);
    if (why) assert.throws(write, { code: "invalid", message: why });
    else assert.deepEqual([write().value, write().adds], [name, true]);
  });
}
