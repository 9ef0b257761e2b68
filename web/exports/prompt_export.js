/**
 * Exports what the page would submit if the person pressed Run, without a run.
 *
 * Packs add to a prompt in `app.graphToPrompt`, and some only during `app.queuePrompt`. The export therefore takes
 * place inside such a call: the page's own function is replaced below the wrappers of packs, and exports instead of
 * queueing when this module called it. Nothing is submitted, no seed control or widget hook runs, no event is
 * dispatched, and the page's queue and errors stay untouched.
 *
 * @typedef {import("../common/types.js").UiWorkflow} UiWorkflow
 * @typedef {import("../common/types.js").ApiWorkflow} ApiWorkflow
 * @typedef {{workflow: UiWorkflow, output: ApiWorkflow}} Exported
 *
 * @typedef {object} Attempt
 * @property {Promise<Exported> | null} exported
 * @property {() => void} reached
 */

import { EXPORT } from "./marks.js";
import { nextTask, within } from "../common/waiting.js";

// Milliseconds for wrappers of packs to call the page's function; some ask the person first.
const REACHED_WITHIN = 2000;

/**
 * To be called as early as possible: wrappers that exist by then only run until the export has begun.
 *
 * @param {any} app ComfyUI's app
 * @param {any} api ComfyUI's api
 */
export function createExport(app, api) {
  const queue = app.queuePrompt;
  const isPages = queue === Object.getPrototypeOf(app).queuePrompt;
  /** @type {Attempt | null} */
  let attempt = null;
  let begins = false;
  // Whether the export that is beginning has reached the page's own function, and how many have not yet.
  let arrived = false;
  let heldUp = 0;
  let underWay = 0;
  let disturbed = 0;

  /** @returns {Promise<Exported>} */
  function plain() {
    begins = true;
    arrived = false;
    /** @type {Promise<Exported>} */
    let exported;
    try {
      exported = app.graphToPrompt();
    } finally {
      begins = false;
    }
    if (!arrived) {
      heldUp++;
      const over = () => void heldUp--;
      Promise.resolve(exported).then(over, over);
    }
    return exported;
  }

  /** @type {(number: number, ...rest: any[]) => any} */
  const hook = function (/** @type {any} */ number, /** @type {any[]} */ ...rest) {
    // @ts-ignore the page's function is a method
    if (number !== EXPORT) return queue.call(this, number, ...rest);
    // A late call after a time-out must not become a run.
    if (!attempt) return Promise.resolve(false);
    attempt.exported ??= isPages ? plain() : belowUs();
    attempt.reached();
    const end = () => false;
    return attempt.exported?.then(end, end);
  };
  app.queuePrompt = hook;

  /**
   * Exports while the wrapped function believes that a run is being queued. The page's function returns at once if
   * another run is being queued, after adding this one to the queue, which is the moment for the export. Later it finds
   * nothing to queue.
   *
   * @returns {Promise<Exported>}
   */
  function belowUs() {
    /** @type {Promise<Exported> | undefined} */
    let exported;
    const { queueItems, processingQueue } = app;
    const ownEvents = Object.hasOwn(api, "dispatchCustomEvent");
    const { dispatchCustomEvent } = api;
    const push = () => {
      exported ??= plain();
      return 0;
    };
    app.queueItems = { length: 0, push };
    app.processingQueue = true;
    api.dispatchCustomEvent = () => true;
    try {
      Promise.resolve(queue.call(app, EXPORT, 0)).catch(() => {});
    } finally {
      Object.assign(app, { queueItems, processingQueue });
      if (ownEvents) api.dispatchCustomEvent = dispatchCustomEvent;
      else delete api.dispatchCustomEvent;
    }
    return exported ?? plain();
  }

  const isAlone = () => isPages && app.queuePrompt === hook;

  /** @returns {Promise<Exported>} */
  async function prompt() {
    if (isAlone()) return plain();
    /** @type {() => void} */
    let reached = () => {};
    const inside = new Promise((resume) => (reached = () => resume(undefined)));
    const own = (attempt = /** @type {Attempt} */ ({ exported: null, reached }));
    const over = (async () => app.queuePrompt(EXPORT, 1))().catch(() => {});
    await within(Promise.race([inside, over]), REACHED_WITHIN, "").catch(() => {});
    attempt = null;
    // If a pack blocks the call, the export is made without packs.
    const exported = await (own.exported ?? plain());
    // Packs finish their work after a run first.
    await Promise.race([over, nextTask()]);
    return exported;
  }

  return {
    /** Whether packs take part in exports, and may change the graph during one. */
    isShared: () => !isAlone(),

    /** Whether an export without a run is beginning. */
    begins: () => begins,

    /** Whether a pack's function has taken an export without a run, and may reach ours in a later task. */
    isHeldUp: () => heldUp > 0,

    /**
     * @template T
     * @param {() => T} exporting
     * @returns {T}
     */
    during(exporting) {
      arrived ||= begins;
      underWay++;
      const over = () => void underWay--;
      let result;
      try {
        result = exporting();
      } catch (error) {
        over();
        throw error;
      }
      Promise.resolve(result).then(over, over);
      return result;
    },

    /** Whether the graph may contain temporary changes, of packs during an export or of a variation. */
    isUnderWay: () => disturbed > 0 || (underWay > 0 && !isAlone()),

    /** @param {1 | -1} change 1 when the graph gets temporary changes, -1 when it has lost them again */
    disturb: (change) => void (disturbed += change),

    /** Exports what a run would submit; one export at a time. */
    prompt,

    /**
     * Exports the open workflow as the page saves it and as a run would submit it; one export at a time.
     *
     * @returns {Promise<Exported>}
     */
    async both() {
      const queued = await prompt();
      // Temporary changes of packs for a run are not part of the workflow.
      if (isAlone() || sameGraph(queued.workflow, app.rootGraph.serialize())) return queued;
      return { workflow: (await plain()).workflow, output: queued.output };
    },
  };
}

/**
 * @param {any} a
 * @param {any} b
 * @returns {boolean} whether two workflows have the same links, and the same nodes in the same mode
 */
function sameGraph(a, b) {
  const essence = (/** @type {any} */ { nodes, links }) => [nodes.map((/** @type {any} */ { id, mode }) => [id, mode]), links];
  const text = (/** @type {any} */ all) => JSON.stringify([all, ...(all.definitions?.subgraphs ?? [])].map(essence));
  return text(a) === text(b);
}
