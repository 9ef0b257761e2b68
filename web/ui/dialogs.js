/**
 * Asks the person at the browser by the frontend's own dialogs, one question at a time.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 */

import { button, make } from "./dom.js";
import { CommandError } from "../common/errors.js";
import { keepFocus } from "./focus.js";
import { t } from "./texts.js";

// 1.58 queues dialogs with the same key. 1.32 uses one key for all, and ignores a second dialog while one is open.
const OWN_KEY = "comfyui-uiapi";
const SHARED_KEY = "global-prompt";
// While one of these is open or closing, 1.32 silently ignores others with the same key.
const ONE_AT_A_TIME = new Set([SHARED_KEY, `extension-${OWN_KEY}`]);
const LOOK_EVERY = 200;
// Milliseconds until the frontend has moved the focus after closing a dialog.
const FOCUS_AFTER = 100;

/** @typedef {{element: HTMLElement, focus?: HTMLElement | null}} Content The content of a dialog, and the element to focus. */

/**
 * @param {Frontend} frontend
 */
export function createDialogs(frontend) {
  /** @type {Promise<unknown>} */
  let last = Promise.resolve();

  /**
   * Shows a dialog once the previous ones are closed; closes it when `signal` is aborted.
   *
   * @template T
   * @param {{title: string, message: string}} text by which it is found among the open dialogs
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
    // A dialog that was closed by the abort is not a decision; an agreement before that counts.
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
     * Asks by a dialog with own content.
     *
     * @template T
     * @param {string} title
     * @param {(answer: (value: T | null) => void) => Content} build creates the content; `answer` ends the question
     * @param {AbortSignal} signal
     * @param {{wide?: boolean}} [look]
     * @returns {Promise<T | null>} null if the person closed it
     */
    show(title, build, signal, { wide } = {}) {
      return inTurn(() => ask({ title, message: OWN_KEY }, () => content(frontend, title, build, signal, wide), signal));
    },

    /**
     * Asks for a secret, which is hidden while typing.
     *
     * @param {string} title
     * @param {string} hint
     * @param {AbortSignal} signal
     * @returns {Promise<string | null>} null if nothing was entered
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
     * @returns {Promise<string | null>} the entered text, or null if the dialog was closed
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
  const field = make("input", { type: "password", autocomplete: "off", "aria-label": t("token") });
  const confirm = make("button", { class: "uiapi-button uiapi-primary", type: "submit", text: t("confirm") });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    answer(field.value);
  };
  const actions = make("div", { class: "uiapi-actions" }, button(t("cancel"), () => answer(null)), confirm);
  return { element: make("form", { onsubmit: submit }, make("p", { text: hint }), field, actions), focus: field };
}

/**
 * Opens a dialog around an element, moves the focus into it, and restores the focus afterwards.
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
      // A click while the dialog fades out would close the next one with this key.
      if (over.signal.aborted) return;
      given = value;
      close();
    });
    let acted = false;
    element.addEventListener("keydown", () => (acted = true), { once: true, signal: over.signal });
    const settle = () => {
      if (over.signal.aborted || !focus) return;
      // The frontend may have moved the focus here already, and the person may have gone on from there.
      if (!acted || !element.contains(document.activeElement)) focus.focus();
      keepFocus(element, () => frontend.topDialog() === `extension-${OWN_KEY}`, over.signal);
    };
    element.classList.add("uiapi-dialog");
    element.classList.toggle("uiapi-wide", Boolean(wide));
    // Makes the frontend focus this element instead of the close button.
    focus?.setAttribute("autofocus", "");
    close = frontend.showElement({
      key: OWN_KEY,
      title,
      element,
      wide,
      // 1.45 ignores the attribute. Deferred until the frontend has made this its active dialog: before that, the dialog
      // below takes the focus back, and the frontend does not notice the focus in this one.
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
