/**
 * The notice over the canvas: one line for each thing the open workflow lacks, with buttons, and one button to close it.
 */

import { iconButton, make, overCanvas, set } from "../dom.js";
import { t } from "../texts.js";

/** Creates the notice. */
export function createNotice() {
  /** @type {Set<ReturnType<typeof createLine>>} */
  const lines = new Set();
  const body = make("div", { class: "uiapi-lines" });
  const close = iconButton("pi-times", t("dismiss"), () => {
    for (const line of lines) line.dismiss();
  });
  const element = make("div", { class: "uiapi-notice", role: "status", hidden: true }, body, close);
  overCanvas().append(element);

  const update = () => void (element.hidden = ![...lines].some((line) => line.shown()));

  return {
    /**
     * Adds a line, which is hidden at first.
     *
     * @param {string} icon of the frontend, such as "pi-box"
     */
    line(icon) {
      const line = createLine(icon, update);
      lines.add(line);
      body.append(line.element);
      return line;
    },
  };
}

/** @typedef {ReturnType<typeof createLine>} Line */

/**
 * @param {string} icon
 * @param {() => void} changed
 */
function createLine(icon, changed) {
  const text = make("span", { class: "uiapi-grow" });
  const actions = make("span", { class: "uiapi-line" });
  const element = make("div", { class: "uiapi-line", hidden: true }, make("i", { class: `pi ${icon}`, "aria-hidden": "true" }), text, actions);
  let dismissed = () => {};
  // Whether a button that was removed had the focus, which the next one gets unless the person has gone on.
  let focused = false;

  /** @param {HTMLElement[]} buttons */
  function offer(buttons) {
    focused ||= actions.contains(document.activeElement);
    actions.replaceChildren(...buttons);
    if (!focused || buttons.length === 0) return;
    focused = false;
    if (document.activeElement === document.body) buttons[0].focus();
  }

  function hide() {
    element.hidden = true;
    changed();
  }

  return {
    element,
    hide,
    shown: () => !element.hidden,

    /** Hides it because the person does not want to see it. */
    dismiss() {
      if (element.hidden) return;
      dismissed();
      hide();
    },

    /** @param {string} words shown instead of buttons */
    busy(words) {
      set(text, { text: words });
      offer([]);
    },

    /**
     * @param {string} words
     * @param {HTMLElement[]} buttons
     * @param {() => void} whenDismissed
     */
    show(words, buttons, whenDismissed) {
      set(text, { text: words });
      const labels = (/** @type {Iterable<Element>} */ shown) => [...shown].map(({ textContent }) => textContent).join("\n");
      // Equal buttons are kept, so that a click is not lost to an update.
      if (labels(actions.children) !== labels(buttons)) offer(buttons);
      dismissed = whenDismissed;
      element.hidden = false;
      changed();
    },
  };
}
