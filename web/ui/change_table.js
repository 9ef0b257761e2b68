/**
 * The table of a question: every value that a program would change, or every file that it would bring.
 */

import { button, make } from "./dom.js";
import { texts } from "./texts.js";

// Rows shown at first; a button shows the others.
const ROWS_AT_FIRST = 100;

/**
 * @param {string[][]} rows what it is, its value now, and its new value; or as the heads say
 * @param {string} label what the table is about, for those who hear it
 * @param {{heads?: string[], kind?: string}} [look] `kind` is a class of its own
 * @returns {HTMLElement}
 */
export function changeTable(rows, label, { heads = [texts.field, texts.now, texts.new], kind = "" } = {}) {
  const head = heads.map((text) => make("th", { scope: "col", text }));
  const row = (/** @type {string[]} */ cells) => make("tr", {}, ...cells.map((text) => make("td", { text })));
  const body = make("tbody", {}, ...rows.slice(0, ROWS_AT_FIRST).map(row));
  const rest = rows.slice(ROWS_AT_FIRST);
  const more = button(texts.showAll(rows.length), () => {
    body.append(...rest.map(row));
    more.remove();
  }, { small: true });
  return make(
    "div",
    { class: "uiapi-scroll", tabindex: "0", role: "region", "aria-label": label },
    make("table", { class: `uiapi-table ${kind}` }, make("thead", {}, make("tr", {}, ...head)), body),
    rest.length > 0 && more,
  );
}
