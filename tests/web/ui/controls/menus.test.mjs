/** What ComfyUI's menus and settings offer: everything has a name, and works before and after the page is connected. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { graph, node } from "../../graphs.mjs";
import { createMenus } from "../../../../web/ui/controls/menus.js";
import { createSettings } from "../../../../web/ui/controls/settings.js";

const read = (name) => JSON.parse(readFileSync(new URL(`../../../../locales/en/${name}.json`, import.meta.url), "utf8"));
const keyOf = (id) => id.replaceAll(".", "_");

/** The menus of a page with two nodes, the first of which is selected. */
function setUp({ acts = null, pointed = null, token = null } = {}) {
  const nodes = [node("Canvas", "EmptyImage", { width: 64, height: 64 }), node("Note", "Note", {})];
  const copied = [];
  const toasts = [];
  const frontend = {
    toast: (...texts) => toasts.push(texts),
    copy: async (text) => copied.push(text),
    rootGraph: () => root,
    selectedNodes: () => nodes.slice(0, 1),
    pointedWidget: () => pointed && { node: nodes[0], widget: nodes[0].widgets[pointed - 1] },
    url: () => "http://127.0.0.1:8188",
    docsUrl: () => "/uiapi/docs",
  };
  const root = graph(...nodes);
  const menus = createMenus(frontend, () => acts, () => token);
  const run = (id) => menus.commands.find((command) => command.id === id).function();
  return { nodes, menus, run, copied, toasts };
}

test("every command, menu and setting has its name where ComfyUI looks for it", () => {
  const { menus } = setUp();
  const { menuLabels, settingsCategories } = read("main");
  assert.deepEqual(Object.keys(read("commands")), menus.commands.map(({ id }) => keyOf(id)));
  const words = [...menus.menuCommands.flatMap(({ path }) => path), ...menus.commands.map(({ menubarLabel }) => menubarLabel)];
  assert.deepEqual(Object.entries(menuLabels), words.map((word) => [word, word]));
  const { declared } = createSettings(() => {});
  assert.deepEqual(Object.keys(read("settings")), declared.map(({ id }) => keyOf(id)));
  for (const { id, category, options = [] } of declared) {
    for (const label of category.slice(0, 2)) assert.equal(settingsCategories[label], label);
    const named = read("settings")[keyOf(id)];
    assert.ok(named.name && named.tooltip);
    assert.deepEqual(Object.keys(named.options ?? {}), options.map(({ text }) => text));
  }
});

test("a command says so while the page is not connected, and reports a failure", async () => {
  const early = setUp();
  await early.run("uiapi.pause");
  assert.deepEqual(early.toasts, [["warn", "Programs", "Not connected; trying again…"]]);
  const failing = setUp({ acts: { pause: () => Promise.reject(new Error("The disk is full.")) } });
  await failing.run("uiapi.pause");
  assert.deepEqual(failing.toasts, [["error", "Programs", "The disk is full."]]);
});

test("copying takes the widget that is pointed at, or else the selected nodes", async () => {
  const pointing = setUp({ pointed: 2 });
  await pointing.run("uiapi.copyPath");
  assert.deepEqual(pointing.copied, ["Canvas.height"]);
  const selecting = setUp({ token: "secret" });
  await selecting.run("uiapi.copyPath");
  await selecting.run("uiapi.copyCurl");
  assert.equal(selecting.copied[0], "Canvas.width\nCanvas.height");
  assert.ok(selecting.copied[1].includes("$UIAPI_TOKEN") && !selecting.copied[1].includes("secret"));
});

test("the menu of a node has its fields, and none if it has no fields", async () => {
  const { nodes, menus, copied } = setUp();
  const [, { submenu }] = menus.getNodeMenuItems(nodes[0]);
  assert.deepEqual(submenu.options.map(({ content }) => content), ["Copy path: Canvas.width", "Copy path: Canvas.height", "Copy as Python", "Copy as curl"]);
  await submenu.options[1].callback();
  assert.deepEqual(copied, ["Canvas.height"]);
  assert.deepEqual(menus.getNodeMenuItems(nodes[1]), []);
});
