/**
 * Asking the person at the browser, by the frontend's own dialogs, one question at a time.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 */

import { button, make } from "./dom.js";
import { CommandError } from "../common/errors.js";
import { keepFocus } from "./focus.js";
import { texts } from "./texts.js";

// 1.58 queues dialogs of one key. 1.32 has this one key for all and forgets the second that asks while it is open.
const OWN_KEY = "comfyui-uiapi";
const SHARED_KEY = "global-prompt";
// While one of these is open, or still on its way out, 1.32 shows no other of the same key and says nothing.
const ONE_AT_A_TIME = new Set([SHARED_KEY, `extension-${OWN_KEY}`]);
const LOOK_EVERY = 200;
// Milliseconds that the frontend takes to move the focus by itself after it has closed a dialog.
const FOCUS_AFTER = 100;

/** @typedef {{element: HTMLElement, focus?: HTMLElement | null}} Content what a dialog shows, and where typing begins */

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
    while (frontend.openDialogs().some(({ key }) => ONE_AT_A_TIME.has(key))) {
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
     * Ask by a dialog whose inside is ours.
     *
     * @template T
     * @param {string} title
     * @param {(answer: (value: T | null) => void) => Content} build makes the inside; `answer` ends the question
     * @param {AbortSignal} signal
     * @param {{wide?: boolean}} [look]
     * @returns {Promise<T | null>} null when the person closed it
     */
    show(title, build, signal, { wide } = {}) {
      return inTurn(() => ask({ title, message: OWN_KEY }, () => content(frontend, title, build, signal, wide), signal));
    },

    /**
     * Ask for something that nobody should read over the person's shoulder.
     *
     * @param {string} title
     * @param {string} hint
     * @param {AbortSignal} signal
     * @returns {Promise<string | null>} null when they gave nothing
     */
    async secret(title, hint, signal) {
      /** @type {string | null} */
      const given = await this.show(title, (/** @type {(value: string | null) => void} */ answer) => secretForm(hint, answer), signal);
      return given?.trim() || null;
    },

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
 * @param {string} hint
 * @param {(value: string | null) => void} answer
 * @returns {Content}
 */
function secretForm(hint, answer) {
  const field = make("input", { type: "password", autocomplete: "off", "aria-label": texts.token });
  const confirm = make("button", { class: "uiapi-button uiapi-primary", type: "submit", text: texts.confirm });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    answer(field.value);
  };
  const actions = make("div", { class: "uiapi-actions" }, button(texts.cancel, () => answer(null)), confirm);
  return { element: make("form", { onsubmit: submit }, make("p", { text: hint }), field, actions), focus: field };
}

/**
 * Open a dialog around an element, put the focus into it, and give that back afterwards.
 *
 * @template T
 * @param {Frontend} frontend
 * @param {string} title
 * @param {(answer: (value: T | null) => void) => Content} build
 * @param {AbortSignal} signal
 * @param {boolean} [wide]
 * @returns {Promise<T | null>}
 */
function content(frontend, title, build, signal, wide) {
  const before = document.activeElement;
  const over = new AbortController();
  return new Promise((resume) => {
    /** @type {T | null} */
    let given = null;
    let close = () => {};
    const { element, focus } = build((value) => {
      // What is clicked while it fades away would close the next dialog of this key.
      if (over.signal.aborted) return;
      given = value;
      close();
    });
    const settle = () => {
      if (over.signal.aborted || !focus) return;
      focus.focus();
      keepFocus(element, () => frontend.topDialog() === `extension-${OWN_KEY}`, over.signal);
    };
    element.classList.add("uiapi-dialog");
    element.classList.toggle("uiapi-wide", Boolean(wide));
    // The frontend puts the focus there by itself when it has shown the dialog, and not on the button that closes it.
    focus?.setAttribute("autofocus", "");
    close = frontend.showElement({
      key: OWN_KEY,
      title,
      element,
      wide,
      // 1.45 has no such attribute. Not before the frontend has made this its active dialog: until then the one below
      // takes the focus back, and the frontend does not notice where the focus is in ours.
      opened: () => setTimeout(settle),
      closed() {
        over.abort();
        resume(given);
        setTimeout(() => {
          if (before instanceof HTMLElement && before.isConnected && document.activeElement === document.body) before.focus();
        }, FOCUS_AFTER);
      },
    });
    signal.addEventListener("abort", () => close());
  });
}

/** @param {AbortSignal} signal */
function refuseIfAborted(signal) {
  if (signal.aborted) throw new CommandError("declined", "The question was withdrawn before the person answered it.");
}
