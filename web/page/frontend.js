/**
 * ComfyUI's frontend as this extension sees it: the one place that knows what differs between its versions.
 *
 * Tried with 1.32.9 to 1.58.1, as `dev.py compat` runs it. Differences are told by what is there, never by the
 * version's number.
 *
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").UiWorkflow} UiWorkflow
 * @typedef {import("../common/types.js").ApiWorkflow} ApiWorkflow
 *
 * @typedef {{key: string, title?: string, contentProps: any}} OpenDialog
 */

import { createExport } from "./prompt_export.js";
import { nextTask } from "../common/waiting.js";

// The oldest that is tried; what 1.27 has is no longer enough.
const OLDEST = "1.32.9";
// Milliseconds between looks at whether the page has put its first workflow on the canvas, and how long to look.
const LOOK_EVERY = 50;
const LOOK_FOR = 20_000;
// How many subgraphs deep 1.32 is followed while it hands promoted values down.
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

  /**
   * The frontend's list of open dialogs. It is not handed to extensions, but every store leads to the others; where it
   * can't be found, a dialog that nobody waits for any more stays open until the person closes it.
   *
   * @returns {any}
   */
  const dialogStore = () => manager()?._p?._s?.get("dialog");

  /** @type {Set<(history: any) => void>} */
  const stepHearers = new Set();

  /** @returns {any} the undo history of the shown workflow */
  const tracker = () => workflows()?.activeWorkflow?.changeTracker;

  /**
   * The graph as the page saves it, independent of it. 1.32 hands a promoted value down by one subgraph at each save,
   * so that the first one need not be the last word.
   *
   * @returns {any}
   */
  function state() {
    let text = JSON.stringify(app.rootGraph.serialize());
    const deepest = app.rootGraph.subgraphs?.size > 0 ? DEEPEST : 0;
    for (let depth = 0; depth < deepest; depth++) {
      const again = JSON.stringify(app.rootGraph.serialize());
      if (again === text) break;
      text = again;
    }
    return JSON.parse(text);
  }

  /**
   * Have the page note a step. What it hands down afterwards would become another one, which nobody made. 1.32 takes
   * whatever is on the canvas for the workflow's own graph, also when that is another one's or is being put back.
   *
   * @param {any} history
   */
  function noteStep(history) {
    if (!history) return;
    if (history !== tracker() || history._restoringState) {
      history.changeCount--;
      return;
    }
    if (history.changeCount === 1 && app.rootGraph.subgraphs?.size > 0) state();
    history.afterChange();
    for (const hear of stepHearers) hear(history);
  }

  return {
    app,
    api,
    exports,
    written,

    tracker,
    state,
    noteStep,

    /** @param {(history: any) => void} hear called when a step of ours has been noted */
    onStep: (hear) => void stepHearers.add(hear),

    /** @returns {Graph} */
    rootGraph: () => app.rootGraph,

    /** @returns {any} */
    canvas: () => app.canvas,

    /** @returns {any} the library that the graph is made with */
    litegraph: () => page.LiteGraph,

    /** Have the canvas drawn anew with the next frame. */
    repaint: () => app.canvas?.setDirty(true, true),

    /**
     * Have what the page draws until it next waits drawn with the next frame instead. A picture of the graph, which is
     * drawn onto another element, is drawn at once: a frame would come too late for it.
     */
    drawLater() {
      const { canvas } = app;
      if (!canvas?.draw) return;
      const own = Object.hasOwn(canvas, "draw");
      const { draw, canvas: shown } = canvas;
      let over = false;
      const later = function (/** @type {any[]} */ ...args) {
        // @ts-ignore a method of the canvas
        return over || canvas.canvas !== shown ? draw.apply(this, args) : canvas.setDirty(true, true);
      };
      canvas.draw = later;
      nextTask().then(() => {
        over = true;
        if (canvas.draw !== later) return;
        if (own) canvas.draw = draw;
        else delete canvas.draw;
      });
    },

    /**
     * @param {string} key
     * @returns {unknown} one of the frontend's settings
     */
    setting: (key) => manager()?.setting?.get(key),

    /**
     * Make a change of the graph one step for Undo.
     *
     * @template T
     * @param {() => T} change
     * @param {boolean} [putsBack] whether nothing has changed when it throws: what the page has changed by itself since
     *   the last step would be noted in its place
     * @returns {T}
     */
    undoStep(change, putsBack = false) {
      const history = tracker();
      history?.beforeChange();
      let done = false;
      try {
        const result = change();
        done = true;
        return result;
      } finally {
        if (done || !putsBack) noteStep(history);
        else if (history) history.changeCount--;
      }
    },

    /** Leave the subgraph that is looked into: a workflow can only be loaded over the whole one. */
    showRoot() {
      if (app.canvas?.subgraph) app.canvas.setGraph(app.rootGraph);
    },

    /**
     * @param {UiWorkflow} workflow
     * @param {string | null} name of the workflow's tab
     * @param {boolean} warn whether the page may open its dialogs about missing nodes and models (1.32)
     * @returns {Promise<boolean>} false when the page says that it failed
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
      // The page arranges such a workflow where nobody looks; the nodes' bounds are known once they are drawn.
      page.requestAnimationFrame(() => manager()?.command?.execute("Comfy.Canvas.FitView"));
    },

    /** 1.58 puts placeholders for unknown nodes of an API-format workflow; 1.32 loads nothing of it. */
    placesUnknownNodes: () => typeof app.refreshMissingModels === "function",

    /**
     * @param {string} type
     * @returns {boolean} whether the page knows a node of this type
     */
    knowsType: (type) => Object.hasOwn(page.LiteGraph?.registered_node_types ?? {}, type),

    /** Have the combos read their file lists again. */
    async refreshModels() {
      if (typeof app.refreshMissingModels === "function") await app.refreshMissingModels({ silent: true });
      else await app.refreshComboInNodes();
    },

    /** @returns {any} the frontend's dialogs for extensions: confirm and prompt */
    dialogs: () => manager()?.dialog,

    /**
     * Open one of the frontend's dialogs around an element of ours.
     *
     * @param {{key: string, title: string, element: HTMLElement, wide?: boolean, opened: () => void, closed: () => void}} facts
     * @returns {() => void} closes it
     */
    showElement({ key, title, element, wide = false, opened, closed }) {
      // The smallest component there is: nothing of its own, and our element beside it.
      const component = {
        render: () => null,
        /** @this {any} */
        mounted() {
          this.$el.parentNode.insertBefore(element, this.$el);
          opened();
        },
        unmounted: closed,
      };
      // 1.32's own `closeDialog` looks for the key without this.
      const own = `extension-${key}`;
      // 1.45 has two kinds of dialogs, of which the older gets no focus and no clicks over one of the newer.
      const look = { onClose: closed, size: wide ? "lg" : "md", renderer: "reka" };
      return manager().dialog.showExtensionDialog({ key: own, title, component, dialogComponentProps: look }).closeDialog;
    },

    /**
     * Add a tab to the sidebar.
     *
     * @param {{id: string, icon: string, title: string, tooltip: string, render: (element: HTMLElement) => void,
     *   destroy: () => void}} tab
     */
    addSidebarTab(tab) {
      // 1.58 has a store of them, which 1.32 has under the same name without saying so; the older call warns there.
      const place = manager().sidebarTab?.registerSidebarTab ? manager().sidebarTab : manager();
      place.registerSidebarTab({ ...tab, type: "custom" });
    },

    /**
     * @param {string} id of a tab of the sidebar
     * @returns {boolean} whether it is open
     */
    sidebarShows: (id) => manager()?.sidebarTab?.activeSidebarTabId === id,

    /** @param {string} id of a tab of the sidebar, to be opened or closed */
    toggleSidebar: (id) => manager()?.command?.execute(`Workspace.ToggleSidebarTab.${id}`),

    /** Run the shown workflow as the person's own Run button does. */
    run: () => manager()?.command?.execute("Comfy.QueuePrompt"),

    /** Open the frontend's settings. */
    openSettings: () => manager()?.command?.execute("Comfy.ShowSettingsDialog"),

    /**
     * @param {string} key
     * @param {unknown} value of one of the frontend's settings
     */
    setSetting: (key, value) => manager()?.setting?.set(key, value),

    /**
     * Bring a node into view and select it.
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
     * 1.32 keeps an empty list of errors after a run, and draws the whole canvas when the next one begins by taking it
     * away. Taken away before, nothing has to be drawn between setting fields and the export.
     */
    forgetNoErrors() {
      const store = manager()?._p?._s?.get("execution");
      if (store?.lastNodeErrors && Object.keys(store.lastNodeErrors).length === 0) store.lastNodeErrors = null;
    },

    /** @returns {OpenDialog[]} the dialogs on the page, as far as they can be known */
    openDialogs: () => [...(dialogStore()?.dialogStack ?? [])],

    /** @returns {string | undefined} the key of the dialog above all others, as far as it can be known */
    topDialog: () => dialogStore()?.activeKey,

    /** @param {OpenDialog} dialog */
    closeDialog: (dialog) => dialogStore()?.closeDialog(dialog),

    /**
     * @param {"info" | "warn" | "error"} severity
     * @param {string} summary
     * @param {string} detail
     */
    toast: (severity, summary, detail) => manager()?.toast?.add({ severity, summary, detail, life: 8000 }),

    /** What the server tells about this tab. */
    info() {
      return {
        browser: browserName(page.navigator),
        platform: page.navigator.userAgentData?.platform ?? page.navigator.platform ?? "",
        frontend_version: page.__COMFYUI_FRONTEND_VERSION__ ?? "",
        workflow_name: workflows()?.activeWorkflow?.filename ?? "",
      };
    },

    /** @returns {string | null} why programs can't be served in this page, as a sentence; null where they can */
    unserved() {
      if (!("rootGraph" in app)) return `This extension needs version ${OLDEST} of the frontend or a newer one; update ComfyUI.`;
      return app.canvas?.graph ? null : "The page has not put a workflow on its canvas; reload it.";
    },

    /** @returns {string} where the server gives its pages the key they join with */
    pageKeyUrl: () => api.fileURL("/uiapi/page_key"),

    /** @returns {string} where the server listens for tabs */
    socketUrl() {
      const scheme = page.location.protocol === "https:" ? "wss" : "ws";
      return `${scheme}://${api.api_host}${api.fileURL("/uiapi/ws")}`;
    },

    /**
     * Hear when another workflow is shown, or the shown one gets another name.
     *
     * @param {() => void} changed
     */
    onWorkflowName(changed) {
      workflows()?.$onAction?.((/** @type {any} */ { name, after }) => {
        if (NAME_CHANGES.has(name)) after(changed);
      });
    },

    /**
     * Wait until the page has shown its first workflow: it restores the last one some time after the extensions are
     * set up, and what was loaded before that would be replaced.
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
