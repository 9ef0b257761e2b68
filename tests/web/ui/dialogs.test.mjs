/** The focus in a dialog that opens: it is where the person goes on, and stays with them once they have. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createDialogs } from "../../../web/ui/dialogs.js";

/** An open dialog with two boxes in it, the first of which the dialog wants to focus, and one of the page. */
async function opened() {
  const box = (name) => ({ name, setAttribute() {}, focus: () => (document.activeElement = one[name]) });
  const one = { first: box("first"), second: box("second"), theirs: box("theirs") };
  let pressed = () => {};
  const inside = [one.first, one.second];
  const element = { classList: { add() {}, toggle() {} }, contains: (child) => inside.includes(child), addEventListener: (name, listener) => (pressed = listener) };
  globalThis.document = { activeElement: one.theirs, body: {}, addEventListener() {} };
  const dialog = await new Promise((resume) => {
    const frontend = { openDialogs: () => [], topDialog: () => "", showElement: (facts) => (resume(facts), facts.closed) };
    createDialogs(frontend).show("A question", () => ({ element, focus: one.first }), new AbortController().signal);
  });
  dialog.opened();
  const settled = () => new Promise((resume) => setTimeout(resume, 5));
  return { ...one, press: () => pressed(), settled, focused: () => document.activeElement.name };
}

test("the focus moves to where the person goes on, from the page and from another place in the dialog", async () => {
  for (const before of ["theirs", "second"]) {
    const page = await opened();
    page[before].focus();
    await page.settled();
    assert.equal(page.focused(), "first");
  }
});

test("a person who is faster than the page keeps the focus that they have moved", async () => {
  const page = await opened();
  page.first.focus();
  page.press();
  page.second.focus();
  await page.settled();
  assert.equal(page.focused(), "second");
});
