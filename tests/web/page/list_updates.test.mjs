/** During a sweep, the page updates its lists of prompts only every now and then, and once more at its end. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createListUpdates } from "../../../web/page/list_updates.js";

const PAUSE = 500;

/** A page with a list of the prompts that ComfyUI has, whose requests take as long as the test wants. */
function shown(context) {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const page = { prompts: 0, seen: 0, requests: 0, fails: false, answers: [] };
  const queue = {
    async update() {
      page.requests++;
      await new Promise((resolve) => page.answers.push(resolve));
      if (page.fails) throw new Error("offline");
      page.seen = page.prompts;
    },
  };
  const { expectSweep, report } = createListUpdates({ listUpdates: () => [[queue, "update"], [undefined, "updateHistory"]] });
  const turn = () => new Promise(setImmediate);
  return {
    page,
    queue,
    expectSweep,
    report,
    /** One more prompt, after which the page updates its list. */
    async prompt() {
      page.prompts++;
      const updated = queue.update();
      await turn();
      return { updated };
    },
    async answer() {
      for (const resolve of page.answers.splice(0)) resolve();
      await turn();
    },
    async pass(milliseconds) {
      context.mock.timers.tick(milliseconds);
      await turn();
    },
  };
}

test("many prompts cost one request after each pause", async (context) => {
  const { page, prompt, answer, pass, report } = shown(context);
  report(true);
  for (let count = 0; count < 20; count++) await prompt();
  await pass(PAUSE - 1);
  assert.equal(page.requests, 0);
  await pass(1);
  assert.equal(page.requests, 1);
  await answer();
  assert.equal(page.seen, 20);
  for (let count = 0; count < 20; count++) await prompt();
  await pass(PAUSE - 1);
  assert.equal(page.requests, 1);
  await pass(1);
  await answer();
  assert.deepEqual([page.requests, page.seen], [2, 40]);
  await pass(10 * PAUSE);
  assert.equal(page.requests, 2);
});

test("whoever asks for an update gets one that began after that", async (context) => {
  const { page, prompt, answer, pass, report } = shown(context);
  report(true);
  const first = await prompt();
  await pass(PAUSE);
  const [second, third] = [await prompt(), await prompt()];
  await answer();
  await first.updated;
  page.prompts = 4;
  await pass(PAUSE);
  await answer();
  await Promise.all([second.updated, third.updated]);
  assert.equal(page.seen, 4);
});

test("requests that take longer than a pause do not overlap", async (context) => {
  const { page, prompt, answer, pass, report } = shown(context);
  report(true);
  for (let count = 0; count < 5; count++) {
    await prompt();
    await pass(PAUSE);
  }
  assert.equal(page.requests, 1);
  await answer();
  await pass(PAUSE);
  assert.equal(page.requests, 2);
});

test("an update that fails is an error for those who asked, and does not keep the next from happening", async (context) => {
  const { page, prompt, answer, pass, report } = shown(context);
  report(true);
  page.fails = true;
  const { updated } = await prompt();
  const failing = assert.rejects(updated, /offline/);
  await pass(PAUSE);
  await answer();
  await failing;
  page.fails = false;
  const again = await prompt();
  await pass(PAUSE);
  await answer();
  await again.updated;
  assert.equal(page.seen, 2);
});

test("events that the page gets to after the end of the sweep cost no request each either", async (context) => {
  const { page, queue, prompt, answer, pass, report } = shown(context);
  const { update } = queue;
  report(true);
  await pass(PAUSE);
  report(false);
  for (let count = 0; count < 5; count++) await prompt();
  await answer();
  assert.deepEqual([page.requests, page.seen], [1, 5]);
  await pass(PAUSE);
  assert.deepEqual([page.requests, queue.update], [2, update]);
  await prompt();
  await prompt();
  assert.equal(page.requests, 4);
});

test("a sweep that is yet to be reported is limited from its export on, and an export elsewhere only for a moment", async (context) => {
  const { page, prompt, answer, pass, expectSweep, report } = shown(context);
  expectSweep();
  await prompt();
  await pass(PAUSE - 1);
  report(true);
  await pass(10 * PAUSE);
  await answer();
  await prompt();
  await prompt();
  assert.equal(page.requests, 1);
  report(false);
  await pass(PAUSE);
  await answer();
  expectSweep();
  await pass(PAUSE);
  await prompt();
  await prompt();
  assert.equal(page.requests, 4);
});

test("reports of other changes do not prolong the limit", async (context) => {
  const { page, prompt, pass, expectSweep, report } = shown(context);
  expectSweep();
  for (let count = 0; count < 5; count++) {
    await pass(PAUSE / 5);
    report(false);
  }
  await prompt();
  await prompt();
  assert.equal(page.requests, 2);
});

test("a sweep right after another one goes on with the same limit", async (context) => {
  const { page, prompt, answer, pass, report } = shown(context);
  report(true);
  await prompt();
  await pass(PAUSE);
  await answer();
  report(false);
  await pass(PAUSE - 1);
  report(true);
  await pass(PAUSE);
  await prompt();
  await answer();
  await prompt();
  await prompt();
  assert.equal(page.requests, 2);
});

test("what a pack has put around an update stays, and updates as before after the sweep", async (context) => {
  const { page, queue, prompt, answer, pass, report } = shown(context);
  report(true);
  const { update } = queue;
  let calls = 0;
  queue.update = () => (calls++, update.call(queue));
  report(false);
  await pass(PAUSE);
  await prompt();
  await answer();
  await prompt();
  assert.deepEqual([calls, page.requests], [2, 2]);
});
