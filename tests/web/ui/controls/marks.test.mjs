/** The mark on the icon in the sidebar: what waits for the person comes first, and nothing is drawn without a change. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createMarks } from "../../../../web/ui/controls/marks.js";

/** The marks that the icon got; `show` is a new state. */
function setUp() {
  const marks = [];
  let changed;
  const state = { server: null, asking: [], onChange: (listener) => (changed = listener) };
  createMarks(state, { markSidebarTab: (tab, { badge, tooltip }) => marks.push([tab, badge, tooltip]) }, { tab: "uiapi", open() {}, resume() {} });
  const show = (asking, server = {}) => {
    Object.assign(state, { server, asking });
    changed();
  };
  return { marks, show };
}

test("the icon is marked while anybody waits for the person, and names who does", () => {
  const { marks, show } = setUp();
  show([]);
  assert.deepEqual(marks, []);
  show(["Blender"]);
  show(["Blender"]);
  show(["Blender", "Krita"]);
  show(["ComfyUI"], null);
  show([]);
  assert.deepEqual(marks, [
    ["uiapi", "?", "Blender: waiting for your answer"],
    ["uiapi", "?", "Blender, Krita: waiting for your answer"],
    ["uiapi", "?", "ComfyUI: waiting for your answer"],
    ["uiapi", null, "What programs do with this workflow"],
  ]);
});
