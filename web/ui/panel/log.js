/**
 * The log in the panel: one line per command and change, newest first; only the visible lines are elements.
 *
 * @typedef {import("./state.js").LogEntry} LogEntry
 * @typedef {import("./state.js").LogChange} LogChange
 * @typedef {{key: string, entry: LogEntry, change?: LogChange, more?: number}} Line
 */

import { arrangeRows, iconButton, make, set } from "../dom.js";
import { words } from "../../common/errors.js";
import { clock, short } from "../format.js";
import { named, t } from "../texts.js";
import { canUndo, undoChanges } from "./undo.js";

const LINE = 26;
const OVERSCAN = 8;
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
 */
export function createLog({ frontend, state, activeTab, show }) {
  const shown = () => ({ webui: state.clientId(), tab: activeTab() });
  const empty = make("p", { class: "uiapi-section uiapi-hint", text: t("noLog") });
  const inner = make("div", { role: "list", "aria-label": t("log") });
  const element = make("div", { class: "uiapi-log", tabindex: "0", role: "region", "aria-label": t("log") }, inner);
  element.addEventListener("scroll", () => render(), { passive: true });
  /** @type {Line[]} */
  let lines = [];

  function render() {
    const first = Math.max(0, Math.floor(element.scrollTop / LINE) - OVERSCAN);
    const count = Math.ceil((element.clientHeight || 600) / LINE) + 2 * OVERSCAN;
    const inSight = lines.slice(first, first + count).map((line, at) => ({ ...line, at: first + at }));
    set(inner, { style: `height: ${lines.length * LINE}px` });
    arrangeRows(inner, inSight, ({ key }) => key, createRow);
  }

  /** @param {Line & {at: number}} line */
  function createRow(line) {
    const row = line.change ? changeRow(line) : line.more ? moreRow() : entryRow(line);
    const { refresh } = row;
    row.setAttribute("role", "listitem");
    row.update = (/** @type {Line & {at: number}} */ now) => {
      row.style.transform = `translateY(${now.at * LINE}px)`;
      set(row, { "aria-posinset": now.at + 1, "aria-setsize": lines.length });
      refresh(now);
    };
    return row;
  }

  /** @param {Line} first */
  function entryRow(first) {
    let { entry } = first;
    const time = make("time");
    const what = make("span", { class: "uiapi-grow uiapi-cut" });
    const undo = iconButton("pi-undo", t("undoThis"), () => take(entry));
    const row = make("div", { class: "uiapi-log-line" }, make("i", { class: `pi ${ICONS[entry.kind]}`, title: named("kinds", entry.kind), role: "img", "aria-label": named("kinds", entry.kind) }), what, undo, time);
    row.refresh = (/** @type {Line} */ line) => {
      ({ entry } = line);
      const text = entryText(entry);
      set(what, { text, title: text, class: `uiapi-grow uiapi-cut${entry.state === "failed" ? " uiapi-bad" : ""}` });
      set(time, { text: clock(entry.time) });
      set(undo, { hidden: !canUndo(frontend, shown(), entry) });
    };
    return row;
  }

  /** @param {Line} first */
  function changeRow(first) {
    let line = first;
    const place = make("button", { class: "uiapi-link uiapi-cut", type: "button", onclick: () => line.change && show(line.change.node) });
    const what = make("span", { class: "uiapi-grow uiapi-cut" });
    const row = make("div", { class: "uiapi-log-line uiapi-detail" }, place, what);
    row.refresh = (/** @type {Line} */ now) => {
      line = now;
      if (!now.change) return;
      const text = changeText(now.change);
      set(place, { text: now.change.path, title: t("showNode", { path: now.change.path }) });
      set(what, { text, title: text });
    };
    return row;
  }

  function moreRow() {
    const row = make("div", { class: "uiapi-log-line uiapi-detail uiapi-hint" });
    row.refresh = (/** @type {Line} */ now) => set(row, { text: t("more", { count: now.more ?? 0 }) });
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

  return {
    elements: [empty, element],

    /** Updates the log. */
    update() {
      lines = linesOf([...state.entries.values()].reverse());
      empty.hidden = lines.length > 0;
      element.hidden = lines.length === 0;
      render();
    },
  };
}

/**
 * @param {LogEntry[]} entries
 * @returns {Line[]}
 */
function linesOf(entries) {
  /** @type {Line[]} */
  const lines = [];
  for (const entry of entries) {
    lines.push({ key: `${entry.id}`, entry });
    entry.changes.slice(0, CHANGES_SHOWN).forEach((change, at) => lines.push({ key: `${entry.id}.${at}`, entry, change }));
    const more = entry.changes_total - Math.min(entry.changes.length, CHANGES_SHOWN);
    if (more > 0) lines.push({ key: `${entry.id} more`, entry, more });
  }
  return lines;
}

/** @param {LogEntry} entry */
export function entryText({ program, kind, command, about, count, state, code }) {
  const parts = [program, command, about, count > 1 && t("times", { count })];
  if (state === "asking") parts.push(t("waitsForYou"));
  else if (state === "failed") parts.push(t("failed", { code: code ?? "" }));
  else if (state === "running" && kind !== "read") parts.push(t("underWay"));
  return parts.filter(Boolean).join(" · ");
}

/** @param {LogChange} change */
function changeText({ kind, what, before, after }) {
  if (kind === "node_added" || kind === "group_added") return t("added", { what: short(after?.title || after?.type || "") });
  if (kind === "node_removed" || kind === "group_removed") return t("removed", { what: short(before?.title || before?.type || "") });
  if (kind === "link_added") return t("linked", { from: short(after?.from), to: short(after?.to) });
  if (kind === "link_removed") return t("unlinked", { from: short(before?.from), to: short(before?.to) });
  const named = kind === "widget_changed" || !what ? "" : `${what}: `;
  return named + t("became", { before: short(before ?? t("nothing")), after: short(after ?? t("nothing")) });
}
