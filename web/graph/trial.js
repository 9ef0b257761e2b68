/**
 * Changes the graph for the moment of an export, and restores it before the page is drawn.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 * @typedef {import("../page/workflows.js").Workflows} Workflows
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Widget} Widget
 * @typedef {{node: GraphNode, widget: Widget, value: any}[]} Values values of widgets that the page itself has changed
 */

import { CommandError } from "../common/errors.js";
import { walk } from "../paths/subgraphs.js";
import { createMemory } from "../widgets/node_memory.js";
import { byState } from "./rollback.js";

/**
 * Begins a trial; the graph may be changed until it is put back.
 *
 * @param {{frontend: Frontend, workflows: Workflows}} means
 */
export function beginTrial({ frontend, workflows }) {
  const before = frontend.stateText();
  const written = new Map(frontend.written);
  const history = workflows.tracker();
  const memory = createMemory({ canvas: frontend.canvas });
  const marks = new Map();
  for (const { node } of walk(frontend.rootGraph())) {
    memory.keep(node);
    for (const widget of node.widgets ?? []) marks.set(widget, marksOf(widget));
  }
  let isLeft = false;
  // While this is above 0, the page captures no undo step.
  history?.beforeChange();
  frontend.exports.disturb(1);

  function differs() {
    const after = frontend.stateText();
    return after !== before && !workflows.same(JSON.parse(before), JSON.parse(after));
  }

  return {
    /** @returns {Values} what differs by now */
    changed: () => memory.changed(),

    putBack() {
      memory.putBack();
      for (const [widget, kept] of marks) restoreMarks(widget, kept);
      frontend.written.clear();
      for (const [widget, value] of written) frontend.written.set(widget, value);
      if (history) history.changeCount--;
      frontend.exports.disturb(-1);
      isLeft = differs();
    },

    /**
     * Restores what is left to restore, such as links that a callback has changed, by loading the state from before.
     *
     * @throws {CommandError} tab_failed
     */
    async settle() {
      if (!isLeft) return;
      await workflows.undisturbed(byState({ frontend, workflows }, JSON.parse(before)));
      if (!differs()) return;
      throw new CommandError("tab_failed", "The page did not restore the graph after an export; check it, and undo what is wrong.");
    },
  };
}

/**
 * Returns the marks of a widget: a seed control that acts before runs notes under a symbol whether there was a run.
 *
 * @param {any} widget
 * @returns {[symbol, any][]}
 */
function marksOf(widget) {
  return Object.getOwnPropertySymbols(widget).map((key) => [key, widget[key]]);
}

/**
 * @param {any} widget
 * @param {[symbol, any][]} kept
 */
function restoreMarks(widget, kept) {
  const before = new Map(kept);
  for (const [key, value] of marksOf(widget)) {
    if (!before.has(key)) delete widget[key];
    else if (before.get(key) !== value) widget[key] = before.get(key);
  }
}
