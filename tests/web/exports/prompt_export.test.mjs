/** Exports include the additions of packs to runs, and leave no trace. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { saved, showPage, sleep } from "../page.mjs";

/** A pack that adds to the prompt during queuePrompt. */
function adds(name, { looks = "after" } = {}) {
  return (app) => {
    let queueing = 0;
    const { queuePrompt, graphToPrompt } = app;
    app.queuePrompt = async function (...all) {
      queueing++;
      try {
        return await queuePrompt.apply(this, all);
      } finally {
        queueing--;
      }
    };
    app.graphToPrompt = async function (...all) {
      const asked = queueing;
      const exported = await graphToPrompt.apply(this, all);
      if (looks === "before" ? asked : queueing) exported.output[name] = {};
      return exported;
    };
  };
}

/** A pack that links two nodes during exports, one export at a time. */
function links(app) {
  let queueing = 0;
  let exporting = 0;
  const { queuePrompt, graphToPrompt } = app;
  app.queuePrompt = (...all) => {
    queueing++;
    return queuePrompt.apply(app, all).finally(() => queueing--);
  };
  app.graphToPrompt = async (...all) => {
    const { links } = app.rootGraph;
    assert.equal(exporting++, 0);
    if (queueing) links.set(9, { id: 9, origin_id: 1, origin_slot: 0, target_id: 2, target_slot: 0, type: "IMAGE" });
    try {
      return await graphToPrompt.apply(app, all);
    } finally {
      exporting--;
      links.delete(9);
    }
  };
}

const NODES = () => [saved(1, "A", { v: 1 }), saved(2, "B", { v: 2 })];

for (const [where, packs] of [
  ["around us", { around: adds("pack") }],
  ["below us", { below: adds("pack", { looks: "before" }) }],
]) {
  test(`what a pack ${where} adds to a run is in an export, and nothing was queued for it`, async () => {
    const page = showPage(NODES(), { exporting: 4 }, packs);
    const events = [];
    page.api.dispatchCustomEvent = (event) => events.push(event);
    page.afterQueued = page.beforeQueued = () => assert.fail("an export is no run");
    const { output } = await page.ask("get_workflow_api");
    assert.deepEqual(Object.keys(output), ["pack"]);
    const { workflow } = await page.ask("get_workflow");
    assert.deepEqual(Object.keys(workflow.output), ["pack"]);
    assert.deepEqual([page.queued, events, page.app.queueItems.length, page.app.processingQueue], [[], [], 0, false]);
  });
}

test("a workflow is read as the page saves it, its prompt as a run would have it", async () => {
  const page = showPage(NODES(), { exporting: 4 }, { around: links });
  const before = page.revision();
  const later = (work) => sleep(2).then(work);
  const reads = [later(() => page.ask("query_fields")), later(() => page.revision())];
  const [{ workflow }, seen, during] = await Promise.all([page.ask("get_workflow"), ...reads]);
  assert.deepEqual([during, page.revision()], [before, before]);
  assert.deepEqual(workflow.workflow.links, []);
  assert.equal(seen.nodes.length, 2);
  assert.equal(page.app.rootGraph.links.size, 0);
});

test("an export and a run each see a graph that the other one has left alone", async () => {
  const page = showPage(NODES(), { exporting: 6 }, { around: links });
  for (const begin of [() => page.ask("execute"), () => page.app.queuePrompt(0, 1)]) {
    const exports = [page.ask("get_workflow"), page.ask("get_workflow_api")];
    const run = begin();
    const write = page.ask("set_fields", { fields: [["A.v", 5]] });
    await Promise.all([...exports, run, write]);
    assert.equal(page.app.rootGraph.links.size, 0);
  }
  assert.deepEqual(page.queued.map(({ links }) => links.length), [1, 1]);
});

test("a pack that lets no run through does not stop an export, and no export becomes a run", async () => {
  let late = () => {};
  const page = showPage(NODES(), { exporting: 2 }, {
    around(app) {
      const { queuePrompt } = app;
      app.queuePrompt = async (...all) => {
        late = () => queuePrompt.apply(app, all);
        return false;
      };
    },
  });
  assert.deepEqual((await page.ask("get_workflow_api")).output, {});
  assert.equal(await late(), false);
  await sleep(10);
  assert.deepEqual(page.queued, []);
});

test("an export that fails says so, and the next one works", async () => {
  const page = showPage(NODES(), { exporting: 2 }, { around: adds("pack") });
  const { graphToPrompt } = page.app;
  page.app.graphToPrompt = async () => {
    page.app.graphToPrompt = graphToPrompt;
    throw new Error("no such luck");
  };
  await assert.rejects(page.ask("get_workflow_api"), /no such luck/);
  assert.deepEqual(Object.keys((await page.ask("get_workflow_api")).output), ["pack"]);
});
