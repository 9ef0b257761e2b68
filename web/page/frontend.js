/**
 * Wraps ComfyUI's frontend, and handles the differences between its versions.
 *
 * Tested with 1.32.9 to 1.58.1 by `dev.py compat`. Differences are detected by features, never by version numbers.
 *
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").UiWorkflow} UiWorkflow
 * @typedef {import("../common/types.js").ApiWorkflow} ApiWorkflow
 *
 * @typedef {{key: string, title?: string, contentProps: any}} OpenDialog
 * @typedef {"primevue" | "own"} Look the library that the frontend's panels and dialogs are drawn with, or none
 */

import { createExport } from "../exports/prompt_export.js";
import { createFrontendUi } from "./frontend_ui.js";
import { replaceMethod } from "../common/methods.js";
import { nextTask } from "../common/waiting.js";

// The oldest tested version; 1.27 lacks what is needed.
const OLDEST = "1.32.9";
// Milliseconds: how often to check whether the page has loaded its first workflow, and for how long.
const LOOK_EVERY = 50;
const LOOK_FOR = 20_000;
// Levels of subgraphs through which 1.32 passes promoted values.
const DEEPEST = 8;
const NAME_CHANGES = new Set(["openWorkflow", "renameWorkflow", "saveWorkflow", "saveAs", "closeWorkflow"]);

/**
 * @param {any} app ComfyUI's app
 * @param {any} api ComfyUI's api
 * @param {any} page the window
 */
export function createFrontend(app, api, page) {
  const exports = createExport(app, api);
  /** @type {import("../widgets/seed_controls.js").WrittenValues} */
  const written = new Map();

  /** @returns {any} */
  const manager = () => app.extensionManager;
  /** @returns {any} */
  const workflows = () => manager()?.workflow;

  /** @type {Set<(history: any) => void>} */
  const stepListeners = new Set();

  /** @returns {any} the undo history of the shown workflow */
  const tracker = () => workflows()?.activeWorkflow?.changeTracker;

  /**
   * Returns a copy of the graph as the page saves it. 1.32 passes promoted values down by one subgraph at each save,
   * so the first save may be incomplete.
   *
   * @returns {any}
   */
  const state = () => JSON.parse(stateText());

  /** @returns {string} the same as JSON */
  function stateText() {
    let text = JSON.stringify(app.rootGraph.serialize());
    const deepest = app.rootGraph.subgraphs?.size > 0 ? DEEPEST : 0;
    for (let depth = 0; depth < deepest; depth++) {
      const again = JSON.stringify(app.rootGraph.serialize());
      if (again === text) break;
      text = again;
    }
    return text;
  }

  /** @type {WeakMap<any, {count: number, end: () => void}>} the open steps of undo histories */
  const opened = new WeakMap();

  /**
   * Opens an undo step: until it is closed or dropped, the page captures none.
   *
   * 1.49 and later save the graph once more 50 ms after each step, as what that step has led to, even if another one is
   * open by then. Its changes would belong to the step before it, so that is put off until it is closed.
   *
   * @param {any} history
   */
  function openStep(history) {
    if (!history) return;
    history.beforeChange();
    const steps = opened.get(history) ?? { count: 0, end: protectState(history) };
    steps.count++;
    opened.set(history, steps);
  }

  /** @param {any} history one of whose open steps is closed or dropped */
  function endStep(history) {
    const steps = opened.get(history);
    if (!steps || --steps.count > 0) return;
    opened.delete(history);
    steps.end();
  }

  /**
   * @param {any} history
   * @returns {() => void} ends the protection
   */
  function protectState(history) {
    if (typeof history.squashState !== "function") return () => {};
    let { activeState } = history;
    let isPutOff = false;
    const own = { configurable: true, enumerable: true };
    Object.defineProperty(history, "activeState", {
      ...own,
      get: () => activeState,
      set(next) {
        // A load replaces the state.
        if (history.constructor.isLoadingGraph || history._restoringState) activeState = next;
        else isPutOff = true;
      },
    });
    return () => {
      Object.defineProperty(history, "activeState", { ...own, writable: true, value: activeState });
      if (isPutOff) history.squashState();
    };
  }

  /**
   * Closes an undo step without capturing it.
   *
   * @param {any} history
   */
  function dropStep(history) {
    if (!history) return;
    endStep(history);
    history.changeCount--;
  }

  /**
   * Closes an undo step and captures it. Values that are passed down afterwards would become another step. 1.32 captures
   * whatever is on the canvas, even if that belongs to another workflow or is being restored.
   *
   * @param {any} history
   */
  function noteStep(history) {
    if (!history) return;
    if (history !== tracker() || history._restoringState) return dropStep(history);
    endStep(history);
    if (history.changeCount === 1 && app.rootGraph.subgraphs?.size > 0) state();
    history.afterChange();
    for (const listener of stepListeners) listener(history);
  }

  return {
    ...createFrontendUi(app, api, page, manager),
    app,
    api,
    exports,
    written,

    tracker,
    state,
    stateText,
    openStep,
    dropStep,
    noteStep,

    /**
     * @param {() => void} listener called when the page may be left: it goes on until the next one arrives, or if the person
     *   stays. 1.53 and later save the graph at the end, before any listener of an extension for that is called.
     */
    onLeave: (listener) => page.addEventListener("beforeunload", listener),

    /**
     * Has the page save the graph for its next start. 1.45 and later do so half a second after a change, with whatever the
     * graph contains by then. Before 1.49, the same event queues a run if the person has chosen to run on changes.
     */
    saveAgain() {
      const history = tracker();
      if (typeof history?.squashState === "function") api.dispatchCustomEvent("graphChanged", history.activeState);
    },

    /** @param {(history: any) => void} listener called when a step of this extension was captured */
    onStep: (listener) => void stepListeners.add(listener),

    /** @returns {Graph} */
    rootGraph: () => app.rootGraph,

    /** @returns {any} */
    canvas: () => app.canvas,

    /** @returns {any} the LiteGraph library */
    litegraph: () => page.LiteGraph,

    /** Redraws the canvas with the next frame. */
    repaint: () => app.canvas?.setDirty(true, true),

    /**
     * Defers everything that the page draws within the current task to the next frame. A screenshot, which is drawn onto
     * another element, is drawn at once, since the next frame would be too late.
     */
    drawLater() {
      const { canvas } = app;
      const shown = canvas?.canvas;
      let over = false;
      const end = replaceMethod(canvas, "draw", (draw) => function (...args) {
        return over || canvas.canvas !== shown ? draw.apply(this, args) : canvas.setDirty(true, true);
      });
      nextTask().then(() => {
        over = true;
        end();
      });
    },

    /**
     * Makes a change of the graph one undo step.
     *
     * @template T
     * @param {() => T} change
     * @param {boolean} [putsBack] whether the change restores everything when it throws, so that no step is captured:
     *   that would only contain what the page has changed by itself
     * @returns {T}
     */
    undoStep(change, putsBack = false) {
      const history = tracker();
      openStep(history);
      let done = false;
      try {
        const result = change();
        done = true;
        return result;
      } finally {
        if (done || !putsBack) noteStep(history);
        else dropStep(history);
      }
    },

    /** Leaves the shown subgraph, since workflows can only be loaded at the top level. */
    showRoot() {
      if (app.canvas?.subgraph) app.canvas.setGraph(app.rootGraph);
    },

    /**
     * @param {UiWorkflow} workflow
     * @param {string | null} name of the workflow's tab
     * @param {boolean} warn whether the page may open its dialogs about missing nodes and models (1.32)
     * @returns {Promise<boolean>} false if the page reports a failure
     */
    async loadUi(workflow, name, warn) {
      const options = warn ? {} : { showMissingNodesDialog: false, showMissingModelsDialog: false };
      return (await app.loadGraphData(workflow, true, true, name, options)) !== false;
    },

    /**
     * @param {ApiWorkflow} workflow
     * @param {string | null} name of the workflow's tab
     */
    async loadApi(workflow, name) {
      await app.loadApiJson(workflow, name);
      // The page arranges the workflow outside of the view; the bounds of nodes are known once they are drawn.
      page.requestAnimationFrame(() => manager()?.command?.execute("Comfy.Canvas.FitView"));
    },

    /** 1.58 creates placeholders for unknown nodes of an API-format workflow; 1.32 does not load it at all. */
    placesUnknownNodes: () => typeof app.refreshMissingModels === "function",

    /**
     * @param {string} type
     * @returns {boolean} whether the page knows a node of this type
     */
    knowsType: (type) => Object.hasOwn(page.LiteGraph?.registered_node_types ?? {}, type),

    /**
     * @param {string} type
     * @returns {boolean} whether the page makes nodes of this type without ComfyUI, as notes and reroutes
     */
    makesType(type) {
      const types = page.LiteGraph?.registered_node_types ?? {};
      // ComfyUI may have lost a type that it described to this page.
      return Object.hasOwn(types, type) && !types[type].nodeData?.python_module;
    },

    /** Refreshes the file lists of combos. */
    async refreshModels() {
      if (typeof app.refreshMissingModels === "function") await app.refreshMissingModels({ silent: true });
      else await app.refreshComboInNodes();
    },

    /**
     * Brings a node into view and selects it.
     *
     * @param {any} node
     */
    showNode(node) {
      const { canvas } = app;
      if (canvas.graph !== node.graph) canvas.setGraph(node.graph);
      canvas.deselectAll();
      canvas.select(node);
      canvas.centerOnNode(node);
      canvas.setDirty(true, true);
    },

    /**
     * Removes the empty list of errors that 1.32 keeps after a run. Otherwise the next run would remove it, and redraw the
     * whole canvas between setting fields and the export.
     */
    forgetNoErrors() {
      const store = manager()?._p?._s?.get("execution");
      if (store?.lastNodeErrors && Object.keys(store.lastNodeErrors).length === 0) store.lastNodeErrors = null;
    },

    /** @returns {any[]} the frontend's stores with the errors of the last run: one in 1.32, another in 1.58 */
    errorStores: () => ["execution", "executionError"].map((name) => manager()?._p?._s?.get(name)).filter(Boolean),

    /** @returns {[any, string][]} the functions with which the page updates its lists of prompts: owner and name */
    listUpdates() {
      const stores = manager()?._p?._s;
      // The second one asks again for the same history in 1.32 to 1.53.
      return [[stores?.get("queue"), "update"], [stores?.get("assets"), "updateHistory"]];
    },

    /** Facts about this tab for the server. */
    info() {
      return {
        browser: browserName(page.navigator),
        platform: page.navigator.userAgentData?.platform ?? page.navigator.platform ?? "",
        frontend_version: page.__COMFYUI_FRONTEND_VERSION__ ?? "",
        workflow_name: workflows()?.activeWorkflow?.filename ?? "",
      };
    },

    /** @returns {string | null} a sentence that says why this page can't serve programs, or null if it can */
    unserved() {
      if (!("rootGraph" in app)) return `This extension needs version ${OLDEST} of the frontend or newer; update ComfyUI.`;
      return app.canvas?.graph ? null : "The page has not put a workflow on its canvas; reload it.";
    },

    /** @returns {string} the URL of the page key */
    pageKeyUrl: () => api.fileURL("/uiapi/page_key"),

    /** @returns {string} the URL of the websocket for tabs */
    socketUrl() {
      const scheme = page.location.protocol === "https:" ? "wss" : "ws";
      return `${scheme}://${api.api_host}${api.fileURL("/uiapi/ws")}`;
    },

    /**
     * Calls `changed` when another workflow is shown, or the shown one is renamed.
     *
     * @param {() => void} changed
     */
    onWorkflowName(changed) {
      workflows()?.$onAction?.((/** @type {any} */ { name, after }) => {
        if (NAME_CHANGES.has(name)) after(changed);
      });
    },

    /**
     * Waits until the page has restored its last workflow, which it does some time after the extensions are set up and
     * which would replace anything loaded before.
     *
     * @returns {Promise<void>}
     */
    async restored() {
      const until = page.performance.now() + LOOK_FOR;
      const keepsWorkflows = () => manager()?.setting?.get("Comfy.Workflow.Persist") !== false;
      const busy = () =>
        manager()?.spinner || !app.canvas?.graph || app.configuringGraph || (keepsWorkflows() && !workflows()?.activeWorkflow);
      do {
        await new Promise((resume) => page.setTimeout(resume, LOOK_EVERY));
      } while (busy() && page.performance.now() < until);
    },
  };
}

/** @typedef {ReturnType<typeof createFrontend>} Frontend */

/**
 * @param {any} navigator
 * @returns {string} such as "Chromium 143"
 */
export function browserName(navigator) {
  /** @type {{brand: string, version: string}[]} */
  const brands = navigator.userAgentData?.brands ?? [];
  const known = brands.filter(({ brand }) => !/not.*brand/i.test(brand));
  const own = known.find(({ brand }) => brand !== "Chromium") ?? known[0];
  if (own) return `${own.brand} ${own.version}`;
  const agent = String(navigator.userAgent ?? "");
  const match = /(Firefox|Edg|OPR|Chrome)\/(\d+)/.exec(agent) ?? /(?:Version)\/(\d+)[.\d]* (Safari)/.exec(agent);
  if (!match) return agent.slice(0, 80);
  return match[2] === "Safari" ? `Safari ${match[1]}` : `${match[1]} ${match[2]}`;
}
