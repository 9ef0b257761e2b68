/** Writes and reads during runs of programs and the person give lasting results. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage, sleep } from "../page.mjs";

const VALUES = ({ nodes }) => nodes.map(({ values }) => values.v);
const MODES = ["fixed", "increment", "decrement", "randomize"];

const THEIRS = (page) => page.app.queuePrompt(0, 1);
const OURS = (page) => page.ask("execute");

/** A page with a seed that grows by 1000 after each run, as by a control. */
function countingPage(takes) {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 8, ...takes });
  const widget = () => page.app.rootGraph.nodes[0].widgets[0];
  page.afterQueued = () => (widget().value += 1000);
  return page;
}

for (const [whose, run] of [["a person's", THEIRS], ["a program's", OURS]]) {
  test(`a write during ${whose} run is used by the next run, whenever it comes`, async () => {
    for (let moment = 0; moment < 14; moment += 2) {
      const page = countingPage();
      const first = run(page);
      await sleep(moment);
      const written = await page.ask("set_fields", { fields: [["Mine.v", 5]] });
      assert.equal(written["Mine.v"].value, 5);
      await first;
      await page.ask("execute");
      assert.ok([1, 5].includes(VALUES(page.queued[0])[0]), `at ${moment} ms`);
      const expected = VALUES(page.queued[0])[0] === 1 ? 5 : 1005;
      assert.deepEqual(VALUES(page.queued[1]), [expected], `at ${moment} ms`);
    }
  });

  test(`a read during ${whose} run returns the values from before it or after its follow-up work`, async () => {
    const page = countingPage();
    const over = run(page);
    const seen = new Set();
    for (let times = 0; times < 14; times++) {
      seen.add((await page.ask("get_fields", { fields: ["Mine.v"] }))["Mine.v"]);
      if (page.queued.length > 0) break;
      await sleep(1);
    }
    await over;
    assert.deepEqual(await page.ask("get_fields", { fields: ["Mine.v"] }), { "Mine.v": 1001 });
    assert.ok([...seen].every((value) => value === 1 || value === 1001));
  });
}

/** A page with a pack that waits each time before the page exports, outside of everybody else's functions. */
function hesitantPage() {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 4 });
  const { graphToPrompt } = page.app;
  page.app.graphToPrompt = async function (...all) {
    await sleep(10);
    return graphToPrompt.apply(this, all);
  };
  return page;
}

const EXPORTS = (page) => page.ask("export_prompts", { variations: [{ fields: [["Mine.v", 5]] }] });

for (const [whose, run] of [["a person's run", THEIRS], ["a program's run", OURS], ["a variation", EXPORTS]]) {
  test(`a pack that waits before exports stops neither ${whose} nor a read of the workflow`, { timeout: 100_000 }, async () => {
    for (let moment = 0; moment < 16; moment += 2) {
      const page = hesitantPage();
      for (const [first, second] of [[run, (page) => page.ask("get_workflow")], [(page) => page.ask("get_workflow"), run]]) {
        const begun = first(page);
        await sleep(moment);
        const both = await Promise.all([begun, second(page)]);
        const { workflow } = both.map((answer) => answer?.workflow ?? {}).find(({ workflow }) => workflow);
        assert.equal(workflow.nodes[0].values.v, 1, `at ${moment} ms`);
      }
      while (page.app.processingQueue) await sleep(1);
    }
  });
}

test("a program that is answered a run reads the seed as it stays", async () => {
  const page = countingPage();
  for (const seed of [5, 6, 7]) {
    await page.ask("set_fields", { fields: [["Mine.v", seed]] });
    await page.ask("execute");
    assert.deepEqual(await page.ask("get_fields", { fields: ["Mine.v"] }), { "Mine.v": seed + 1000 });
  }
  assert.deepEqual(page.queued.map(VALUES), [[5], [6], [7]]);
});

test("a write waits neither for a run that ComfyUI refuses nor for one that a pack breaks off", async () => {
  const refused = countingPage();
  refused.api.queuePrompt = ((submit) => () => {
    refused.api.queuePrompt = submit;
    return Promise.reject(new Error("refused"));
  })(refused.api.queuePrompt);
  await Promise.all([THEIRS(refused), sleep(4).then(() => refused.ask("set_fields", { fields: [["Mine.v", 5]] }))]);
  await refused.ask("execute");
  assert.deepEqual(refused.queued.map(VALUES), [[5]]);

  const broken = countingPage();
  broken.afterQueued = () => {
    broken.afterQueued = () => {};
    throw new Error("a pack's own");
  };
  const answer = await broken.ask("execute");
  assert.equal(answer.prompt_id, "prompt-1");
  await broken.ask("set_fields", { fields: [["Mine.v", 5]] });
  await broken.ask("execute");
  assert.deepEqual(broken.queued.map(VALUES), [[1], [5]]);
});

test("a run of a program is queued before those that the person adds while it begins", async () => {
  const page = countingPage();
  const ours = page.ask("execute", { fields: [["Mine.v", 5]] });
  page.app.queueItems.push({ number: 0, batchCount: 1 });
  await ours;
  while (page.app.processingQueue) await sleep(1);
  assert.deepEqual(page.queued.map(VALUES), [[5], [1005]]);
});

/** A page whose seed has a control that acts before every run but the first. */
function earlyPage(mode) {
  const page = showPage([saved(1, "Mine", { v: 1 })], { exporting: 4 });
  page.settings["Comfy.WidgetControlMode"] = "before";
  const { nodes } = page.app.rootGraph;
  const [widget] = nodes[0].widgets;
  const control = { name: "control", type: "combo", value: mode, options: { values: MODES } };
  widget.linkedWidgets = [control];
  nodes[0].widgets.push(control);
  let executed = false;
  page.beforeQueued = () => {
    if (executed && control.value !== "fixed") widget.value += 1000;
    executed = true;
  };
  return page;
}

test("a control that acts before runs leaves what a program has written for the next one, and then goes on", async () => {
  const page = earlyPage("increment");
  const write = (value) => page.ask("set_fields", { fields: [["Mine.v", value]] });
  await page.ask("execute");
  await page.ask("execute");
  const { warnings } = (await write(5))["Mine.v"];
  assert.match(warnings.join(), /increment.*before the run after the next/);
  await page.ask("execute");
  await page.ask("execute", { batch_count: 2 });
  await write(7);
  await THEIRS(page);
  await page.ask("execute", { batch_count: 2, fields: [["Mine.v", 9]] });
  assert.deepEqual(page.queued.map(VALUES).map(([value]) => value), [1, 1001, 5, 1005, 2005, 7, 9, 1009]);
});

test("a control that acts before runs goes on over what the person has written", async () => {
  const page = earlyPage("increment");
  await page.ask("execute");
  await page.ask("set_fields", { fields: [["Mine.v", 5]] });
  page.app.rootGraph.nodes[0].widgets[0].value = 6;
  await THEIRS(page);
  assert.deepEqual(page.queued.map(VALUES).map(([value]) => value), [1, 1006]);
});

test("a control that a pack has taken off its node changes nothing, and causes no warning", async () => {
  const page = earlyPage("randomize");
  page.app.rootGraph.nodes[0].widgets.pop();
  const { warnings } = (await page.ask("set_fields", { fields: [["Mine.v", 5]] }))["Mine.v"];
  assert.deepEqual(warnings, []);
});
