/**
 * Waiting that ends: for the next task or try, for something that may never come, and only while somebody waits for
 * the answer.
 */

import { CommandError } from "./errors.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 4000;

/**
 * Milliseconds to wait before the next try: doubling, capped, and spread so that many tabs don't come back at once.
 *
 * @param {number} failures tries that have failed so far
 * @param {number} chance 0 to 1
 * @returns {number}
 */
export function backOff(failures, chance) {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** failures) * (0.5 + chance / 2);
}

/**
 * Let everything run that follows from what has happened. A timer would do, but is slowed down in hidden tabs.
 *
 * @returns {Promise<void>}
 */
export function nextTask() {
  return new Promise((resume) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resume();
    };
    port2.postMessage(null);
  });
}

/**
 * @param {number} milliseconds
 * @returns {Promise<void>}
 */
export function later(milliseconds) {
  return new Promise((resume) => setTimeout(resume, milliseconds));
}

/**
 * What a promise answers, if that comes in time.
 *
 * @template T
 * @param {PromiseLike<T>} promise
 * @param {number} milliseconds
 * @param {string} sentence what the caller is told otherwise
 * @returns {Promise<T>}
 * @throws {CommandError} tab_failed
 */
export function within(promise, milliseconds, sentence) {
  /** @type {any} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new CommandError("tab_failed", sentence)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * Wait as long as somebody waits for what comes after; the server says when nobody does any more.
 *
 * @param {Promise<unknown>} promise
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 * @throws {CommandError} conflict when it was cancelled first
 */
export function unlessCancelled(promise, signal) {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new CommandError("conflict", "The command was cancelled before it was carried out."));
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp);
    promise.then(
      () => resolve(),
      (error) => reject(error),
    ).finally(() => signal.removeEventListener("abort", giveUp));
  });
}
