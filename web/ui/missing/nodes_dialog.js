/**
 * The dialog in which the person chooses the packs to install for the missing nodes.
 *
 * @typedef {import("../../page/pack_manager.js").Wanted} Wanted
 * @typedef {import("../../page/pack_manager.js").Kind} Kind
 * @typedef {{types: any[], manager: Kind | null}} Found The response of missing_nodes.
 * @typedef {{click: Event, wanted: Wanted[]}} Chosen With the click that agreed.
 */

import { breakable, button, make, set } from "../dom.js";
import { named, t } from "../texts.js";

const USES_SHOWN = 3;

/**
 * @param {import("../dialogs.js").Dialogs} dialogs
 * @param {Found} found
 * @param {AbortSignal} signal
 * @returns {Promise<Chosen | null>} null if the person closed it
 */
export function askForNodes(dialogs, found, signal) {
  const title = t("nodesTitle", { count: found.types.length });
  return dialogs.show(title, (/** @type {(chosen: Chosen | null) => void} */ answer) => form(found, answer), signal, { wide: true });
}

/**
 * The table of missing types, with a choice of packs to install.
 *
 * @param {Found} found
 * @param {(chosen: Chosen | null) => void} answer
 */
function form({ types, manager }, answer) {
  const rows = types.map((one) => createRow(one, manager));
  const said = make("p", { class: "uiapi-grow uiapi-bad", role: "status" });
  const heads = [t("nodeType"), t("usedBy"), t("pack"), t("install")].map((text) => make("th", { scope: "col", text }));
  const table = make(
    "table",
    { class: "uiapi-table uiapi-nodes", onchange: () => set(said, { text: "" }) },
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows.map(({ element }) => element)),
  );

  /** @param {Event} click */
  function choose(click) {
    /** @type {Map<string, Wanted>} */
    const wanted = new Map();
    for (const row of rows) {
      const pack = row.chosen();
      if (pack) wanted.set(pack.id ?? pack.repository ?? "", { pack, type: row.type });
    }
    if (wanted.size > 0) return answer({ click, wanted: [...wanted.values()] });
    set(said, { text: t("chooseFirst") });
    rows.find(({ tick }) => tick)?.tick.focus();
  }

  const can = rows.some(({ tick }) => tick);
  const close = button(can ? t("cancel") : t("close"), () => answer(null));
  const go = can ? button(t("installThem"), choose, { primary: true }) : null;
  const element = make(
    "div",
    { class: "uiapi-offer" },
    make("p", { text: can ? t("installHint") : t("noManagerHint") }),
    make("div", { class: "uiapi-scroll", tabindex: "0", role: "region", "aria-label": t("nodes") }, table),
    make("div", { class: "uiapi-actions" }, said, close, go),
  );
  // Not the button that installs: a key that is held down would press it.
  return { element, focus: close };
}

/**
 * @param {any} missing a type of missing_nodes
 * @param {Kind | null} manager
 */
function createRow(missing, manager) {
  const type = missing.type ?? t("unknownType");
  const packs = manager ? missing.packs.filter((/** @type {any} */ pack) => pack.state === "missing" && (pack.id || pack.repository) && pack.id !== "comfy-core") : [];
  const titles = missing.nodes.map((/** @type {any} */ { id, title }) => title || `#${id}`);
  const more = missing.count - USES_SHOWN;
  const uses = [...titles.slice(0, USES_SHOWN), more > 0 && t("more", { count: more })].filter(Boolean).join(", ");
  const options = packs.map((/** @type {any} */ pack, /** @type {number} */ index) => make("option", { value: index, text: pack.title }));
  const choice = packs.length > 1 ? make("select", { "aria-label": t("packOf", { type }) }, ...options) : null;
  const tick = packs.length > 0 ? make("input", { type: "checkbox", "aria-label": t("installFor", { type }) }) : null;
  const chosen = () => packs[choice ? Number(choice.value) : 0];
  const about = make("div", { class: missing.packs.some((/** @type {any} */ { error }) => error) ? "uiapi-bad" : "uiapi-hint", text: missing.how });
  const describe = () => about.replaceChildren(...breakable([chosen().repository ?? chosen().id, named("origins", chosen().origin)].join(" · ")));
  if (tick) {
    // With several packs the person has to know which.
    tick.checked = packs.length === 1;
    describe();
  }
  choice?.addEventListener("change", () => {
    tick.checked = true;
    describe();
  });
  const name = choice ?? (tick && make("div", { text: chosen().title }));
  const cells = [make("th", { scope: "row" }, ...breakable(type)), make("td", { text: uses }), make("td", {}, name, about), make("td", {}, tick)];
  const element = make("tr", {}, ...cells);
  return { type, element, tick, chosen: () => (tick?.checked ? chosen() : null) };
}
