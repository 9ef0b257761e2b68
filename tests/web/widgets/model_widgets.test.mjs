/** Widgets with a misspelled model name: which are set, what is reported, and how they are restored. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage } from "../page.mjs";

const HELD = "ltx\\some.safetensors";
const LISTED = "ltx/some.safetensors";
const link = (node, value = HELD) => ({ node: String(node), widget: "name", value, listed: LISTED, reason: "spelled_differently" });
const said = (path) => ({ path, previous: HELD, value: LISTED, reason: "spelled_differently" });

/** A page with two nodes that hold the name, and one that no longer does. */
function held() {
  return showPage([saved(1, "A", { name: HELD }), saved(2, "B", { name: HELD, other: 1 }), saved(3, "C", { name: "else" })]);
}

const values = (page) => ["A", "B", "C"].map((title) => page.value(title, "name"));

test("widgets that still hold a name are set to the listed one, as one undo step", async () => {
  const page = held();
  const answer = await page.ask("relink_models", { links: [link(1), link(2), link(2), link(3), link(4)] });
  assert.deepEqual(answer, { dry_run: false, relinked: [said("A.name"), said("B.name")] });
  assert.deepEqual(values(page), [LISTED, LISTED, "else"]);
  assert.equal(page.app.extensionManager.workflow.activeWorkflow.changeTracker.undoQueue.length, 1);
});

test("a dry run says the same and sets nothing", async () => {
  const page = held();
  const answer = await page.ask("relink_models", { links: [link(1), link(3)], dry_run: true });
  assert.deepEqual(answer, { dry_run: true, relinked: [said("A.name")] });
  assert.deepEqual(values(page), [HELD, HELD, "else"]);
});

test("the response has the name as the widget changed it", async () => {
  const page = held();
  const [widget] = page.app.rootGraph.nodes[0].widgets;
  widget.callback = () => void (widget.value = "its own");
  const { relinked } = await page.ask("relink_models", { links: [link(1)] });
  assert.equal(relinked[0].value, "its own");
});

test("the lists of the page are refreshed if a widget does not offer its new name yet, unless nothing is to be changed", async () => {
  const page = held();
  let refreshed = 0;
  page.app.refreshComboInNodes = async () => void refreshed++;
  const [widget] = page.app.rootGraph.nodes[0].widgets;
  widget.options = { values: ["else"] };
  await page.ask("relink_models", { links: [link(1)], dry_run: true });
  assert.equal(refreshed, 0);
  await page.ask("relink_models", { links: [link(1)] });
  assert.equal(refreshed, 1);
  await page.ask("relink_models", { links: [link(2)] });
  assert.equal(refreshed, 1);
});

test("the response has the value of the widget that a callback has put in its place", async () => {
  const page = held();
  const [one] = page.app.rootGraph.nodes;
  one.widgets[0].callback = () => void (one.widgets = [{ ...one.widgets[0], value: "fresh", callback: undefined }]);
  const { relinked } = await page.ask("relink_models", { links: [link(1)] });
  assert.equal(relinked[0].value, "fresh");
});

test("when one widget throws all hold their names as before", async () => {
  const page = held();
  page.app.rootGraph.nodes[1].widgets[0].callback = (value) => assert.equal(value, HELD, "a widget's fault");
  await assert.rejects(page.ask("relink_models", { links: [link(1), link(2)] }), /a widget's fault/);
  assert.deepEqual(values(page), [HELD, HELD, "else"]);
});
