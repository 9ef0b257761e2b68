/**
 * Undoes changes of programs as long as the graph still has them.
 *
 * @typedef {import("../../page/frontend.js").Frontend} Frontend
 * @typedef {import("./state.js").LogChange} LogChange
 * @typedef {import("./state.js").LogEntry} LogEntry
 */

import { change as changeNode, disconnect, removeNodes } from "../../graph/editing.js";
import { isObject } from "../../common/compare.js";
import { CommandError } from "../../common/errors.js";
import { connect } from "../../graph/links.js";
import { modeName, pair } from "../../graph/diff.js";
import { fieldsAt } from "../../paths/paths.js";
import { enquote, titleOf } from "../../paths/path_grammar.js";
import { byExecutionId, linkInto, ownerOf } from "../../paths/subgraphs.js";
import { t } from "../texts.js";
import { setFields, write } from "../../widgets/widgets.js";

/** @typedef {{webui: number | null, tab: string}} Shown The id of this page and its workflow tab. */

/** The properties of nodes that can be undone, and how to read them. */
const READ = /** @type {Record<string, (node: any) => any>} */ ({
  title: titleOf,
  mode: (node) => modeName(node.mode),
  pos: (node) => pair(node.pos),
  color: (node) => node.color ?? null,
  collapsed: (node) => Boolean(node.flags?.collapsed),
  pinned: (node) => Boolean(node.flags?.pinned),
});

/**
 * The log covers all pages and workflow tabs, but ids are only unique within one: a node with the same id in the open
 * workflow may be a different node.
 *
 * @param {Frontend} frontend
 * @param {Shown} shown
 * @param {Pick<LogEntry, "changes" | "changes_total">} entry
 * @returns {boolean} whether all changes of the command can be undone now
 */
export function canUndo(frontend, { webui, tab }, { changes, changes_total }) {
  const here = changes.length > 0 && changes.every((change) => change.webui === webui && change.tab === tab);
  return here && changes.length === changes_total && changes.every((change) => stands(frontend, change));
}

/**
 * @param {Frontend} frontend
 * @param {LogChange} change
 * @returns {boolean} whether the graph still has the change
 */
function stands(frontend, { kind, node, what, after, before, cut }) {
  if (cut) return false;
  const root = frontend.rootGraph();
  const place = byExecutionId(root, String(node));
  if (!place) return false;
  if (kind === "node_added") return place.node.type === after?.type && READ.title(place.node) === after?.title;
  if (kind === "widget_changed") {
    const widget = place.node.widgets?.find(({ name }) => name === what);
    return widget !== undefined && same(ownerOf({ ...place, widget }).widget.value ?? null, after);
  }
  if (kind === "node_changed") return what in READ && same(READ[what](place.node), after);
  if (kind === "link_added") return isLinked(root, after) === true;
  return kind === "link_removed" && isLinked(root, before) === false;
}

/**
 * @param {import("../../common/types.js").Graph} root
 * @param {{from: string, to: string}} link
 * @returns {boolean | undefined} undefined if one of its ends no longer exists
 */
function isLinked(root, { from, to }) {
  const [outputs, inputs] = [fieldsAt(root, from, "outputs"), fieldsAt(root, to, "inputs")];
  if (outputs.length !== 1 || inputs.length !== 1) return undefined;
  const [[output], [input]] = [outputs, inputs];
  const link = input.slot === undefined ? undefined : linkInto(input.node, input.slot);
  return String(link?.origin_id) === String(output.node.id) && link?.origin_slot === output.slot;
}

/**
 * Undoes the changes of a command, last one first, as one undo step.
 *
 * @param {Frontend} frontend
 * @param {Shown} shown
 * @param {LogEntry} entry
 * @throws {CommandError} if one of them can't be undone; those before it are
 */
export function undoChanges(frontend, shown, entry) {
  // The graph may have changed since the button was drawn.
  if (!canUndo(frontend, shown, entry)) throw new CommandError("conflict", t("changedSince"));
  frontend.undoStep(() => {
    for (const change of [...entry.changes].reverse()) undoOne(frontend, change);
  });
  frontend.repaint();
}

/**
 * @param {Frontend} frontend
 * @param {LogChange} change
 */
function undoOne(frontend, { kind, node, what, before, after }) {
  if (kind === "widget_changed") setBack(frontend, `#${node}.${enquote(what)}`, before);
  else if (kind === "node_added") removeNodes(frontend, { nodes: [`#${node}`] });
  else if (kind === "link_added") disconnect(frontend, { field: after });
  else if (kind === "link_removed") connect(frontend, before.from, before.to);
  else {
    const place = byExecutionId(frontend.rootGraph(), String(node));
    if (place) changeNode(frontend, place.node, { [what]: before });
  }
}

/**
 * @param {Frontend} frontend
 * @param {string} path
 * @param {any} value
 */
function setBack(frontend, path, value) {
  // setFields would merge an object into the current one.
  const [field] = isObject(value) ? fieldsAt(frontend.rootGraph(), path) : [];
  if (!field?.widget) setFields(frontend, [[path, value]]);
  else write(frontend, [{ path, value, adds: false, owner: ownerOf({ ...field, widget: field.widget }) }]);
}

/**
 * @param {any} a
 * @param {any} b
 */
function same(a, b) {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
