/**
 * The page's workflow tabs and their undo histories, as far as this extension uses them.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 */

import { createAfterEffects } from "../graph/aftereffects.js";
import { nextTask, within } from "../common/waiting.js";

// Milliseconds after which a load that does not end is no longer waited for: the page shows what it shows.
const LOAD_AT_MOST = 60_000;

/**
 * @param {Frontend} frontend
 * @param {any} page the window
 */
export function createWorkflows(frontend, page) {
  const { app, state, tracker, noteStep } = frontend;
  const afterEffects = createAfterEffects(frontend, page);
  /** @type {WeakMap<object, string>} */
  const ids = new WeakMap();
  let given = 0;
  let loads = 0;
  /** @type {Promise<unknown>} */
  let loading = Promise.resolve();
  /** @type {Set<() => void>} */
  const loaded = new Set();
  /** @type {Set<() => void>} closes the undo steps that are open */
  const openSteps = new Set();

  /** @returns {any} the frontend's store of workflows */
  const store = () => app.extensionManager?.workflow;

  /** @returns {() => void} says that the load which begins now has ended */
  function begin() {
    // What is put on the canvas from now on is no part of them.
    for (const close of openSteps) close();
    loads++;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      if (--loads === 0) for (const hear of loaded) hear();
    };
  }

  /** @param {Promise<unknown>} ended */
  function waitFor(ended) {
    loading = Promise.all([loading, ended]).then(() => undefined);
  }

  // Between the emptied graph and the filled one there is nothing that a command should read or write.
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
      // Before whoever called it goes on, so that they find the page not loading any more.
      const done = (typeof result?.then === "function" ? result : Promise.resolve(tab)).then(over, over);
      waitFor(within(done, LOAD_AT_MOST, "").catch(over));
      return result;
    };
  }

  /**
   * Watch for the workflow tab that a load opens: 1.32 fills the graph from API JSON at once and answers nothing, but
   * shows the tab it belongs to a little later.
   *
   * @returns {() => Promise<void> | undefined} ends the watching; answers what settles when the tab is shown
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
      // The undo history is given its state by what follows the opening.
      shown = open.then(nextTask);
    });
    return () => {
      stop?.();
      return shown;
    };
  }

  /**
   * Have everybody wait for work on the graph as they wait for a load.
   *
   * @template T
   * @param {() => Promise<T>} work may load, but not wait for being idle
   * @returns {Promise<T>}
   */
  function undisturbed(work) {
    const over = begin();
    const done = work().finally(over);
    waitFor(within(done, LOAD_AT_MOST, "").catch(over));
    return done;
  }

  /**
   * Have the undo history take the graph as it is now for the state it holds. What the page itself adds while it
   * puts a state on the canvas (a default, a format's mark) would otherwise become a step in which nothing changed.
   *
   * @param {"loaded" | "restored"} [how] a graph that was loaded anew is also what it counts as unmodified
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

    /** Settles when the page has the graph it is loading, or null when it is loading none. */
    loading: () => (loads > 0 ? loading : null),

    /** Settles when the page is loading none; while one is waited for, another load may begin. */
    async idle() {
      while (loads > 0) await loading;
    },

    undisturbed,

    /** @param {() => void} hear called whenever the page has loaded a graph */
    onLoaded: (hear) => void loaded.add(hear),

    /** @returns {any} the shown workflow */
    active: () => store()?.activeWorkflow ?? null,

    /**
     * @param {any} workflow of the frontend's store
     * @returns {string} its id as long as the page lives
     */
    idOf(workflow) {
      // The store hands out proxies and the objects themselves.
      const raw = workflow?.__v_raw ?? workflow;
      if (raw === null || raw === undefined) return "";
      const id = ids.get(raw) ?? `tab-${++given}`;
      ids.set(raw, id);
      return id;
    },

    /**
     * A name no other workflow has. The page would show what is loaded under a saved workflow's name in that one's tab,
     * where saving overwrites it; 1.58 also replaces what an open tab of that name shows.
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
     * Have the undo history notice what a person has changed up to now, so that it becomes a step of its own.
     */
    capture() {
      if (afterEffects.settle()) return;
      const history = tracker();
      if (history?.captureCanvasState) history.captureCanvasState();
      else history?.checkState();
    },

    state,

    /**
     * Make a change of the graph one step for Undo in two halves: the page compares the whole graph to note a step, and
     * a run that the change belongs to need not wait for that.
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
          history?.beforeChange();
          openSteps.add(close);
          try {
            return change();
          } catch (error) {
            // It was put back, and is no step.
            if (openSteps.delete(close) && history) history.changeCount--;
            throw error;
          }
        },

        /** Have the graph be what it was before, and the step not made. */
        async takeBack() {
          close();
          if (!history || history !== tracker() || history.undoQueue.at(-1) === before) return;
          await undisturbed(() => history.updateState([history.undoQueue.pop()], []));
          settle();
        },

        /** Have the step noted. */
        close,
      };
    },

    settle,

    returnsTo: afterEffects.returnsTo,

    /**
     * @param {any} a
     * @param {any} b
     * @returns {boolean} whether the undo history takes two states for the same
     */
    same: (a, b) => Boolean(tracker()?.constructor.graphEqual?.(a, b)),

    /**
     * Put the graph back into a state, the way Undo does.
     *
     * @param {any} state
     * @param {any[]} history receives the state the undo history held
     */
    restore: (state, history) => tracker().updateState([state], history),
  };
}

/** @typedef {ReturnType<typeof createWorkflows>} Workflows */
