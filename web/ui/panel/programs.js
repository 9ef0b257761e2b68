/**
 * The programs in the panel, with their last command and their rate of commands.
 *
 * @typedef {import("./state.js").ProgramFacts} ProgramFacts
 */

import { arrangeRows, button, make, set } from "../dom.js";
import { clock } from "../format.js";
import { named, t } from "../texts.js";

/**
 * @param {import("./state.js").State} state
 * @param {(program: string) => void} askAgain
 */
export function createPrograms(state, askAgain) {
  const empty = make("p", { class: "uiapi-hint", text: t("noPrograms") });
  const list = make("div", { role: "list", "aria-label": t("programs") });
  const scroll = make("div", { class: "uiapi-programs", tabindex: "0", role: "region", "aria-label": t("programs") }, list);
  const element = make("section", { class: "uiapi-section" }, make("h3", { text: t("programs") }), empty, scroll);

  /** @param {ProgramFacts} first */
  function createRow(first) {
    const { name } = first;
    const dot = make("span", { class: "uiapi-dot", role: "img" });
    const rate = make("span", { class: "uiapi-hint" });
    const last = make("span", { class: "uiapi-hint uiapi-cut uiapi-grow" });
    const answers = make("span", { class: "uiapi-cut uiapi-grow" });
    const again = button(t("askAgain"), () => askAgain(name), { small: true });
    const decided = make("div", { class: "uiapi-line" }, answers, again);
    const title = make("strong", { class: "uiapi-grow uiapi-cut", text: name, title: name });
    const row = make("div", { class: "uiapi-row", role: "listitem" }, make("div", { class: "uiapi-line" }, dot, title, rate), make("div", { class: "uiapi-line" }, last), decided);
    row.update = (/** @type {ProgramFacts} */ program) => {
      const online = program.connections > 0;
      set(dot, { class: `uiapi-dot${online ? " uiapi-on" : ""}`, "aria-label": online ? t("online") : null, "aria-hidden": online ? null : "true" });
      set(rate, { text: program.rate > 0 ? t("perSecond", { rate: program.rate }) : "" });
      set(last, { text: program.command ? `${program.command} · ${clock(program.last)}` : t("online") });
      const known = state.server?.answers.filter((answer) => answer.program === name) ?? [];
      const kinds = (/** @type {boolean} */ allowed) => known.filter((answer) => answer.allowed === allowed).map(({ kind }) => named("kinds", kind)).join(", ");
      const said = [kinds(true) && t("allowed", { kinds: kinds(true) }), kinds(false) && t("refused", { kinds: kinds(false) })].filter(Boolean).join("; ");
      set(answers, { text: said });
      decided.hidden = said === "";
    };
    return row;
  }

  return {
    element,

    /** Updates the list, the most recent program first. */
    update() {
      const programs = [...state.programs].sort((a, b) => Number(b.connections > 0) - Number(a.connections > 0) || b.last - a.last);
      empty.hidden = programs.length > 0;
      scroll.hidden = programs.length === 0;
      arrangeRows(list, programs, ({ name }) => name, createRow);
    },
  };
}
