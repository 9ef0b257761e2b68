/**
 * The programs in the panel, with their rate of commands now and in the last seconds.
 *
 * @typedef {import("./state.js").ProgramFacts} ProgramFacts
 */

import { arrangeRows, button, make, set } from "../dom.js";
import { clock } from "../format.js";
import { createSparkline } from "../look/sparkline.js";
import { named, t } from "../texts.js";

// Programs that are shown at first; a button shows the rest.
const SHOWN_AT_FIRST = 6;
// Milliseconds between two points of a program's line.
const POINT_EVERY = 900;

/**
 * @param {import("./state.js").State} state
 * @param {(program: string) => void} askAgain
 */
export function createPrograms(state, askAgain) {
  const empty = make("p", { class: "uiapi-hint", text: t("noPrograms") });
  const list = make("div", { role: "list", "aria-label": t("programs") });
  let all = false;
  const more = button("", () => {
    all = true;
    update();
  }, { small: true });
  const element = make("section", { class: "uiapi-section" }, make("h3", { text: t("programs") }), empty, list, more);

  /** @param {ProgramFacts} first */
  function createRow(first) {
    const { name } = first;
    const dot = make("span", { class: "uiapi-dot", role: "img" });
    const rate = make("span", { class: "uiapi-hint uiapi-rate" });
    const line = createSparkline();
    let drawn = 0;
    const answers = make("span", { class: "uiapi-grow" });
    const again = button(t("askAgain"), () => askAgain(name), { small: true });
    const decided = make("div", { class: "uiapi-line" }, answers, again);
    const title = make("strong", { class: "uiapi-grow uiapi-cut", text: name });
    const row = make("div", { class: "uiapi-row", role: "listitem" }, make("div", { class: "uiapi-line" }, dot, title, line.element, rate), decided);
    row.update = (/** @type {ProgramFacts} */ program) => {
      const online = program.connections > 0;
      set(dot, { class: `uiapi-dot${online ? " uiapi-on" : ""}`, "aria-label": online ? t("online") : null, "aria-hidden": online ? null : "true" });
      set(rate, { text: program.rate > 0 ? t("perSecond", { rate: program.rate }) : "" });
      set(title, { title: [name, program.command ? `${program.command} · ${clock(program.last)}` : t("online")].join("\n") });
      if (performance.now() - drawn >= POINT_EVERY) {
        drawn = performance.now();
        line.add(program.rate);
      }
      const known = state.server?.answers.filter((answer) => answer.program === name) ?? [];
      const kinds = (/** @type {boolean} */ allowed) => known.filter((answer) => answer.allowed === allowed).map(({ kind }) => named("kinds", kind)).join(", ");
      const said = [kinds(true) && t("allowed", { kinds: kinds(true) }), kinds(false) && t("refused", { kinds: kinds(false) })].filter(Boolean).join("; ");
      set(answers, { text: said });
      decided.hidden = said === "";
    };
    return row;
  }

  /** Updates the list, the most recent program first. */
  function update() {
    const programs = [...state.programs].sort((a, b) => Number(b.connections > 0) - Number(a.connections > 0) || b.last - a.last);
    element.hidden = programs.length === 0 && state.entries.size === 0;
    empty.hidden = programs.length > 0;
    list.hidden = programs.length === 0;
    more.hidden = all || programs.length <= SHOWN_AT_FIRST;
    set(more, { text: t("showAll", { count: programs.length }) });
    arrangeRows(list, all ? programs : programs.slice(0, SHOWN_AT_FIRST), ({ name }) => name, createRow);
  }

  return { element, update };
}
