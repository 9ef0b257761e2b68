/** Workflow tabs on a store of plain objects: saving never loses a file, and paths can be reused. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createTabs } from "../../../web/page/workflow_tabs.js";

/** The parts of the frontend's store that tabs use, with a disk: text by path. `full` makes saving fail. */
function setUp(disk, temporary = []) {
  const state = { disk: { ...disk }, full: false };
  class Workflow {
    isModified = false;
    isLoaded = true;

    constructor({ path, size = 1 }) {
      Object.assign(this, { path, isTemporary: size === -1, content: state.disk[path] ?? path });
    }

    get filename() {
      return this.path.split("/").at(-1).replace(".json", "");
    }

    get directory() {
      return this.path.slice(0, this.path.lastIndexOf("/"));
    }

    async load() {}
  }
  const files = [...Object.keys(disk).map((path) => new Workflow({ path })), ...temporary.map((path) => new Workflow({ path, size: -1 }))];
  const store = {
    openWorkflows: [...files],
    activeWorkflow: files.at(-1),
    workflows: files,
    isOpen: (workflow) => store.openWorkflows.includes(workflow),
    getWorkflowByPath: (path) => files.find((file) => file.path === path),
    async renameWorkflow(workflow, path) {
      assert.ok(!(path in state.disk), "moved over a file");
      if (!workflow.isTemporary) state.disk[path] = state.disk[workflow.path];
      if (!workflow.isTemporary) delete state.disk[workflow.path];
      workflow.path = path;
    },
    async deleteWorkflow(workflow) {
      if (!workflow.isTemporary) delete state.disk[workflow.path];
      files.splice(files.indexOf(workflow), 1);
    },
    saveAs(workflow, path) {
      const copy = Object.assign(new Workflow({ path, size: -1 }), { content: workflow.content });
      files.push(copy);
      return copy;
    },
    async saveWorkflow(workflow) {
      if (state.full) throw new Error("No space left on device");
      assert.ok(!workflow.isTemporary || !(workflow.path in state.disk), "saved over a file");
      state.disk[workflow.path] = workflow.content;
      workflow.isTemporary = false;
    },
    closeWorkflow: async (workflow) => void store.openWorkflows.splice(store.openWorkflows.indexOf(workflow), 1),
  };
  const ids = new Map();
  const idOf = (workflow) => ids.get(workflow) ?? ids.set(workflow, `tab-${ids.size + 1}`).get(workflow);
  const app = { loadGraphData: async (graph, clean, view, workflow) => void (store.activeWorkflow = workflow) };
  const tabs = createTabs({ app, api: { listUserDataFullInfo: async () => [] } }, { store: () => store, idOf, active: () => store.activeWorkflow, capture() {} });
  return { state, tabs, store };
}

const NESTED = { "workflows/a.json": "precious", "workflows/workflows/a.json": "old", "workflows/workflows/mine.json": "mine" };

test("the path that a tab is listed with leads back to it, whatever its folder is called", async () => {
  const { tabs } = setUp(NESTED);
  for (const { path, id } of tabs.list().tabs) {
    assert.equal((await tabs.switchTo(path)).tab.id, id, path);
    assert.equal((await tabs.openSaved(path)).tab.id, id, path);
  }
});

test("a name is one in the folder of the tab it is given to, and replaces no file of another folder", async () => {
  const { tabs, state } = setUp(NESTED);
  assert.equal((await tabs.save("workflows/mine.json", "a", true)).tab.path, "workflows/a.json");
  assert.deepEqual(state.disk, { ...NESTED, "workflows/workflows/a.json": "mine" });
  await tabs.rename("workflows/mine.json", "b");
  assert.equal(state.disk["workflows/workflows/b.json"], "mine");
});

for (const [what, tab, disk, temporary] of [
  ["a new workflow", "new", { "workflows/good.json": "good" }, ["workflows/new.json"]],
  ["a copy", "mine", { "workflows/good.json": "good", "workflows/mine.json": "mine" }, []],
]) {
  test(`${what} that can't be saved leaves the file it was to replace, and every tab, as they were`, async () => {
    const { tabs, state } = setUp(disk, temporary);
    const before = tabs.list();
    state.full = true;
    await assert.rejects(tabs.save(tab, "good", true), { code: "tab_failed", message: /No space left/ });
    assert.deepEqual([state.disk, tabs.list()], [disk, before]);
    state.full = false;
    const { path } = (await tabs.save(tab, "good", true)).tab;
    assert.deepEqual([path, Object.keys(state.disk).length], ["good.json", Object.keys(disk).length]);
    assert.notEqual(state.disk["workflows/good.json"], "good");
  });
}

test("no workflow is saved where its name would lead out of the person's workflows", async () => {
  for (const name of ["../x", "a/../../x", "..\\x", "C:\\x", "%2e%2e%2fx", "a%2Fx", "a\nb"]) {
    const { tabs, state } = setUp({ "workflows/kept.json": "kept" }, [`workflows/${name}.json`]);
    // Under a new name, under the name it was opened with, and renamed.
    const before = { ...state.disk };
    await assert.rejects(tabs.save("kept", name, false), { code: "invalid" });
    await assert.rejects(tabs.save(undefined, undefined, true), { code: "invalid" });
    await assert.rejects(tabs.rename("kept", name), { code: "invalid" });
    assert.deepEqual(state.disk, before);
  }
  const { tabs, state } = setUp({ "workflows/kept.json": "kept" });
  await tabs.save("kept", "100 % of it", false);
  assert.ok("workflows/100 % of it.json" in state.disk);
});
