/**
 * Reports to the server what commands of programs have changed in the graph, for the log in the panels.
 *
 * The response to the program does not wait for this: changes are collected a moment later.
 *
 * @typedef {import("./revisions.js").Look} Look
 */

import { differences } from "../graph/diff.js";
import { cut } from "../common/shorten.js";

// Milliseconds until changes are reported, and the most changes per report.
const REPORT_AFTER = 50;
const CHANGES_AT_MOST = 50;

/**
 * @param {object} means
 * @param {import("./revisions.js").Revisions} means.revisions
 * @param {(event: string, data: any) => void} means.sendEvent
 * @param {() => boolean} means.listens whether the server is connected
 * @param {(changes: import("../graph/diff.js").Change[]) => void} means.show highlights what a program has just changed
 * @param {any} page the window
 */
export function createChanges({ revisions, sendEvent, listens, show }, page) {
  /** @type {Look[]} */
  let looks = [];

  function report() {
    const seen = looks;
    looks = [];
    for (const { by, before, after, tab, switched } of seen) {
      if (by === "person") continue;
      const changes = switched ? [] : differences(before, after, false);
      const kept = changes.slice(0, CHANGES_AT_MOST).map((change) => ({ ...short(change), tab }));
      if (kept.length > 0 && listens()) sendEvent("changes", { request: by.request, changes: kept, total: changes.length });
      show(changes);
    }
  }

  revisions.onChange((look) => {
    if (look.by === "person") return;
    if (looks.length === 0) page.setTimeout(report, REPORT_AFTER);
    looks.push(look);
  });
}

/**
 * Shortens the long values of a change, of which the log only shows the beginning.
 *
 * @param {import("../graph/diff.js").Change} change
 */
function short(change) {
  const before = cut(change.before);
  const after = cut(change.after);
  return { ...change, before, after, cut: before !== change.before || after !== change.after };
}
