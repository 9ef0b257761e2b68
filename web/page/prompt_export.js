/**
 * What the page would submit if the person pressed Run now, without a run.
 *
 * Packs add to a prompt in `app.graphToPrompt`, and some only while an `app.queuePrompt` is on its way. So the export
 * is made inside of one: the page's own function is replaced at the bottom of what packs put around it, and for a call
 * of ours exports instead of queueing. Nothing is submitted, no seed control or hook of a widget runs, no event is
 * dispatched, and neither the page's queue nor its errors are touched.
 *
 * @typedef {import("../common/types.js").UiWorkflow} UiWorkflow
 * @typedef {import("../common/types.js").ApiWorkflow} ApiWorkflow
 * @typedef {{workflow: UiWorkflow, output: ApiWorkflow}} Exported
 *
 * @typedef {object} Attempt
 * @property {Promise<Exported> | null} exported
 * @property {() => void} reached
 */

import { nextTask, within } from "../common/waiting.js";

// No number that anybody queues with. It stays a number, since packs may compute with it.
const EXPORT = Number.MIN_VALUE;
// Milliseconds for what packs put around the page's function to call it; one may ask the person first.
const REACHED_WITHIN = 2000;

/**
 * To be called as early as possible: what is around the page's function by then is only asked for the moment in which
 * the export begins.
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
  let underWay = 0;

  /** @returns {Promise<Exported>} */
  function plain() {
    begins = true;
    try {
      return app.graphToPrompt();
    } finally {
      begins = false;
    }
  }

  /** @type {(number: number, ...rest: any[]) => any} */
  const hook = function (/** @type {any} */ number, /** @type {any[]} */ ...rest) {
    // @ts-ignore the page's function is a method
    if (number !== EXPORT) return queue.call(this, number, ...rest);
    // A call that comes late, when nobody waits for it, must not become a run.
    if (!attempt) return Promise.resolve(false);
    attempt.exported ??= isPages ? plain() : belowUs();
    attempt.reached();
    const end = () => false;
    return attempt.exported?.then(end, end);
  };
  app.queuePrompt = hook;

  /**
   * Export while what is below us takes a run to be queued. The page's function answers at once if another run is being
   * queued, after it has put this one in the line: that is the moment. Whatever comes later finds nothing to queue.
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
    // Where a pack does not let it pass, the export is the one without it.
    const exported = await (own.exported ?? plain());
    // What packs do behind a run comes before anything else.
    await Promise.race([over, nextTask()]);
    return exported;
  }

  return {
    /** Whether packs have a say in what is queued, and may change the graph for the time of an export. */
    isShared: () => !isAlone(),

    /** Whether an export begins at this moment that is none of a run. */
    begins: () => begins,

    /**
     * @template T
     * @param {() => T} exporting
     * @returns {T}
     */
    during(exporting) {
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

    /** Whether the graph may show what packs put into it for the time of an export. */
    isUnderWay: () => underWay > 0 && !isAlone(),

    /** What a run would submit; one at a time. */
    prompt,

    /**
     * The open workflow in both formats: as the page saves it, and as a run would submit it; one at a time.
     *
     * @returns {Promise<Exported>}
     */
    async both() {
      const queued = await prompt();
      // What a pack puts into the graph for a run only is no part of the workflow.
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
