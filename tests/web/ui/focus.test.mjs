/** The focus returns to an open dialog if the page takes it, and follows the person otherwise. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { keepFocus } from "../../../web/ui/focus.js";

/** A page with a dialog of two boxes, and a button of the page's own next to it. The first box has the focus. */
function shown({ onTop = () => true } = {}) {
  const listeners = {};
  const emit = (name, event = {}) => listeners[name]?.forEach((listener) => listener(event));
  const box = () => ({
    selectionStart: 3,
    selectionEnd: 3,
    setSelectionRange(start, end) {
      Object.assign(this, { selectionStart: start, selectionEnd: end });
    },
    focus() {
      page.focuses++;
      const before = document.activeElement;
      document.activeElement = this;
      emit("focusout", { target: before, relatedTarget: this });
    },
  });
  const over = new AbortController();
  const page = { emit, over, first: box(), second: box(), theirs: box(), focuses: 0 };
  globalThis.document = {
    activeElement: page.first,
    addEventListener(name, listener, { signal }) {
      (listeners[name] ??= new Set()).add(listener);
      signal.addEventListener("abort", () => listeners[name].delete(listener));
    },
  };
  keepFocus({ contains: (one) => one === page.first || one === page.second }, onTop, over.signal);
  page.has = () => Object.keys(page).find((name) => page[name] === document.activeElement);
  return page;
}

/** The page takes the focus; what is answered once nothing of it is left to do. */
async function taken(page, by = page.theirs) {
  by.focus();
  await Promise.resolve();
  return page.has();
}

test("the focus that the page takes is given back, with the cursor where it was", async () => {
  const page = shown();
  assert.equal(await taken(page), "first");
  assert.deepEqual([page.first.selectionStart, page.first.selectionEnd], [3, 3]);
});

test("a box that the page brings the focus back to itself has not all of its text selected", async () => {
  const page = shown();
  document.activeElement = page.theirs;
  page.emit("focusout", { target: page.first });
  document.activeElement = page.first;
  page.first.setSelectionRange(0, 9);
  await Promise.resolve();
  assert.deepEqual([page.has(), page.first.selectionStart, page.first.selectionEnd], ["first", 3, 3]);
});

test("the focus may move to another field of the dialog without a key or a click", async () => {
  const page = shown();
  assert.equal(await taken(page, page.second), "second");
});

test("the focus is left to a page that insists on it", async () => {
  const page = shown();
  const { focus } = page.first;
  page.first.focus = function () {
    focus.call(this);
    page.theirs.focus();
  };
  page.theirs.focus();
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  assert.equal(page.has(), "theirs");
  assert.ok(page.focuses < 10, `${page.focuses} moves`);
});

test("a window that is left and come back to costs nothing of what is given back", async () => {
  const page = shown();
  for (let turn = 0; turn < 10; turn++) {
    page.emit("focusout", { target: page.first });
    await Promise.resolve();
  }
  assert.equal(await taken(page), "first");
});

for (const [how, name, event] of [
  ["Tab", "keydown", { key: "Tab" }],
  ["Enter", "keydown", { key: "Enter" }],
  ["Escape", "keydown", { key: "Escape" }],
  ["a press of the pointer", "pointerdown", {}],
  ["a click", "click", {}],
]) {
  test(`where ${how} leads the focus stays, and what is typed afterwards is kept again`, async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const page = shown();
    page.emit(name, event);
    assert.equal(await taken(page, page.second), "second");
    page.emit("keydown", { key: "x" });
    assert.equal(await taken(page), "second");
    page.emit(name, event);
    context.mock.timers.tick(300);
    assert.equal(await taken(page), "second");
  });
}

test("the focus goes to a dialog above ours", async () => {
  assert.equal(await taken(shown({ onTop: () => false })), "theirs");
});

test("a dialog that is closed takes no focus", async () => {
  const page = shown();
  page.theirs.focus();
  page.over.abort();
  await Promise.resolve();
  assert.equal(page.has(), "theirs");
  page.first.focus();
  assert.equal(await taken(page), "theirs");
});
