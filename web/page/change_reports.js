/**
 * Telling the server what a program's command has changed in this graph, for the log that every panel shows.
 *
 * A program waits for its answer, not for this: what has changed is worked out a moment later.
 *
 * @typedef {import("./revisions.js").Look} Look
 */

import { differences } from "../graph/diff.js";
import { cut } from "../common/shorten.js";

// Milliseconds after which what has changed is told, and changes told of one look.
const TELL_AFTER = 50;
const CHANGES_AT_MOST = 50;

/**
 * @param {object} means
 * @param {import("./revisions.js").Revisions} means.revisions
 * @param {(event: string, data: any) => void} means.tell
 * @param {() => boolean} means.listens whether the server keeps such a log
 * @param {(changes: import("../graph/diff.js").Change[]) => void} means.show shows the person what a program has just changed
 * @param {any} page the window
 */
export function createChanges({ revisions, tell, listens, show }, page) {
  /** @type {Look[]} */
  let looks = [];

  function tellAll() {
    const seen = looks;
    looks = [];
    for (const { by, before, after, tab, switched } of seen) {
      if (by === "person") continue;
      const changes = switched ? [] : differences(before, after, false);
      const kept = changes.slice(0, CHANGES_AT_MOST).map((change) => ({ ...short(change), tab }));
      if (kept.length > 0 && listens()) tell("changes", { request: by.request, changes: kept, total: changes.length });
      show(changes);
    }
  }

  revisions.onChange((look) => {
    if (look.by === "person") return;
    if (looks.length === 0) page.setTimeout(tellAll, TELL_AFTER);
    looks.push(look);
  });
}

/**
 * A change as it is reported: the log shows long values by their beginning only, so no more of them is sent.
 *
 * @param {import("../graph/diff.js").Change} change
 */
function short(change) {
  const before = cut(change.before);
  const after = cut(change.after);
  return { ...change, before, after, cut: before !== change.before || after !== change.after };
}
