/**
 * Coordinates access to the graph with the page's queueing of runs.
 *
 * The page exports the graph, submits it, and changes the graph once ComfyUI has accepted it: a control sets the seed
 * of the next run, packs count up. That would overwrite a value that is written in between. Therefore nothing is
 * written from the start of any export until this follow-up work is done, and values that are about to change are not
 * read.
 *
 * @typedef {{over: Promise<void>, end: () => void}} Period A time that ends at the latest after AT_MOST.
 *
 * @typedef {Period & {taken: boolean}} Stretch The time from the export of a run until the follow-up work is done;
 *   `taken`: whether ComfyUI has answered.
 *
 * @typedef {object} Turn A run of this extension in the page's queue.
 * @property {() => {queueNodeIds?: string[]} | null} begin called when its turn comes; returns what is added to its
 *   entry, the output nodes to which it is limited, or null if the page shall not queue it
 * @property {(error: any) => void} failed called when its export has failed
 * @property {() => void} over called when the follow-up work is done
 * @property {boolean} [captured] whether it is not submitted, so that the page's list of runs stays as it is
 */

import { keepWritten, forgetReplaced } from "../widgets/seed_controls.js";
import { failedExport } from "../common/errors.js";
import { OURS } from "../exports/marks.js";
import { nextTask, within } from "../common/waiting.js";

// Milliseconds to wait for an export to end or for ComfyUI to answer.
const AT_MOST = 60_000;

/**
 * To be called when all extensions are set up, so that their wrappers of the page's functions are inside of these.
 *
 * @param {import("./frontend.js").Frontend} frontend
 */
export function createQueueing(frontend) {
  const { app } = frontend;
  const isOurs = (/** @type {any} */ { number }) => Object.is(number, OURS);
  /** @type {Stretch | null} */
  let stretch = null;
  /** @type {Promise<void> | null} an export by this extension */
  let exporting = null;
  /** @type {Period | null} from the moment that the page takes a run from its queue until the follow-up work is done */
  let begun = null;
  let busy = Boolean(app.processingQueue);
  /** @type {Set<() => void>} */
  const waiting = new Set();
  /** @type {Turn | null} */
  let next = null;
  /** @type {Turn | null} */
  let current = null;

  /** Called when the follow-up work of the last run is done. */
  function passed() {
    current?.over();
    stretch?.end();
    begun?.end();
    current = null;
  }

  /** @returns {Stretch} */
  function begin() {
    if (stretch) return stretch;
    /** @type {Stretch} */
    const own = { taken: false, ...period(() => void (stretch === own && (stretch = null))) };
    return (stretch = own);
  }

  function take() {
    const own = period(() => void (begun === own && (begun = null)));
    begun = own;
  }

  // The page does this after every run, even if the hook of a pack has failed.
  Object.defineProperty(app, "processingQueue", {
    configurable: true,
    enumerable: true,
    get: () => busy,
    set(value) {
      busy = Boolean(value);
      if (busy) return;
      passed();
      for (const resume of waiting) resume();
      waiting.clear();
    },
  });

  // The page updates its list right after the follow-up work.
  const list = app.ui?.queue;
  const update = list?.update;
  if (update) {
    list.update = function (/** @type {any[]} */ ...args) {
      if (current?.captured) return Promise.resolve();
      if (stretch?.taken) {
        stretch.end();
        begun?.end();
      }
      return update.apply(this, args);
    };
  }

  // The page takes the last entry first, but a run of this extension precedes any that the person adds. It begins when
  // it is taken, so that its fields do not get into another run.
  const { pop } = app.queueItems;
  app.queueItems.pop = function () {
    passed();
    forgetReplaced(frontend.written);
    const at = this.findIndex(isOurs);
    if (at < 0) {
      const item = pop.call(this);
      if (item) take();
      return item;
    }
    const [item] = this.splice(at, 1);
    current = next;
    next = null;
    const added = current?.begin();
    if (added) {
      take();
      return { ...item, ...added };
    }
    current = null;
    // The page takes entries as long as the list has any.
    return this.length > 0 ? this.pop() : { ...item, batchCount: 0 };
  };

  const { graphToPrompt } = app;
  app.graphToPrompt = function (/** @type {any[]} */ ...args) {
    const exported = () => frontend.exports.during(() => graphToPrompt.apply(this, args));
    if (!busy || frontend.exports.begins()) return exported();
    begin();
    keepWritten(frontend);
    // Two simultaneous exports would each include the other's temporary changes. An export by this extension that a
    // pack holds up may be this very call, which must not wait for itself.
    const made = exporting && !frontend.exports.isHeldUp() ? exporting.then(exported) : exported();
    const own = current;
    if (!own) return made;
    // The page reports the error to the first caller.
    return Promise.resolve(made).catch((error) => {
      own.failed(error);
      throw error;
    });
  };

  return {
    /** Settles when the graph may be written to, or null. */
    held: () => stretch?.over ?? exporting,

    /** Settles when the graph contains the follow-up changes of the run that is being queued, or null. */
    unsettled: () => stretch?.over ?? (frontend.exports.isShared() ? exporting : null),

    /** Settles when the next run in the queue can begin at once, or null. */
    occupied: () => exporting,

    /** Settles when the page has stopped queueing, or null. */
    queues: () => (busy ? new Promise((/** @type {(value?: any) => void} */ resume) => waiting.add(resume)) : null),

    /**
     * Adds a run to the page's queue.
     *
     * @param {number} count how many times it is queued
     * @param {Turn} turn
     * @returns {Promise<unknown>} the page's result; immediate if it is queueing others
     */
    async line(count, turn) {
      next = turn;
      return app.queuePrompt(OURS, count);
    },

    /**
     * Removes a run from the queue, unless the page has begun it.
     *
     * @returns {boolean} whether it was removed
     */
    withdraw() {
      next = null;
      const at = app.queueItems.findIndex(isOurs);
      if (at >= 0) app.queueItems.splice(at, 1);
      return at >= 0;
    },

    /**
     * @param {Promise<any>} answer of ComfyUI to the submitted run
     * @returns {Promise<void>} settles when the follow-up work is done, if the run was accepted
     */
    submitted(answer) {
      const own = begin();
      Promise.resolve(answer).then(
        () => {
          own.taken = true;
          frontend.written.clear();
          // The page does no follow-up work for a prompt that a pack has submitted by itself.
          nextTask().then(() => !busy && own.end());
        },
        () => nextTask().then(own.end),
      );
      return own.over;
    },

    /**
     * Exports while no run is being prepared and nothing is written to the graph.
     *
     * @template T
     * @param {() => Promise<T>} work started immediately
     * @returns {Promise<T>}
     */
    async alone(work) {
      // Packs may wait for something between the beginning of a run and its export.
      while (stretch || exporting || begun) await (stretch?.over ?? exporting ?? begun?.over);
      const done = work().catch((error) => {
        throw failedExport(error);
      });
      const own = within(done, AT_MOST, "").then(
        () => {},
        () => {},
      );
      exporting = own.then(() => void (exporting = null));
      return done;
    },
  };
}

/**
 * @param {() => void} ended
 * @returns {Period}
 */
function period(ended) {
  let end = () => {};
  const over = /** @type {Promise<void>} */ (
    new Promise((resume) => {
      const timer = setTimeout(() => end(), AT_MOST);
      end = () => {
        clearTimeout(timer);
        ended();
        resume();
      };
    })
  );
  return { over, end };
}

/** @typedef {ReturnType<typeof createQueueing>} Queueing */
