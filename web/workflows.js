/**
 * The page's workflow tabs and their undo histories, as far as this extension uses them.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 */

/**
 * @param {Frontend} frontend
 */
export function createWorkflows(frontend) {
  const { app } = frontend;
  /** @type {WeakMap<object, string>} */
  const ids = new WeakMap();
  let given = 0;
  let loads = 0;
  /** @type {Promise<unknown>} */
  let loading = Promise.resolve();
  /** @type {Set<() => void>} */
  const loaded = new Set();

  /** @returns {any} the frontend's store of workflows */
  const store = () => app.extensionManager?.workflow;
  /** @returns {any} the undo history of the shown workflow */
  const tracker = () => store()?.activeWorkflow?.changeTracker;

  // Between the emptied graph and the filled one there is nothing that a command should read or write.
  for (const name of ["loadGraphData", "loadApiJson"]) {
    const load = app[name];
    app[name] = function (/** @type {any[]} */ ...args) {
      loads++;
      const over = () => {
        if (--loads === 0) for (const hear of loaded) hear();
      };
      let result;
      try {
        result = load.apply(this, args);
      } catch (error) {
        over();
        throw error;
      }
      // 1.32 loads API JSON at once and answers nothing.
      if (typeof result?.then !== "function") over();
      else loading = result.then(over, over);
      return result;
    };
  }

  return {
    store,
    tracker,

    /** Settles when the page has the graph it is loading, or null when it is loading none. */
    loading: () => (loads > 0 ? loading : null),

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

    /** Have the undo history notice what has changed up to now, so that it becomes a step of its own. */
    capture() {
      const history = tracker();
      if (history?.captureCanvasState) history.captureCanvasState();
      else history?.checkState();
    },

    /** @returns {any} the graph as the page saves it, independent of it */
    state: () => JSON.parse(JSON.stringify(frontend.rootGraph().serialize())),

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
    async restore(state, history) {
      await tracker().updateState([state], history);
      await loading;
    },
  };
}

/** @typedef {ReturnType<typeof createWorkflows>} Workflows */
