/**
 * Taking back what a program has changed, as long as the graph still shows it.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 * @typedef {import("./state.js").LogChange} LogChange
 */

import { change as changeNode, disconnect, removeNodes } from "./editing.js";
import { connect } from "./links.js";
import { modeName, pair } from "./picture.js";
import { resolve } from "./paths.js";
import { enquote } from "./readings.js";
import { byExecutionId, ownerOf } from "./subgraphs.js";
import { setFields } from "./widgets.js";

/** What of a node can be put back, and how it is read off it. */
const READ = /** @type {Record<string, (node: any) => any>} */ ({
  title: (node) => node.title ?? "",
  mode: (node) => modeName(node.mode),
  pos: (node) => pair(node.pos),
  color: (node) => node.color ?? null,
  collapsed: (node) => Boolean(node.flags?.collapsed),
  pinned: (node) => Boolean(node.flags?.pinned),
});

/**
 * @param {Frontend} frontend
 * @param {LogChange[]} changes of one command
 * @param {number} total how many it made
 * @returns {boolean} whether all of them can be taken back now
 */
export function canUndo(frontend, changes, total) {
  return changes.length > 0 && changes.length === total && changes.every((change) => stands(frontend, change));
}

/**
 * @param {Frontend} frontend
 * @param {LogChange} change
 * @returns {boolean} whether the graph shows what the change has made
 */
function stands(frontend, { kind, node, what, after, before, cut }) {
  if (cut) return false;
  const root = frontend.rootGraph();
  const place = byExecutionId(root, String(node));
  if (!place) return false;
  if (kind === "node_added") return true;
  if (kind === "widget_changed") {
    const widget = place.node.widgets?.find(({ name }) => name === what);
    return widget !== undefined && same(ownerOf({ ...place, widget }).widget.value ?? null, after);
  }
  if (kind === "node_changed") return what in READ && same(READ[what](place.node), after);
  const link = after ?? before;
  if (kind !== "link_added" && kind !== "link_removed") return false;
  const linked = isLinked(root, link);
  return kind === "link_added" ? linked : !linked;
}

/**
 * @param {import("./types.js").Graph} root
 * @param {{from: string, to: string}} link
 */
function isLinked(root, { from, to }) {
  try {
    const [output, input] = [resolve(root, from, "outputs"), resolve(root, to, "inputs")];
    const graph = /** @type {any} */ (input.node.graph);
    const link = [...(graph?.links?.values() ?? [])].find(
      (item) => String(item.target_id) === String(input.node.id) && item.target_slot === input.slot,
    );
    return link !== undefined && String(link.origin_id) === String(output.node.id) && link.origin_slot === output.slot;
  } catch {
    return false;
  }
}

/**
 * Take changes back, the last one first, as one undo step.
 *
 * @param {Frontend} frontend
 * @param {LogChange[]} changes
 * @throws {import("./errors.js").CommandError} when one of them can't be taken back; those before it are
 */
export function undoChanges(frontend, changes) {
  frontend.undoStep(() => {
    for (const change of [...changes].reverse()) undoOne(frontend, change);
  });
  frontend.repaint();
}

/**
 * @param {Frontend} frontend
 * @param {LogChange} change
 */
function undoOne(frontend, { kind, node, what, before, after }) {
  if (kind === "widget_changed") setFields(frontend, [[`#${node}.${enquote(what)}`, before]]);
  else if (kind === "node_added") removeNodes(frontend, { nodes: [`#${node}`] });
  else if (kind === "link_added") disconnect(frontend, { field: after });
  else if (kind === "link_removed") connect(frontend, before.from, before.to);
  else {
    const place = byExecutionId(frontend.rootGraph(), String(node));
    if (place) changeNode(frontend, place.node, { [what]: before });
  }
}

/**
 * @param {any} a
 * @param {any} b
 */
function same(a, b) {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
