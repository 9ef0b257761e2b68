/**
 * The entries of the log: what each command of a program did in words, bursts of changes as one, and all reads of a
 * program as one.
 *
 * @typedef {import("./state.js").LogEntry} LogEntry
 * @typedef {import("./state.js").LogChange} LogChange
 * @typedef {{key: string, entry: LogEntry, count: number}} Item `count` is the number of commands
 * @typedef {{program: string, kind: string}} Filter each is "" for all; reads are only among the kind "all"
 */

import { short } from "../format.js";
import { deed, failure, wish } from "../sentences.js";
import { t } from "../texts.js";

/** The choices of the filter by kind: all but reads, everything, or one kind. */
export const KINDS = ["", "all", "change", "run", "load", "download", "read"];

// Seconds between two commands of a burst.
const BURST = 5;

/**
 * @param {Iterable<LogEntry>} entries the oldest first
 * @param {Filter} filter
 * @returns {Item[]} the newest first
 */
export function itemsOf(entries, { program, kind }) {
  /** @type {{newest: LogEntry, oldest: LogEntry, all: LogEntry[]}[]} */
  const bursts = [];
  /** @type {Map<string, LogEntry[]>} */
  const reads = new Map();
  for (const entry of [...entries].reverse()) {
    if (program && entry.program !== program) continue;
    if (kind === "" ? entry.kind === "read" && entry.state !== "failed" : kind !== "all" && entry.kind !== kind) continue;
    const before = bursts[bursts.length - 1];
    const polled = isRead(entry) ? reads.get(entry.program) : undefined;
    if (polled) polled.push(entry);
    else if (before && joins(before.oldest, entry)) {
      before.oldest = entry;
      before.all.push(entry);
    } else {
      const all = [entry];
      if (isRead(entry)) reads.set(entry.program, all);
      bursts.push({ newest: entry, oldest: entry, all });
    }
  }
  return bursts.map(({ newest, oldest, all }) => ({
    key: isRead(newest) ? `read ${newest.program}` : `${oldest.id}`,
    entry: all.length > 1 && !isRead(newest) ? merged(all) : newest,
    count: all.reduce((sum, { count }) => sum + count, 0),
  }));
}

/** @param {LogEntry} entry */
const isRead = ({ kind, state }) => kind === "read" && state === "done";

/**
 * @param {unknown} a
 * @param {unknown} b
 */
const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);

/** @param {LogEntry} entry */
const pathsOf = ({ changes }) => changes.map(({ path, what, tab, webui }) => [path, what, tab, webui].join("\n")).join("\n\n");

/**
 * @param {LogEntry} newer
 * @param {LogEntry} older
 * @returns {boolean} whether both write the same, one after the other
 */
function joins(newer, older) {
  return (
    newer.kind === "change" &&
    newer.program === older.program &&
    newer.command === older.command &&
    newer.state === "done" &&
    older.state === "done" &&
    older.changes.length > 0 &&
    newer.time - older.time <= BURST &&
    newer.changes.every(({ kind }) => kind === "widget_changed") &&
    pathsOf(newer) === pathsOf(older) &&
    newer.changes.every(({ before }, at) => same(before, older.changes[at].after))
  );
}

/**
 * @param {LogEntry[]} all of a burst, the newest first
 * @returns {LogEntry} with the values before the first of them
 */
function merged(all) {
  const [newest, oldest] = [all[0], all[all.length - 1]];
  const changes = newest.changes.map((change, at) => ({ ...change, before: oldest.changes[at].before, cut: all.some((entry) => entry.changes[at].cut) }));
  return { ...newest, changes };
}

/**
 * @param {LogEntry} entry
 * @returns {string} what it is about
 */
function subject({ about, changes, changes_total: total }) {
  if (total > 1 && changes.length > 1) return t("changeCount", { count: total });
  return about || t("theWorkflow");
}

/**
 * @param {LogEntry} entry
 * @returns {string} who did what, such as "Blender set Canvas.width"
 */
export function sentence(entry) {
  const { state } = entry;
  if (state === "failed") return failure(entry, subject(entry));
  return state === "asking" ? wish(entry) : deed(entry, subject(entry));
}

/**
 * @param {LogChange} change
 * @returns {string} such as "64 → 640", with whole values
 */
export function wholeChange(change) {
  return changeText(change, (value) => (typeof value === "string" ? value : (JSON.stringify(value) ?? "")));
}

/**
 * @param {LogChange} change
 * @param {(value: unknown) => string} [show]
 * @returns {string} such as "64 → 640"
 */
export function changeText({ kind, what, before, after }, show = short) {
  if (kind === "node_added" || kind === "group_added") return t("added", { what: show(after?.title || after?.type || "") });
  if (kind === "node_removed" || kind === "group_removed") return t("removed", { what: show(before?.title || before?.type || "") });
  if (kind === "link_added") return t("linked", { from: show(after?.from), to: show(after?.to) });
  if (kind === "link_removed") return t("unlinked", { from: show(before?.from), to: show(before?.to) });
  const prefix = kind === "widget_changed" || !what ? "" : `${what}: `;
  return prefix + t("became", { before: show(before ?? t("nothing")), after: show(after ?? t("nothing")) });
}
