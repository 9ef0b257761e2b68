/**
 * Helpers for waiting: delays between retries, time-outs, and waits that end when a command is cancelled.
 */

import { CommandError } from "./errors.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 4000;

/**
 * Returns the delay before the next try in milliseconds: doubling, capped, and spread so that tabs do not all
 * reconnect at once.
 *
 * @param {number} failures tries that have failed so far
 * @param {number} chance 0 to 1
 * @returns {number}
 */
export function backOff(failures, chance) {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** failures) * (0.5 + chance / 2);
}

/**
 * Waits for the next task. Unlike a timer, it is not slowed down in hidden tabs.
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
 * Returns the result of a promise unless it takes too long.
 *
 * @template T
 * @param {PromiseLike<T>} promise
 * @param {number} milliseconds
 * @param {string} sentence the message of the error otherwise
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
 * Waits for a promise unless the command is cancelled first.
 *
 * @param {Promise<unknown>} promise
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 * @throws {CommandError} conflict when the command was cancelled
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
