/**
 * Field paths: how a program names a widget, an input or an output of the open workflow.
 *
 *     Title.widget   Type.widget   #12.widget   Title[1].widget (the second of that name, by id)
 *     Title (its main widget)      widget (the only one of that name)
 *     Title.inputs[0]   Title.outputs[0]   Outer/Inner.widget   "a title. with / dots".widget
 *
 * Names are compared without case. Titles may hold dots and slashes: the longest name that leads to a field wins, and
 * a name in quotes is taken as it is (\" and \\ inside). A title beats a type. `#12:3` reaches into subgraphs as
 * ComfyUI's own ids do. A widget is known by its name or, failing that, by the label shown on the node; an input or
 * output by its number or its name (`Title.inputs.image`).
 *
 * The main widget of a node is its only one that holds a value; of several it is the one called value, text, image,
 * audio, video or file. `Title.value` means the main widget where none is called value.
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
 * The one field a path stands for.
 *
 * @param {Graph} root
 * @param {string} path
 * @param {Side} [side] for the ends of a link: where a plain name is looked up beside the widgets
 * @returns {Field}
 * @throws {CommandError} unknown_path with details.nearest, ambiguous_path with details.candidates; both hold paths
 *   that work
 */
export function resolve(root, path, side) {
  if (typeof path !== "string" || path.trim() === "") {
    throw new CommandError("invalid", "A field path is a non-empty text such as KSampler.seed.", { path });
  }
  const fields = fieldsAt(root, path, side);
  if (fields.length === 1) return fields[0];
  if (fields.length > 1) {
    const candidates = fields.map((field) => pathOf(root, field));
    throw new CommandError(
      "ambiguous_path",
      `${quoted(path)} fits ${candidates.length} fields: ${listed(candidates)}; use one of these paths.`,
      { path, candidates },
    );
  }
  const decoration = side ? undefined : decorationAt(root, path.trim());
  if (decoration) {
    const what = decoration.type === "button" ? "is a button and" : "is only for show and";
    throw new CommandError("invalid", `${quoted(path)} ${what} holds no value; set another field.`, { path });
  }
  const near = nearest(root, path.trim(), side, (field) => pathOf(root, field));
  const hint = near.length > 0 ? `the nearest ${near.length > 1 ? "are" : "is"} ${listed(near)}` : "it has no fields";
  throw new CommandError("unknown_path", `The open workflow has no field ${quoted(path)}; ${hint}.`, {
    path,
    nearest: near,
  });
}

/**
 * The fields a path may stand for: none where it is unknown, several where it is ambiguous.
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
 * A path that stands for this field and no other: by title where that is enough, by id where it is not.
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
 * A path that stands for a node, to be followed by `.widget`: its title where no sibling has it too, else its id.
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
 * Fields that are kept in one and the same place count once: a promoted widget and the inner one it feeds.
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
 * @returns {{node: GraphNode, end: string}} equal parts for fields that are the same place
 */
function place({ kind, node, hosts, widget, slot }) {
  if (!widget) return { node, end: `${kind} ${slot}` };
  const owner = ownerOf({ node, hosts, widget });
  // Rows may all be called the same and differ in what is written on them.
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
