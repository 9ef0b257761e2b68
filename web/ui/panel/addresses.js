/**
 * The saved URLs of models in the panel: a searchable table in which they can be changed and removed.
 *
 * @typedef {{name: string, url: string, type: string}} Row
 */

import { arrangeRows, button, emptyState, iconButton, iconOf, make, set } from "../dom.js";
import { t } from "../texts.js";

// The others are found by the search.
const ROWS_SHOWN = 200;

/**
 * @param {object} means
 * @param {(command: string, data?: any) => Promise<any>} means.ask
 */
export function addressesSection({ ask }) {
  /** @type {Row[]} */
  let rows = [];
  const search = make("input", { type: "search", placeholder: t("search"), title: t("search"), "aria-label": t("search"), oninput: () => show() });
  const none = emptyState("pi-link", t("empty"), t("noAddresses"));
  const noneFound = make("p", { class: "uiapi-hint", text: t("noneFound") });
  const list = make("div", { role: "list", "aria-label": t("addresses") });
  const scroll = make("div", { class: "uiapi-scroll uiapi-fill", tabindex: "0", role: "region", "aria-label": t("addresses") }, make("div", { class: "uiapi-section" }, none, noneFound, list));
  const [name, url, type] = [t("modelName"), t("address"), t("folder")].map((label) => make("input", { type: "text", placeholder: label, "aria-label": label }));
  const form = make("form", { class: "uiapi-section", "aria-label": t("addAddress"), onsubmit: add }, name, url, type, make("div", { class: "uiapi-actions" }, make("button", { class: "uiapi-button", type: "submit", text: t("addAddress") })));

  /** @param {Event} event */
  async function add(event) {
    event.preventDefault();
    if (!(await save(name.value.trim(), url.value.trim(), type.value.trim() || "checkpoints"))) return;
    for (const field of [name, url, type]) field.value = "";
  }

  /**
   * @param {string} model_name
   * @param {string} address
   * @param {string} model_type
   */
  async function save(model_name, address, model_type) {
    const saved = await ask("add_model_url", { model_name, url: address, model_type });
    if (saved) await read();
    return saved;
  }

  async function read() {
    const answer = await ask("model_urls");
    if (!answer) return;
    rows = Object.entries(answer.urls).map(([key, value]) => ({
      name: key,
      url: typeof value === "string" ? value : (value.url ?? ""),
      type: typeof value === "string" ? "" : (value.ckpt_type ?? ""),
    }));
    show();
  }

  function show() {
    const wanted = search.value.trim().toLowerCase();
    const found = rows.filter((row) => `${row.name} ${row.url} ${row.type}`.toLowerCase().includes(wanted)).slice(0, ROWS_SHOWN);
    none.hidden = rows.length > 0;
    noneFound.hidden = rows.length === 0 || found.length > 0;
    arrangeRows(list, found, (row) => row.name, createRow);
  }

  /** @param {Row} first */
  function createRow(first) {
    let row = first;
    const field = make("input", { type: "text", "aria-label": t("addressOf", { name: row.name }), onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && keep() });
    const keepIt = button(t("save"), keep, { small: true });
    const forget = iconButton("pi-trash", t("forgetAddress", { name: row.name }), async () => {
      if (await ask("remove_model_url", { model_name: row.name })) await read();
    });
    const about = make("span", { class: "uiapi-hint" });
    field.addEventListener("input", () => (keepIt.hidden = field.value === row.url));

    function keep() {
      return save(row.name, field.value.trim(), row.type || "checkpoints");
    }

    const element = make("div", { class: "uiapi-row", role: "listitem" }, make("div", { class: "uiapi-line" }, make("strong", { class: "uiapi-grow uiapi-cut", text: row.name, title: row.name }), about, forget), make("div", { class: "uiapi-line" }, field, keepIt));
    element.update = (/** @type {Row} */ now) => {
      const untouched = field.value === row.url || field.value === "";
      row = now;
      if (untouched || document.activeElement !== field) field.value = now.url;
      keepIt.hidden = field.value === now.url;
      set(about, { text: now.type });
    };
    return element;
  }

  return { elements: [make("div", { class: "uiapi-section" }, make("div", { class: "uiapi-search" }, search, iconOf("pi-search"))), scroll, form], opened: () => void read() };
}
