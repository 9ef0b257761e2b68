/**
 * Asking the person at the browser, by the frontend's own dialogs, one question at a time.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 * @typedef {import("./frontend.js").OpenDialog} OpenDialog
 */

import { CommandError } from "./errors.js";

// 1.58 queues dialogs of one key. 1.32 has this one key for all and forgets the second that asks while it is open.
const OWN_KEY = "comfyui-uiapi";
const SHARED_KEY = "global-prompt";
const ERROR_KEY = "global-error";
const LOOK_EVERY = 200;

/**
 * @param {Frontend} frontend
 */
export function createDialogs(frontend) {
  /** @type {Promise<unknown>} */
  let last = Promise.resolve();

  /**
   * Show a dialog once those before it are gone; take it away when nobody waits for its answer any more.
   *
   * @template T
   * @param {{title: string, message: string}} text how to find it among the open ones
   * @param {() => Promise<T>} show
   * @param {AbortSignal} signal
   * @returns {Promise<T>}
   */
  async function ask(text, show, signal) {
    while (frontend.openDialogs().some(({ key }) => key === SHARED_KEY)) {
      refuseIfAborted(signal);
      await new Promise((resume) => setTimeout(resume, LOOK_EVERY));
    }
    refuseIfAborted(signal);
    const answer = show();
    const close = () => {
      const ours = frontend
        .openDialogs()
        .find(({ title, contentProps }) => title === text.title && contentProps?.message === text.message);
      if (ours) frontend.closeDialog(ours);
    };
    signal.addEventListener("abort", close);
    let given;
    try {
      given = await answer;
    } finally {
      signal.removeEventListener("abort", close);
    }
    // Taken away is no decision: only what the person had said yes to by then is carried out.
    if (!given) refuseIfAborted(signal);
    return given;
  }

  /**
   * @template T
   * @param {() => Promise<T>} question
   * @returns {Promise<T>}
   */
  function inTurn(question) {
    const mine = last.then(question, question);
    last = mine.catch(() => undefined);
    return mine;
  }

  return {
    /**
     * @param {{title: string, message: string, itemList?: string[], hint?: string}} question
     * @param {AbortSignal} signal
     * @returns {Promise<boolean>} whether the person agreed
     */
    confirm(question, signal) {
      const show = () => frontend.dialogs().confirm({ ...question, type: "default", key: OWN_KEY });
      return inTurn(() => ask(question, show, signal)).then((answer) => answer === true);
    },

    /**
     * @param {{title: string, message: string, defaultValue?: string}} question
     * @param {AbortSignal} signal
     * @returns {Promise<string | null>} what the person wrote, or null when they closed the dialog
     */
    prompt(question, signal) {
      return inTurn(() => ask(question, () => frontend.dialogs().prompt(question), signal));
    },
  };
}

/** @typedef {ReturnType<typeof createDialogs>} Dialogs */

/**
 * The error dialog that the page has opened since, if any.
 *
 * @param {Frontend} frontend
 * @param {OpenDialog[]} before
 * @returns {OpenDialog | undefined}
 */
export function newError(frontend, before) {
  if (before.some(({ key }) => key === ERROR_KEY)) return undefined;
  return frontend.openDialogs().find(({ key }) => key === ERROR_KEY);
}

/** @param {AbortSignal} signal */
function refuseIfAborted(signal) {
  if (signal.aborted) throw new CommandError("declined", "The question was withdrawn before the person answered it.");
}
