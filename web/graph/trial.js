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
 * Begins trials, each of which may change the graph until it is put back.
 *
 * To save a graph costs as much as its export, so a saved state serves all trials until the graph gets another revision,
 * and is compared with the graph after the first and the last of them. After the others, what a trial does not restore
 * by itself shows in the shape of the graph.
 *
 * @param {{frontend: Frontend, workflows: Workflows, revisions: Pick<import("../page/revisions.js").Revisions, "revision">}} means
 */
export function createTrials({ frontend, workflows, revisions }) {
  let before = "";
  let revision = "";

  /** @param {string} after */
  function differs(after) {
    return after !== before && !workflows.same(settled(before), settled(after));
  }

  async function restore() {
    await workflows.undisturbed(byState({ frontend, workflows }, JSON.parse(before)));
    if (!differs(frontend.stateText())) return;
    throw new CommandError("tab_failed", "The page did not restore the graph after an export; check it, and undo what is wrong.");
  }

  return {
    /** @param {boolean} isLast whether the saved state is compared afterwards */
    begin(isLast) {
      const isSaved = revision === revisions.revision();
      if (!isSaved) {
        before = frontend.stateText();
        revision = revisions.revision();
      }
      const written = new Map(frontend.written);
      const history = workflows.tracker();
      const memory = createMemory({ canvas: frontend.canvas });
      const marks = new Map();
      for (const { node } of walk(frontend.rootGraph())) {
        memory.keep(node);
        for (const widget of node.widgets ?? []) marks.set(widget, marksOf(widget));
      }
      const shape = shapeOf(frontend.rootGraph());
      let isLeft = false;
      // While this is above 0, the page captures no undo step.
      history?.beforeChange();
      frontend.exports.disturb(1);

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
          isLeft = shapeOf(frontend.rootGraph()) !== shape || ((isLast || !isSaved) && differs(frontend.stateText()));
        },

        /**
         * Restores what is left to restore, such as links that a callback has changed, by loading the saved state.
         *
         * @throws {CommandError} tab_failed
         */
        settle: async () => void (isLeft && (await restore())),
      };
    },
  };
}

/**
 * Returns a saved state without what the page itself changes when it draws a loaded graph: the sizes of nodes, which the
 * shape contains, and empty lists of values, which nodes without widgets get.
 *
 * @param {string} text
 * @returns {any}
 */
function settled(text) {
  const state = JSON.parse(text);
  for (const { nodes } of [state, ...(state.definitions?.subgraphs ?? [])]) {
    for (const node of nodes) {
      delete node.size;
      if (node.widgets_values?.length === 0) delete node.widgets_values;
    }
  }
  return state;
}

/**
 * Returns everything of a graph but values and properties, as text.
 *
 * @param {import("../common/types.js").Graph} root
 * @returns {string}
 */
function shapeOf(root) {
  /** @type {any[]} */
  const shape = [];
  for (const place of walk(root)) {
    /** @type {any} */
    const { id, mode, title, flags, pos, size, color, widgets, inputs, outputs, graph } = place.node;
    shape.push(id, mode, title, flags?.collapsed, pos?.[0], pos?.[1], size?.[0], size?.[1], color, widgets?.length, graph?.nodes.length);
    for (const { name, link } of inputs ?? []) shape.push(name, link);
    for (const { name, links } of outputs ?? []) shape.push(name, links?.length);
  }
  return shape.join();
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
