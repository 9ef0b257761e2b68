/**
 * Limits how often the page updates its lists of prompts while sweeps are in progress.
 *
 * Whenever a prompt is queued, begins or ends, the page asks ComfyUI for its queue and its history; 1.32 asks four times
 * for each prompt. Each time ComfyUI encodes up to 264 prompts with their workflows on its event loop, which would take
 * longer than many a prompt of a sweep.
 */

import { replaceMethod } from "../common/methods.js";
import { later } from "../common/waiting.js";

// Milliseconds between two updates of a list, and for which the limit outlasts the sweeps: a busy page only gets to
// ComfyUI's last events then.
const PAUSE = 500;

/** @param {Pick<import("./frontend.js").Frontend, "listUpdates">} frontend */
export function createListUpdates({ listUpdates }) {
  /** @type {(() => void) | null} */
  let end = null;
  /** @type {any} */
  let timer;

  function begin() {
    let isOver = false;
    const ends = listUpdates().map(([owner, name]) => replaceMethod(owner, name, (update) => {
      let rested = Promise.resolve();
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

  return {
    /** @param {boolean} isSweeping whether a sweep is in progress */
    limit(isSweeping) {
      clearTimeout(timer);
      if (isSweeping) end ??= begin();
      else if (end) {
        timer = setTimeout(() => {
          end?.();
          end = null;
        }, PAUSE);
      }
    },
  };
}
