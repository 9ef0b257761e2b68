/**
 * The page's queueing: when nothing may be written to the graph, since a run is being made of it.
 *
 * The page exports the graph, submits it, and changes the graph once ComfyUI has taken it: a control sets the seed of
 * the next run, packs count up. A value that is written in between would be replaced by that. So nothing is written
 * from the beginning of an export until the page has done what follows the run, whoever has asked for the run, and
 * nothing is read that is about to be replaced.
 *
 * @typedef {object} Stretch From the export of one run until what follows it is done.
 * @property {Promise<void>} over
 * @property {() => void} end
 * @property {boolean} taken whether ComfyUI has answered
 *
 * @typedef {object} Turn A run of ours that is in the page's line.
 * @property {() => boolean} begin the page takes it, and queues it if this answers true
 * @property {(error: any) => void} failed its export has
 * @property {() => void} over the page has done all that follows it
 */

import { keepWritten, forgetReplaced } from "../widgets/seed_controls.js";
import { failedExport } from "../common/errors.js";
import { nextTask, within } from "../common/waiting.js";

/** Runs of ours are told from the person's by their number: -0 is 0 to everyone who computes or sends it. */
export const OURS = -0;
// Milliseconds after which an export that does not end, or an answer that does not come, is no longer waited for.
const AT_MOST = 60_000;

/**
 * To be called when all extensions are set up: what they put around the page's functions is inside of this.
 *
 * @param {import("./frontend.js").Frontend} frontend
 */
export function createQueueing(frontend) {
  const { app } = frontend;
  const isOurs = (/** @type {any} */ { number }) => Object.is(number, OURS);
  /** @type {Stretch | null} */
  let stretch = null;
  /** @type {Promise<void> | null} an export of ours */
  let exporting = null;
  let busy = Boolean(app.processingQueue);
  /** @type {Set<() => void>} */
  const waiting = new Set();
  /** @type {Turn | null} */
  let next = null;
  /** @type {Turn | null} */
  let current = null;

  /** The page has done what follows the run that it took last. */
  function passed() {
    stretch?.end();
    current?.over();
    current = null;
  }

  /** @returns {Stretch} */
  function begin() {
    if (stretch) return stretch;
    /** @type {Stretch} */
    const own = { taken: false, end() {}, over: Promise.resolve() };
    own.over = new Promise((resume) => {
      const timer = setTimeout(() => own.end(), AT_MOST);
      own.end = () => {
        clearTimeout(timer);
        if (stretch === own) stretch = null;
        resume();
      };
    });
    return (stretch = own);
  }

  // However a run ends, with an error of a pack's hook as well, the page says so by this.
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

  // The page looks at its list right after what follows a run.
  const list = app.ui?.queue;
  const update = list?.update;
  if (update) {
    list.update = function (/** @type {any[]} */ ...args) {
      if (stretch?.taken) stretch.end();
      return update.apply(this, args);
    };
  }

  // The page takes the last one first, but ours comes before what the person adds, however fast. It begins when it is
  // taken, so that what is set for it gets into no other run.
  const { pop } = app.queueItems;
  app.queueItems.pop = function () {
    passed();
    forgetReplaced(frontend.written);
    const at = this.findIndex(isOurs);
    if (at < 0) return pop.call(this);
    const [item] = this.splice(at, 1);
    current = next;
    next = null;
    if (current?.begin()) return item;
    current = null;
    // The page goes by its list's length, and takes something each time.
    return this.length > 0 ? this.pop() : { ...item, batchCount: 0 };
  };

  const { graphToPrompt } = app;
  app.graphToPrompt = function (/** @type {any[]} */ ...args) {
    const exported = () => frontend.exports.during(() => graphToPrompt.apply(this, args));
    if (!busy || frontend.exports.begins()) return exported();
    begin();
    keepWritten(frontend);
    // Each of two exports at once would take the other's changes of the graph for the graph itself.
    const made = exporting ? exporting.then(exported) : exported();
    const own = current;
    if (!own) return made;
    // The page answers with the error whoever has pressed first.
    return Promise.resolve(made).catch((error) => {
      own.failed(error);
      throw error;
    });
  };

  return {
    /** Settles when the graph may be written to, or null. */
    held: () => stretch?.over ?? exporting,

    /** Settles when the graph shows what follows the run that is being queued, or null. */
    unsettled: () => stretch?.over ?? (frontend.exports.isShared() ? exporting : null),

    /** Settles when a run can begin as soon as the page takes it, or null. */
    occupied: () => exporting,

    /** Settles when the page queues nothing any more, or null. */
    queues: () => (busy ? new Promise((/** @type {(value?: any) => void} */ resume) => waiting.add(resume)) : null),

    /**
     * Put a run of ours into the page's line.
     *
     * @param {number} count how many times it is queued
     * @param {Turn} turn
     * @returns {Promise<unknown>} the page's answer: at once if it is queueing others
     */
    async line(count, turn) {
      next = turn;
      return app.queuePrompt(OURS, count);
    },

    /**
     * Take a run of ours out of the line, where the page has not taken it.
     *
     * @returns {boolean} whether it was there
     */
    withdraw() {
      next = null;
      const at = app.queueItems.findIndex(isOurs);
      if (at >= 0) app.queueItems.splice(at, 1);
      return at >= 0;
    },

    /**
     * @param {Promise<any>} answer ComfyUI's to a run that is being submitted
     * @returns {Promise<void>} settles when the page has done what follows the run, if it was accepted
     */
    submitted(answer) {
      const own = begin();
      Promise.resolve(answer).then(
        () => {
          own.taken = true;
          frontend.written.clear();
          // Nothing of the page follows a prompt that a pack has submitted by itself.
          nextTask().then(() => !busy && own.end());
        },
        () => nextTask().then(own.end),
      );
      return own.over;
    },

    /**
     * Make an export of ours, while no run is being made of the graph and nothing is written to it.
     *
     * @template T
     * @param {() => Promise<T>} work begins at once
     * @returns {Promise<T>}
     */
    async alone(work) {
      while (stretch || exporting) await (stretch?.over ?? exporting);
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

/** @typedef {ReturnType<typeof createQueueing>} Queueing */
