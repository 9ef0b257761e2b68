/** The messages about refused commands: each refusal is mentioned once, and a stubborn program does not flood the page. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { reportRefusals } from "../../../../web/ui/controls/refusals.js";

/** A page with a clock of its own; `refuse` is what the server reports. */
function setUp() {
  const toasts = [];
  const timers = [];
  let changed;
  const state = { server: null, onChange: (listener) => (changed = listener) };
  const page = { setTimeout: (act) => timers.push(act) };
  reportRefusals(state, { toast: (severity, ...texts) => toasts.push(texts) }, page);
  const show = (server) => {
    state.server = server;
    changed();
  };
  const refuse = (count, program = "Blender", code = "paused") => show({ refusals: { count, last: count > 0 ? { program, kind: "run", code } : null } });
  return { toasts, refuse, show, later: () => timers.splice(0).forEach((act) => act()) };
}

test("a refusal is shown with its program and the reason", () => {
  const { toasts, refuse, later } = setUp();
  refuse(0);
  refuse(1);
  later();
  refuse(2, "Krita", "refused_by_person");
  assert.deepEqual(toasts, [
    ["A program's command was refused", "Blender (run): programs are paused."],
    ["A program's command was refused", "Krita (run): your settings don't allow it."],
  ]);
});

test("a program that tries again and again gets one message at a time, with the number of refusals", () => {
  const { toasts, refuse, later } = setUp();
  refuse(0);
  for (let count = 1; count <= 100; count++) refuse(count);
  assert.equal(toasts.length, 1);
  later();
  assert.deepEqual(toasts.map(([summary]) => summary), ["A program's command was refused", "99\u00a0commands of programs were refused"]);
  later();
  assert.equal(toasts.length, 2);
});

test("refusals from before a connection, or of an earlier server, are not shown", () => {
  const { toasts, refuse, show, later } = setUp();
  refuse(7);
  show(null);
  refuse(9);
  refuse(0);
  later();
  assert.deepEqual(toasts, []);
  refuse(1);
  assert.equal(toasts.length, 1);
});
