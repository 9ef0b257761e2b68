/**
 * Resolves field paths, by which programs name a widget, an input or an output of the open workflow.
 *
 *     Title.widget   Type.widget   #12.widget   Title[1].widget (the second of that name, by id)
 *     Title (its main widget)      widget (the only one of that name)
 *     Title.inputs[0]   Title.outputs[0]   Outer/Inner.widget   "a title. with / dots".widget
 *
 * Names are case-insensitive. Titles may contain dots and slashes: the longest name that leads to a field wins, and
 * a quoted name is literal (\" and \\ inside). Titles take precedence over types. `#12:3` reaches into subgraphs as
 * ComfyUI's own ids do. A widget is found by its name or, failing that, by the label shown on the node; an input or
 * output by its index or its name (`Title.inputs.image`).
 *
 * The main widget of a node is its only one with a value; of several, the one called value, text, image, audio, video
 * or file. `Title.value` names the main widget if no widget is called value.
 *
 * @typedef {import("../common/types.js").Field} Field
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("./path_grammar.js").Side} Side
 */

import { CommandError } from "../common/errors.js";
import { nearest } from "./suggestions.js";
import { decorationAt, enquote, find, fold, needsQuotes, titleOf, widgetsNamed } from "./path_grammar.js";
import { ownerOf } from "./subgraphs.js";

const SHOWN_AT_MOST = 8;

/**
 * Returns the field that a path names.
 *
 * @param {Graph} root
 * @param {string} path
 * @param {Side} [side] for the ends of a link: the slots in which a plain name is looked up as well
 * @returns {Field}
 * @throws {CommandError} unknown_path with details.nearest, ambiguous_path with details.candidates; both contain valid
 *   paths
 */
export function resolve(root, path, side) {
  if (typeof path !== "string" || path.trim() === "") {
    throw new CommandError("invalid", "A field path has to be a non-empty text such as KSampler.seed.", { path });
  }
  const fields = fieldsAt(root, path, side);
  if (fields.length === 1) return fields[0];
  if (fields.length > 1) {
    const candidates = fields.map((field) => pathOf(root, field));
    throw new CommandError(
      "ambiguous_path",
      `${quoted(path)} matches ${candidates.length} fields: ${listed(candidates)}; use one of these paths.`,
      { path, candidates },
    );
  }
  const decoration = side ? undefined : decorationAt(root, path.trim());
  if (decoration) {
    const what = decoration.type === "button" ? "is a button and" : "is only for show and";
    throw new CommandError("invalid", `${quoted(path)} ${what} has no value; set another field.`, { path });
  }
  const near = nearest(root, path.trim(), side, (field) => pathOf(root, field));
  const hint = near.length > 0 ? `the nearest ${near.length > 1 ? "are" : "is"} ${listed(near)}` : "it has no fields";
  throw new CommandError("unknown_path", `The open workflow has no field ${quoted(path)}; ${hint}.`, {
    path,
    nearest: near,
  });
}

/**
 * Returns the fields that a path may name: none if it is unknown, several if it is ambiguous.
 *
 * @param {Graph} root
 * @param {string} path
 * @param {Side} [side]
 * @returns {Field[]}
 */
export function fieldsAt(root, path, side) {
  const named = distinct(find(root, [], path.trim(), side));
  return named.length > 0 ? named : distinct(find(root, [], path.trim(), side, true));
}

/**
 * Returns a path that names only this field: by title if that is unambiguous, otherwise by id.
 *
 * @param {Graph} root
 * @param {Field} field
 * @returns {string}
 */
export function pathOf(root, field) {
  const end = field.kind === "widget" ? widgetName(field) : `${field.kind}s[${field.slot}]`;
  const byTitle = `${nodePath(root, field)}.${end}`;
  const found = distinct(find(root, [], byTitle));
  if (found.length === 1 && distinct([found[0], field]).length === 1) return byTitle;
  return `${[...field.hosts, field.node].map((node) => `#${node.id}`).join("/")}.${end}`;
}

/**
 * Returns the path of a node, to be followed by `.widget`: its title if that is unique, otherwise its id.
 *
 * @param {Graph} root
 * @param {{node: GraphNode, hosts: GraphNode[]}} place
 * @returns {string}
 */
export function nodePath(root, { node, hosts }) {
  let graph = root;
  return [...hosts, node]
    .map((step) => {
      const name = nodeName(graph, step);
      graph = step.subgraph ?? graph;
      return name;
    })
    .join("/");
}

/**
 * @param {Graph} graph
 * @param {GraphNode} node
 * @returns {string}
 */
function nodeName(graph, node) {
  const title = titleOf(node);
  const folded = fold(title);
  if (title === "") return `#${node.id}`;
  let risky = needsQuotes(title);
  for (const other of graph.nodes) {
    if (other === node) continue;
    const name = fold(titleOf(other));
    if (name === folded) return `#${node.id}`;
    if (name.startsWith(folded) && /[./[]/.test(name[folded.length])) risky = true;
  }
  return risky ? enquote(title) : title;
}

/**
 * @param {Field} field
 * @returns {string}
 */
function widgetName({ node, hosts, widget }) {
  const { name = "", label } = widget ?? {};
  const leads = (/** @type {string} */ text) => widgetsNamed(node, hosts, text)[0]?.widget === widget;
  const best = !leads(name) && typeof label === "string" && leads(label) ? label : name;
  const plain = leads(best) && !best.startsWith('"') && best === best.trim();
  return plain ? best : enquote(best);
}

/**
 * Removes fields that share their value with another one: a promoted widget and the inner one that it feeds.
 *
 * @param {Field[]} fields
 * @returns {Field[]}
 */
function distinct(fields) {
  if (fields.length < 2) return fields;
  /** @type {Map<GraphNode, Set<string>>} */
  const seen = new Map();
  return fields.filter((field) => {
    const { node, end } = place(field);
    const ends = seen.get(node) ?? new Set();
    seen.set(node, ends);
    return ends.size < ends.add(end).size;
  });
}

/**
 * @param {Field} field
 * @returns {{node: GraphNode, end: string}} equal for fields that share their value
 */
function place({ kind, node, hosts, widget, slot }) {
  if (!widget) return { node, end: `${kind} ${slot}` };
  const owner = ownerOf({ node, hosts, widget });
  // Rows may share one name and differ only in their labels.
  return { node: owner.node, end: `widget ${owner.widget.name} ${owner.widget.label ?? ""}` };
}

/**
 * @param {string[]} paths
 * @returns {string}
 */
function listed(paths) {
  const more = paths.length - SHOWN_AT_MOST;
  const shown = paths.slice(0, SHOWN_AT_MOST).join(", ");
  return more > 0 ? `${shown} and ${more} more` : shown;
}

/**
 * @param {string} path
 * @returns {string}
 */
function quoted(path) {
  return JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
}
