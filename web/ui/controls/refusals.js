/**
 * Shows a message when the person's pause or rules refused a command, so that it is clear why a program does nothing.
 */

import { short } from "../format.js";
import { named, t } from "../texts.js";

// Milliseconds between two messages; those of a program that tries again and again are gathered.
const EVERY = 10_000;

/**
 * @param {import("../panel/state.js").State} state
 * @param {Pick<import("../../page/frontend.js").Frontend, "toast">} frontend
 * @param {any} page the window
 */
export function reportRefusals(state, frontend, page) {
  /** @type {number | null} refusals that were shown, or are older than this connection */
  let seen = null;
  let quiet = false;

  function look() {
    const refusals = state.server?.refusals;
    if (!refusals) {
      seen = null;
      return;
    }
    // The server counts from its start.
    if (seen === null || refusals.count < seen) seen = refusals.count;
    const fresh = refusals.count - seen;
    if (fresh === 0 || quiet || !refusals.last) return;
    seen = refusals.count;
    quiet = true;
    page.setTimeout(() => {
      quiet = false;
      look();
    }, EVERY);
    const { program, kind, code } = refusals.last;
    const facts = { program: short(program), kind: named("kinds", kind) ?? kind };
    frontend.toast("warn", t("commandsRefused", { count: fresh }), t(code === "paused" ? "refusedByPause" : "refusedByRules", facts));
  }

  state.onChange(look);
}
