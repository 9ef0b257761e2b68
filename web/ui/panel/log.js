/**
 * The log in the panel: who did what and, below, each value or the reason why it failed, newest first; filters by program
 * and kind. Only what is in sight consists of elements.
 *
 * @typedef {import("./state.js").LogEntry} LogEntry
 * @typedef {import("./state.js").LogChange} LogChange
 * @typedef {import("./log_items.js").Item} Item
 * @typedef {{key: string, item: Item, top: number, height: number, change?: LogChange, text?: string, bad?: boolean}} Line
 *   `text` is a line below that is not about a change
 */

import { arrangeRows, emptyState, iconButton, make, set } from "../dom.js";
import { words } from "../../common/errors.js";
import { clock, short } from "../format.js";
import { named, t } from "../texts.js";
import { changeText, itemsOf, KINDS, sentence, wholeChange } from "./log_items.js";
import { createTextHeight } from "./text_height.js";
import { canUndo, undoChanges } from "./undo.js";

// The heights of lines in pixels, as in the styles; a reason may have several lines of text.
const HEAD = 30;
const DETAIL = 22;
const OVERSCAN = 200;
const CHANGES_SHOWN = 8;
const ICONS = /** @type {Record<string, string>} */ ({
  read: "pi-eye",
  change: "pi-pencil",
  run: "pi-play",
  download: "pi-download",
  load: "pi-folder-open",
});

/**
 * @param {object} means
 * @param {import("../../page/frontend.js").Frontend} means.frontend
 * @param {import("./state.js").State} means.state
 * @param {() => string} means.activeTab
 * @param {(node: string) => void} means.show brings a node into view
 * @param {HTMLElement} means.scroll contains the log, among other things
 */
export function createLog({ frontend, state, activeTab, show, scroll }) {
  const shown = () => ({ webui: state.clientId(), tab: activeTab() });
  const nothing = emptyState("pi-history", t("empty"), t("noLog"));
  const noneFound = make("p", { class: "uiapi-section uiapi-hint", text: t("noneLogged") });
  const inner = make("div", { class: "uiapi-log", role: "list", "aria-label": t("log") });
  const program = make("select", { "aria-label": t("filterPrograms"), onchange: () => update() });
  const kind = make("select", { "aria-label": t("filterKinds"), onchange: () => update() });
  kind.append(...KINDS.map((value) => make("option", { value, text: named("filters", value || "changes") })));
  const filters = make("div", { class: "uiapi-section uiapi-filters" }, program, kind);
  const textHeight = createTextHeight(inner);
  const scrolled = () => {
    measure();
    render();
  };
  scroll.addEventListener("scroll", scrolled, { passive: true });
  /** @type {Line[]} */
  let lines = [];
  let programs = "";
  let sight = { top: 0, height: 600 };

  /** Reads where the log is, before anything is changed: afterwards the page would have to lay it out at once. */
  function measure() {
    sight = { top: scroll.scrollTop - inner.offsetTop, height: scroll.clientHeight || 600 };
    textHeight.measure();
  }

  function render() {
    const from = sight.top - OVERSCAN;
    const to = sight.top + sight.height + OVERSCAN;
    const first = lines.findIndex(({ top, height }) => top + height >= from);
    const inSight = [];
    for (let at = Math.max(0, first); first >= 0 && at < lines.length && lines[at].top <= to; at++) inSight.push({ ...lines[at], at });
    const last = lines[lines.length - 1];
    set(inner, { style: `height: ${last ? last.top + last.height : 0}px` });
    arrangeRows(inner, inSight, ({ key }) => key, createRow);
  }

  /** @param {Line & {at: number}} line */
  function createRow(line) {
    const row = line.change ? changeRow(line) : line.text !== undefined ? textRow() : headRow(line);
    const { refresh } = row;
    row.setAttribute("role", "listitem");
    row.update = (/** @type {Line & {at: number}} */ now) => {
      row.style.transform = `translateY(${now.top}px)`;
      if (now.height !== DETAIL) row.style.height = `${now.height}px`;
      set(row, { "aria-posinset": now.at + 1, "aria-setsize": lines.length });
      refresh(now);
    };
    return row;
  }

  /** @param {Line} first */
  function headRow(first) {
    const { entry: { kind: sort } } = first.item;
    const time = make("time");
    const what = make("span", { class: "uiapi-cut" });
    const count = make("span", { class: "uiapi-times" });
    const icon = make("i", { class: `pi ${ICONS[sort]}`, title: named("kinds", sort), role: "img", "aria-label": named("kinds", sort) });
    const row = make("div", { class: "uiapi-log-line" }, icon, make("span", { class: "uiapi-line uiapi-grow" }, what, count), time);
    let known = "";
    row.refresh = (/** @type {Line} */ { item }) => {
      const { entry } = item;
      // Most lines only move.
      const now = [entry.id, entry.state, entry.time, entry.about, entry.changes_total, item.count].join("\n");
      if (now === known) return;
      known = now;
      const text = sentence(entry);
      set(what, { text, title: `${text} (${entry.command})`, class: `uiapi-cut${entry.state === "failed" ? " uiapi-bad" : ""}` });
      set(count, { text: item.count > 1 ? t("times", { count: item.count }) : "" });
      set(time, { text: clock(entry.time).slice(0, 5), title: clock(entry.time) });
    };
    return row;
  }

  /** @param {Line} first */
  function changeRow(first) {
    let line = first;
    const place = make("button", { class: "uiapi-link uiapi-cut", type: "button", onclick: () => line.change && show(line.change.node) });
    const what = make("span", { class: "uiapi-grow uiapi-cut" });
    const undo = first.key.endsWith(".0") ? iconButton("pi-undo", t("undoThis"), () => take(line.item.entry)) : null;
    const row = make("div", { class: "uiapi-log-line uiapi-detail" }, place, what, undo);
    row.refresh = (/** @type {Line} */ now) => {
      const same = line.change === now.change && line.item.entry === now.item.entry && place.hasAttribute("title");
      line = now;
      const { change } = now;
      if (undo) undo.hidden = !canUndo(frontend, shown(), now.item.entry);
      if (!change || same) return;
      // The path of the only change is in the line above.
      const alone = now.item.entry.changes_total === 1 && now.item.entry.about === change.path;
      const text = changeText(change);
      const title = `${change.path}: ${wholeChange(change)}`;
      set(place, { text: alone ? text : change.path, title: `${t("showNode", { path: change.path })}\n${title}`, "aria-label": alone ? `${change.path}: ${text}` : null });
      set(what, { text: alone ? "" : text, title });
    };
    return row;
  }

  function textRow() {
    const row = make("div", { class: "uiapi-log-line uiapi-detail uiapi-said" });
    row.refresh = (/** @type {Line} */ now) => set(row, { text: now.text, title: now.text, class: `uiapi-log-line uiapi-detail uiapi-said ${now.bad ? "uiapi-bad" : "uiapi-hint"}` });
    return row;
  }

  /** @param {LogEntry} entry */
  function take(entry) {
    try {
      undoChanges(frontend, shown(), entry);
      frontend.toast("info", t("undone"), short(entry.changes.map(({ path }) => path).join(", ")));
    } catch (error) {
      frontend.toast("warn", t("cantUndo"), words(error));
    }
    render();
  }

  /**
   * @param {Item[]} items
   * @returns {Line[]}
   */
  function linesOf(items) {
    /** @type {Line[]} */
    const found = [];
    let top = 0;
    const add = (/** @type {Item} */ item, /** @type {string} */ key, /** @type {number} */ height, /** @type {Partial<Line>} */ more = {}) => {
      found.push({ key: `${item.key}${key}`, item, top, height, ...more });
      top += height;
    };
    for (const item of items) {
      const { state: how, kind: sort, error, code, changes, changes_total: total } = item.entry;
      const say = (/** @type {string} */ text, bad = false) => add(item, " said", textHeight.of(text), { text, bad });
      add(item, "", HEAD);
      changes.slice(0, CHANGES_SHOWN).forEach((change, at) => add(item, `.${at}`, DETAIL, { change }));
      const more = total - Math.min(changes.length, CHANGES_SHOWN);
      if (more > 0) add(item, " more", DETAIL, { text: t("more", { count: more }) });
      if (how === "failed") say(error || code || "", true);
      else if (how === "asking") say(t("waitsForYou"));
      else if (how === "running" && sort !== "read") say(t("underWay"));
    }
    return found;
  }

  function update() {
    const names = [...new Set([...state.entries.values()].map((entry) => entry.program))].sort();
    if (names.join("\n") !== programs) {
      programs = names.join("\n");
      const chosen = program.value;
      program.replaceChildren(make("option", { value: "", text: t("allPrograms") }), ...names.map((name) => make("option", { value: name, text: name })));
      program.value = names.includes(chosen) ? chosen : "";
    }
    lines = linesOf(itemsOf(state.entries.values(), { program: program.value, kind: kind.value }));
    nothing.hidden = state.entries.size > 0;
    filters.hidden = state.entries.size === 0;
    noneFound.hidden = state.entries.size === 0 || lines.length > 0;
    inner.hidden = lines.length === 0;
    render();
  }

  return { elements: [filters, nothing, noneFound, inner], measure, update };
}
