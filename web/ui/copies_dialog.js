/**
 * The dialog that asks which of several files on the disk a missing model is.
 *
 * @typedef {{name: string, size: number, modified: number, here: boolean, damage: string | null}} Copy
 * @typedef {{name: string, used_by: {path: string}[], copies: Copy[]}} Unchosen
 */

import { breakable, button, make, set } from "./dom.js";
import { day, size } from "./format.js";
import { t } from "./texts.js";

/**
 * @param {import("./dialogs.js").Dialogs} dialogs
 * @param {Unchosen[]} models
 * @param {AbortSignal} signal
 * @returns {Promise<(string | null)[] | null>} the chosen file of each model, or null for a model without a choice; null
 *   if the person closed the dialog
 */
export function askForCopies(dialogs, models, signal) {
  return dialogs.show(
    t("chooseTitle", { count: models.length }),
    (/** @type {(chosen: (string | null)[] | null) => void} */ answer) => form(models, answer),
    signal,
  );
}

/**
 * @param {Unchosen[]} models
 * @param {(chosen: (string | null)[] | null) => void} answer
 */
function form(models, answer) {
  const questions = models.map(createQuestion);
  const said = make("p", { class: "uiapi-grow uiapi-bad", role: "status" });

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    const files = questions.map(({ chosen }) => chosen());
    if (files.some((file) => file !== null)) return answer(files);
    set(said, { text: t("chooseFirst") });
    questions[0].first.focus();
  }

  const confirm = make("button", { class: "uiapi-button uiapi-primary", type: "submit", text: t("useThem", { count: models.length }) });
  const element = make(
    "form",
    { onsubmit: submit, onchange: () => set(said, { text: "" }) },
    make("p", { class: "uiapi-hint", text: t("chooseHint") }),
    make("div", { class: "uiapi-scroll uiapi-offer", tabindex: "0", role: "region", "aria-label": t("models") }, ...questions.map(({ element }) => element)),
    make("div", { class: "uiapi-actions" }, said, button(t("cancel"), () => answer(null)), confirm),
  );
  return { element, focus: questions[0].first };
}

/**
 * @param {Unchosen} model
 * @param {number} index
 */
function createQuestion({ name, used_by, copies }, index) {
  const files = copies.filter(({ here, damage }) => here && !damage);
  const radios = files.map((file) => make("input", { type: "radio", name: `uiapi-copy-${index}`, value: file.name }));
  const rows = files.map((file, at) =>
    make(
      "label",
      { class: "uiapi-line" },
      radios[at],
      make("span", { class: "uiapi-grow" }, ...breakable(file.name)),
      make("span", { class: "uiapi-hint", text: `${size(file.size)} · ${day(file.modified)}` }),
    ),
  );
  const uses = used_by.map(({ path }) => path).join(", ");
  return {
    element: make("fieldset", { class: "uiapi-choice" }, make("legend", {}, ...breakable(name)), make("p", { class: "uiapi-hint", text: uses }), ...rows),
    first: radios[0],
    chosen: () => radios.find((radio) => radio.checked)?.value ?? null,
  };
}
