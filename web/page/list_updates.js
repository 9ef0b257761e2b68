/**
 * Limits how often the page updates its lists of prompts while sweeps are in progress.
 *
 * Whenever a prompt is queued, begins or ends, the page asks ComfyUI for its queue and its history; 1.32 asks four times
 * for each prompt. Each time ComfyUI encodes up to 264 prompts with their workflows on its event loop, which would take
 * longer than many a prompt of a sweep.
 */

import { replaceMethod } from "../common/methods.js";
import { later } from "../common/waiting.js";

// Milliseconds before an update of a list, after the one before or the beginning of a sweep, which may be over by then. The
// limit outlasts the sweeps by as much: a busy page only gets to ComfyUI's last events then.
const PAUSE = 500;

/** @param {Pick<import("./frontend.js").Frontend, "listUpdates">} frontend */
export function createListUpdates({ listUpdates }) {
  let isSweeping = false;
  /** @type {(() => void) | null} */
  let end = null;
  /** @type {any} */
  let timer;

  function begin() {
    let isOver = false;
    const ends = listUpdates().map(([owner, name]) => replaceMethod(owner, name, (update) => {
      let rested = later(PAUSE);
      /** @type {Promise<unknown> | null} the update that is yet to begin, for all who have asked for one since the last */
      let next = null;
      return function (...args) {
        if (isOver) return update.apply(this, args);
        next ??= rested.then(() => {
          next = null;
          const updating = Promise.resolve(update.apply(this, args));
          rested = updating.then(() => later(PAUSE), () => later(PAUSE));
          return updating;
        });
        return next;
      };
    }));
    return () => {
      isOver = true;
      for (const restore of ends) restore();
    };
  }

  function limit() {
    end ??= begin();
    clearTimeout(timer);
    if (isSweeping) return;
    timer = setTimeout(() => {
      end?.();
      end = null;
    }, PAUSE);
  }

  return {
    /** To be called when the page exports prompts: if they are of a sweep, it is reported a little later. */
    expectSweep: limit,

    /** @param {boolean} anySweep whether a sweep is in progress */
    report(anySweep) {
      // Every other change of the state is reported as well.
      if (anySweep === isSweeping) return;
      isSweeping = anySweep;
      limit();
    },
  };
}

/** @typedef {ReturnType<typeof createListUpdates>} ListUpdates */
