/** A page of plain objects with what the extension uses of frontend 1.32's undo history, loading and queue. */

import { graph, node } from "./graphs.mjs";
import { commands, given } from "../../web/commands.js";
import { createFrontend } from "../../web/page/frontend.js";
import { createHistory } from "../../web/page/history.js";
import { createLoader } from "../../web/page/loader.js";
import { createQueueing } from "../../web/page/queueing.js";
import { createRevisions } from "../../web/page/revisions.js";
import { createRuns } from "../../web/page/run_queue.js";
import { createTabs } from "../../web/page/workflow_tabs.js";
import { createListUpdates } from "../../web/page/list_updates.js";
import { createVariations } from "../../web/exports/variations.js";
import { unlessCancelled } from "../../web/common/waiting.js";
import { createWorkflows } from "../../web/page/workflows.js";

export const sleep = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));
const clone = (value) => JSON.parse(JSON.stringify(value));
const NOTHING = () => {};

// Missing in Node.js; a hidden page draws no frames.
globalThis.requestAnimationFrame ??= NOTHING;

/** A node of a saved workflow. */
export const saved = (id, title, values = {}) => ({ id, type: "T", title, values });

/**
 * A page that shows the workflow tab "A" with these nodes.
 *
 * @param {{loading?: number, exporting?: number, following?: number}} [takes] milliseconds; `following`: as 1.49 and later,
 *   so long after each step the graph is saved as what that has led to
 * @param {{below?: (app: any) => void, around?: (app: any) => void}} [packs] change the page's functions before this
 *   extension does, and after it
 */
export function showPage(nodes, { loading = 5, exporting = 20, following } = {}, packs = {}) {
  /** A graph of the state; `page.dress` may add to its nodes. */
  function configured(state) {
    const made = state.nodes.map(({ id, type, title, values }) =>
      node(title, type, values, { id, pos: [0, 0], size: [1, 1], flags: {}, computeSize: () => [1, 1] }),
    );
    const root = graph(...made);
    root.groups = [];
    for (const [id, from, slot, to, at] of state.links ?? []) {
      root.links.set(id, { id, origin_id: from, origin_slot: slot, target_id: to, target_slot: at, type: "IMAGE" });
    }
    root.remove = (one) => {
      root.nodes.splice(root.nodes.indexOf(one), 1);
      one.graph = null;
      one.onRemoved?.();
    };
    root.add = (one) => {
      one.id ??= Math.max(0, ...root.nodes.map(({ id }) => id)) + 1;
      one.graph = root;
      root.nodes.push(one);
      one.onAdded?.();
    };
    root.serialize = () => ({
      nodes: root.nodes.map(({ id, type, title, widgets }) => ({
        id,
        type,
        title,
        values: Object.fromEntries(widgets.map(({ name, value }) => [name, value])),
      })),
      links: [...root.links.values()].map((link) => [link.id, link.origin_id, link.origin_slot, link.target_id, link.target_slot]),
    });
    made.forEach((one) => page.dress(one));
    return root;
  }

  class ChangeTracker {
    static graphEqual = (a, b) => JSON.stringify(a) === JSON.stringify(b);
    undoQueue = [];
    redoQueue = [];
    changeCount = 0;
    _restoringState = false;

    constructor(workflow, state) {
      this.workflow = workflow;
      this.initialState = this.activeState = state;
      if (following) this.squashState = () => setTimeout(() => (this.activeState = clone(app.rootGraph.serialize())), following);
    }

    reset(state) {
      if (this._restoringState) return;
      if (state) this.activeState = clone(state);
      this.initialState = clone(this.activeState);
    }

    checkState() {
      if (this.changeCount) return;
      const now = clone(app.rootGraph.serialize());
      if (ChangeTracker.graphEqual(this.activeState, now)) return;
      this.undoQueue.push(this.activeState);
      this.activeState = now;
      this.redoQueue.length = 0;
      this.squashState?.();
    }

    beforeChange() {
      this.changeCount++;
    }

    afterChange() {
      if (!--this.changeCount) this.checkState();
    }

    undo() {
      return this.updateState(this.undoQueue, this.redoQueue);
    }

    redo() {
      return this.updateState(this.redoQueue, this.undoQueue);
    }

    async updateState(source, target) {
      const state = source.pop();
      target.push(this.activeState);
      this._restoringState = true;
      try {
        await app.loadGraphData(state, false, false, this.workflow);
        this.activeState = state;
      } finally {
        this._restoringState = false;
      }
    }
  }

  function opened(name, state) {
    const workflow = { filename: name, path: `workflows/${name}.json`, directory: "workflows", isLoaded: true };
    workflow.changeTracker = new ChangeTracker(workflow, clone(state));
    Object.defineProperty(workflow, "activeState", { get: () => workflow.changeTracker.activeState });
    store.openWorkflows.push(workflow);
    return workflow;
  }

  const store = {
    openWorkflows: [],
    workflows: [],
    activeWorkflow: null,
    getWorkflowByPath: (path) => store.openWorkflows.find((workflow) => workflow.path === path),
  };

  const app = {
    rootGraph: null,
    canvas: { setDirty: NOTHING, draw: NOTHING, selectedItems: new Set(), ds: { scale: 1, offset: [0, 0] } },
    extensionManager: { workflow: store, setting: { get: (key) => page.settings[key] } },
    ui: { queue: { update: async () => {} } },
    queueItems: [],
    processingQueue: false,

    async loadGraphData(state, clean, _view, workflow = null) {
      if (clean !== false) app.rootGraph = configured({ nodes: [] });
      await sleep(loading);
      app.rootGraph = configured(state);
      app.canvas.graph = app.rootGraph;
      await page.configuring?.();
      await sleep(loading);
      if (workflow === null || typeof workflow === "string") {
        store.activeWorkflow = opened(workflow ?? `Unsaved ${store.openWorkflows.length}`, app.rootGraph.serialize());
      } else {
        store.activeWorkflow = workflow;
        workflow.changeTracker.reset(app.rootGraph.serialize());
      }
    },

    loadApiJson(workflow, name) {
      if (Object.values(workflow).some(({ class_type }) => !types[class_type])) return;
      app.rootGraph.nodes.length = 0;
      for (const { class_type } of Object.values(workflow)) app.rootGraph.add(new types[class_type](class_type).computeSize());
      store.activeWorkflow = opened(name, app.rootGraph.serialize());
    },

    async graphToPrompt() {
      await sleep(exporting / 2);
      const workflow = clone(app.rootGraph.serialize());
      await sleep(exporting / 2);
      return { workflow, output: {} };
    },

    async queuePrompt(number, batchCount = 1, queueNodeIds = undefined) {
      app.queueItems.push({ number, batchCount, queueNodeIds });
      if (app.processingQueue) return false;
      app.processingQueue = true;
      try {
        while (app.queueItems.length > 0) {
          const item = app.queueItems.pop();
          for (let left = item.batchCount; left > 0; left--) {
            page.beforeQueued();
            const exported = await app.graphToPrompt();
            try {
              await api.queuePrompt(item.number, exported, { partialExecutionTargets: item.queueNodeIds });
            } catch {
              break;
            }
            page.afterQueued();
            app.canvas.draw(true, true);
            await app.ui.queue.update();
          }
        }
      } finally {
        app.processingQueue = false;
      }
      return true;
    },
  };

  const queued = [];
  const api = {
    async fetchApi(_route, { body }) {
      queued.push(JSON.parse(body).extra_data.extra_pnginfo.workflow);
      await sleep(3);
      return { json: async () => ({ prompt_id: `prompt-${queued.length}`, number: queued.length, node_errors: {} }) };
    },
    addEventListener: NOTHING,
    dispatchCustomEvent: NOTHING,
    async queuePrompt(_number, { workflow, output }, { partialExecutionTargets } = {}) {
      const body = JSON.stringify({ prompt: output, extra_data: { extra_pnginfo: { workflow } } });
      const answer = await api.fetchApi("/prompt", { body });
      page.targets.push(partialExecutionTargets);
      return answer.json();
    },
  };

  const types = {
    T: class T {
      computeSize() {
        return page.create("T");
      }
    },
  };
  const LiteGraph = {
    registered_node_types: types,
    createNode: (type) => page.create(type),
    isValidConnection: (gives, takes) => gives === takes,
  };
  const listeners = {};
  const window = {
    performance: { now: () => page.clock ?? performance.now() },
    setTimeout,
    addEventListener: (name, listener) => void (listeners[name] ??= []).push(listener),
    requestAnimationFrame: NOTHING,
    Element: class {},
    LiteGraph,
  };

  const page = {
    app,
    queued,
    targets: [],
    store,
    api,
    settings: {},
    window,
    // Milliseconds, instead of real time.
    clock: undefined,
    dress: NOTHING,
    beforeQueued: NOTHING,
    afterQueued: NOTHING,
    create: (type) => node(type, type, {}, { id: undefined, pos: [0, 0], size: [1, 1], flags: {}, computeSize: () => [1, 1] }),

    /** Another tab, which is not shown. */
    another: (name, others) => opened(name, { nodes: others, links: [] }),

    /** A click on a tab. */
    show: (workflow) => app.loadGraphData(workflow.activeState, true, true, workflow),

    titles: () => app.rootGraph.nodes.map(({ title }) => title),

    value: (title, name = "v") =>
      app.rootGraph.nodes.find((one) => one.title === title).widgets.find((widget) => widget.name === name).value,

    /** An action of the person on the page. */
    hand: (type, more = {}) => listeners[type]?.forEach((listener) => listener({ type, isTrusted: true, ...more })),

    revision: () => means.revisions.revision(),

    /** A command of a program, as from the transport. */
    async ask(command, data = {}, { signal = new AbortController().signal, ...more } = {}) {
      const call = { id: "r", by: "program", answered: Promise.resolve(), submitting: NOTHING, ...more, signal };
      const unsettled = means.workflows.loading() ? means.workflows.idle() : means.queueing.unsettled();
      if (unsettled) await unlessCancelled(unsettled, signal);
      return commands[command](means, given(data), call);
    },
  };

  app.rootGraph = configured({ nodes, links: [] });
  app.canvas.graph = app.rootGraph;
  store.activeWorkflow = page.tab = opened("A", app.rootGraph.serialize());
  packs.below?.(app);
  const frontend = createFrontend(app, api, window);
  packs.around?.(app);
  const workflows = createWorkflows(frontend, window);
  const queueing = createQueueing(frontend);
  const means = {
    frontend,
    queueing,
    workflows,
    revisions: createRevisions(frontend, workflows, window),
    history: createHistory(frontend, workflows),
    runs: createRuns(frontend, workflows, queueing),
    loader: createLoader(frontend, workflows),
    tabs: createTabs(frontend, workflows),
  };
  means.lists = createListUpdates({ listUpdates: () => [] });
  means.variations = createVariations(means);
  page.means = means;
  return page;
}
