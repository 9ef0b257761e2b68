/**
 * The table in a question: the values that a program would change, or the files that it would download.
 */

import { breakable, button, make } from "../dom.js";
import { t } from "../texts.js";

// Rows that are shown at first; a button shows the rest.
const ROWS_AT_FIRST = 100;

/**
 * @param {string[][]} rows field, current value and new value, or the columns of `heads`
 * @param {string} label for screen readers
 * @param {{heads?: string[], kind?: string}} [look] `kind` is an additional CSS class
 * @returns {HTMLElement}
 */
export function changeTable(rows, label, { heads = [t("field"), t("now"), t("new")], kind = "uiapi-values" } = {}) {
  const head = heads.map((text) => make("th", { scope: "col", text }));
  const row = (/** @type {string[]} */ cells) => make("tr", {}, ...cells.map((text) => make("td", {}, ...breakable(text))));
  const body = make("tbody", {}, ...rows.slice(0, ROWS_AT_FIRST).map(row));
  const rest = rows.slice(ROWS_AT_FIRST);
  const more = button(t("showAll", { count: rows.length }), () => {
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
