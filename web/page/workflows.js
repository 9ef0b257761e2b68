/**
 * Wraps the page's workflows and their undo histories.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 */

import { createAfterEffects } from "../graph/aftereffects.js";
import { nextTask, within } from "../common/waiting.js";

// Milliseconds to wait for a load.
const LOAD_AT_MOST = 60_000;

/**
 * @param {Frontend} frontend
 * @param {any} page the window
 */
export function createWorkflows(frontend, page) {
  const { app, state, tracker, openStep, dropStep, noteStep } = frontend;
  const afterEffects = createAfterEffects(frontend, page);
  /** @type {WeakMap<object, string>} */
  const ids = new WeakMap();
  let given = 0;
  let loads = 0;
  /** @type {Promise<unknown>} */
  let loading = Promise.resolve();
  /** @type {Set<() => void>} */
  const loaded = new Set();
  /** @type {Set<() => void>} close open undo steps */
  const openSteps = new Set();

  /** @returns {any} the store of workflows */
  const store = () => app.extensionManager?.workflow;

  /** @returns {() => void} marks the end of the load that begins now */
  function begin() {
    // The loaded graph is not part of them.
    for (const close of openSteps) close();
    loads++;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      if (--loads === 0) for (const listener of loaded) listener();
    };
  }

  /** @param {Promise<unknown>} ended */
  function waitFor(ended) {
    loading = Promise.all([loading, ended]).then(() => undefined);
  }

  // Commands must not read or write a half-loaded graph.
  for (const name of ["loadGraphData", "loadApiJson"]) {
    const load = app[name];
    app[name] = function (/** @type {any[]} */ ...args) {
      const over = begin();
      const opened = opening();
      let result;
      try {
        result = load.apply(this, args);
      } catch (error) {
        opened();
        over();
        throw error;
      }
      const tab = opened();
      // Before the caller continues, so that the load has ended for it.
      const done = (typeof result?.then === "function" ? result : Promise.resolve(tab)).then(over, over);
      waitFor(within(done, LOAD_AT_MOST, "").catch(over));
      return result;
    };
  }

  /**
   * Watches for the workflow tab that a load opens: 1.32 fills the graph from API JSON at once, but opens its tab a
   * little later without a promise.
   *
   * @returns {() => Promise<void> | undefined} ends the watch; returns a promise that settles when the tab is shown
   */
  function opening() {
    /** @type {Promise<void> | undefined} */
    let shown;
    const stop = store()?.$onAction?.((/** @type {any} */ { name, after, onError }) => {
      if (name !== "openWorkflow") return;
      /** @type {Promise<void>} */
      const open = new Promise((resume) => {
        after(() => resume());
        onError(() => resume());
      });
      // The undo history gets its state after the tab was opened.
      shown = open.then(nextTask);
    });
    return () => {
      stop?.();
      return shown;
    };
  }

  /**
   * Makes commands wait for work on the graph as for a load.
   *
   * @template T
   * @param {() => Promise<T>} work may load, but must not wait for idle()
   * @returns {Promise<T>}
   */
  function undisturbed(work) {
    const over = begin();
    const done = work().finally(over);
    waitFor(within(done, LOAD_AT_MOST, "").catch(over));
    return done;
  }

  /**
   * Makes the present graph the state of the undo history. Otherwise additions of the page while loading a state (a
   * default, a format mark) would become an empty step.
   *
   * @param {"loaded" | "restored"} [how] "loaded" also makes it the unmodified state
   */
  function settle(how = "restored") {
    const history = tracker();
    if (how === "loaded") history?.reset(state());
    else if (history) history.activeState = state();
    afterEffects.follow(history, how === "loaded");
  }

  return {
    store,
    tracker,

    /** Settles when the current load has ended, or null if none is in progress. */
    loading: () => (loads > 0 ? loading : null),

    /** Settles when no load is in progress, including loads that begin meanwhile. */
    async idle() {
      while (loads > 0) await loading;
    },

    undisturbed,

    /** @param {() => void} listener called whenever the page has loaded a graph */
    onLoaded: (listener) => void loaded.add(listener),

    /** @returns {any} the shown workflow */
    active: () => store()?.activeWorkflow ?? null,

    /**
     * @param {any} workflow of the frontend's store
     * @returns {string} its id for the lifetime of the page
     */
    idOf(workflow) {
      // The store returns proxies as well as the objects themselves.
      const raw = workflow?.__v_raw ?? workflow;
      if (raw === null || raw === undefined) return "";
      const id = ids.get(raw) ?? `tab-${++given}`;
      ids.set(raw, id);
      return id;
    },

    /**
     * Returns a name that no other workflow has. The page would load a workflow with the name of a saved one into the
     * tab of that one, where saving overwrites it; 1.58 also replaces the contents of an open tab of that name.
     *
     * @param {string} name
     * @returns {string}
     */
    freeName(name) {
      const stem = name.replace(/\.json$/i, "");
      let free = stem;
      for (let count = 2; store().getWorkflowByPath(`workflows/${free}.json`); count++) free = `${stem} (${count})`;
      return free;
    },

    /**
     * Captures earlier changes of the person as an undo step of their own.
     */
    capture() {
      if (afterEffects.settle()) return;
      const history = tracker();
      if (history?.captureCanvasState) history.captureCanvasState();
      else history?.checkState();
    },

    state,

    /**
     * Opens an undo step for a change and captures it later: to capture a step, the page compares the whole graph, and a
     * run that the change belongs to should not wait for that.
     */
    openUndoStep() {
      /** @type {any} */
      let history;
      /** @type {any} */
      let before;
      const close = () => {
        if (openSteps.delete(close)) noteStep(history);
      };
      return {
        /**
         * @template T
         * @param {() => T} change
         * @returns {T}
         */
        undoStep(change) {
          history = tracker();
          before = history?.undoQueue.at(-1);
          openStep(history);
          openSteps.add(close);
          try {
            return change();
          } catch (error) {
            // Everything was restored, so this is not a step.
            if (openSteps.delete(close)) dropStep(history);
            throw error;
          }
        },

        /** Restores the graph and drops the step. */
        async takeBack() {
          close();
          if (!history || history !== tracker() || history.undoQueue.at(-1) === before) return;
          await undisturbed(() => history.updateState([history.undoQueue.pop()], []));
          settle();
        },

        /** Captures the step. */
        close,
      };
    },

    settle,

    returnsTo: afterEffects.returnsTo,

    /**
     * @param {any} a
     * @param {any} b
     * @returns {boolean} whether the undo history considers two states equal
     */
    same: (a, b) => Boolean(tracker()?.constructor.graphEqual?.(a, b)),

    /**
     * Restores a state as Undo does.
     *
     * @param {any} state
     * @param {any[]} history receives the previous state of the undo history
     */
    restore: (state, history) => tracker().updateState([state], history),
  };
}

/** @typedef {ReturnType<typeof createWorkflows>} Workflows */
