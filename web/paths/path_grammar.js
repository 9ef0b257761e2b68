/**
 * Parses field paths: finds the nodes that the beginning of a path names, and the fields that the rest names.
 *
 * paths.js describes the grammar and is the module to import; here a path may match any number of fields.
 *
 * @typedef {import("../common/types.js").Field} Field
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Slot} Slot
 * @typedef {import("../common/types.js").Widget} Widget
 */

import { isDecoration } from "./decorations.js";
import { beginningOf, indexOf } from "./node_lookup.js";
import { byExecutionId, walk } from "./subgraphs.js";

/** @typedef {"inputs" | "outputs" | undefined} Side The slots that a name may refer to at the end of a link. */
/** @typedef {{name: string, rank: number, nodes: GraphNode[]}} Group Nodes that share a title, or a type. */

const TITLE = 1;
const TYPE = 2;
const MAIN_NAMES = ["value", "text", "image", "audio", "video", "file"];
const CONTROL_CHOICES = ["fixed", "increment", "decrement", "randomize"];

/**
 * Returns all fields of the best interpretation of a path that leads to any.
 *
 * @param {Graph} graph
 * @param {GraphNode[]} hosts the subgraph nodes that lead to `graph`
 * @param {string} text
 * @param {Side} [side]
 * @param {boolean} [any] whether a bare title may name every field of its node if the node has no main widget
 * @returns {Field[]}
 */
export function find(graph, hosts, text, side, any = false) {
  for (const { nodes, rest } of nodeReadings(graph, text)) {
    const fields = nodes.flatMap(({ node, hosts: more }) => fieldsOf(node, [...hosts, ...more], rest, side, any));
    if (fields.length > 0) return fields;
  }
  const name = unquote(text);
  return [...walk(graph, hosts)].flatMap(({ node, hosts: inner }) => widgetsNamed(node, inner, name));
}

/**
 * Lists the interpretations of the beginning of a text as a node, best first: the longest name; ids before titles
 * before types.
 *
 * @param {Graph} graph
 * @param {string} text
 * @returns {{nodes: {node: GraphNode, hosts: GraphNode[]}[], rest: string}[]}
 */
export function nodeReadings(graph, text) {
  /** @type {Map<string, Group>} */
  const groups = new Map();
  const quote = /^"((?:[^"\\]|\\.)*)"/.exec(text);
  const lower = fold(quote ? unquote(quote[0]) : text);
  const index = indexOf(graph, fold);
  for (const node of index ? beginningOf(index, lower, quote !== null) : graph.nodes) {
    const title = titleOf(node);
    const type = String(node.type ?? "");
    if (begins(lower, title, quote !== null)) join(groups, TITLE, title, node);
    if (begins(lower, type, quote !== null)) join(groups, TYPE, type, node);
  }
  const readings = [];
  for (const group of [...groups.values()].sort((a, b) => b.name.length - a.name.length || a.rank - b.rank)) {
    const length = quote ? quote[0].length : group.name.length;
    const nodes = group.nodes.sort(byId);
    const index = /^\[(\d+)\](?=$|[./])/.exec(text.slice(length));
    const rest = text.slice(length + (index ? index[0].length : 0));
    if (rest !== "" && !/^[./]/.test(rest)) continue;
    if (index && group.rank === TYPE && countsByTitle(groups, group.name)) continue;
    const chosen = index ? nodes.slice(Number(index[1]), Number(index[1]) + 1) : nodes;
    readings.push({ nodes: chosen.map((node) => ({ node, hosts: [] })), rest });
  }
  const id = quote ? null : /^#([^."/[\]]+)/.exec(text);
  const place = id ? placeOf(graph, id[1]) : undefined;
  if (id && place && /^($|[./])/.test(text.slice(id[0].length))) {
    readings.unshift({ nodes: [place], rest: text.slice(id[0].length) });
  }
  return readings;
}

/**
 * @param {Graph} graph
 * @param {string} id
 * @returns {{node: GraphNode, hosts: GraphNode[]} | undefined}
 */
function placeOf(graph, id) {
  const index = indexOf(graph, fold);
  if (!index) return byExecutionId(graph, id);
  const node = index.ids.get(id);
  if (node) return { node, hosts: [] };
  for (let at = id.indexOf(":"); at >= 0; at = id.indexOf(":", at + 1)) {
    const host = index.ids.get(id.slice(0, at));
    const inner = host?.subgraph ? placeOf(host.subgraph, id.slice(at + 1)) : undefined;
    if (host && inner) return { node: inner.node, hosts: [host, ...inner.hosts] };
  }
  return undefined;
}

/**
 * @param {Map<string, Group>} groups
 * @param {number} rank
 * @param {string} name
 * @param {GraphNode} node
 */
function join(groups, rank, name, node) {
  const folded = fold(name);
  const group = groups.get(`${rank}${folded}`);
  if (group) group.nodes.push(node);
  else groups.set(`${rank}${folded}`, { name: folded, rank, nodes: [node] });
}

/**
 * Whether an index after a name counts only nodes with that title. It does if nodes have their type as the title:
 * counting all nodes of the type would reach some of them twice, or nodes with other titles.
 *
 * @param {Map<string, Group>} groups
 * @param {string} name
 * @returns {boolean}
 */
function countsByTitle(groups, name) {
  return groups.get(`${TITLE}${name}`)?.nodes.some(({ type }) => fold(String(type)) === name) ?? false;
}

/**
 * Compares nodes by id: their order in the graph changes when the person clicks on one.
 *
 * @param {GraphNode} a
 * @param {GraphNode} b
 * @returns {number}
 */
function byId(a, b) {
  return Number(a.id) - Number(b.id) || String(a.id).localeCompare(String(b.id));
}

/**
 * Whether a text begins with a name and continues like a path.
 *
 * @param {string} lower
 * @param {string | undefined} name
 * @param {boolean} whole whether the whole text has to be the name
 * @returns {boolean}
 */
function begins(lower, name, whole) {
  if (!name || name.length > lower.length) return false;
  const next = lower[name.length];
  if (next !== undefined && (whole || (next !== "." && next !== "/" && next !== "["))) return false;
  return lower.startsWith(fold(name));
}

/**
 * Returns the fields that the rest of a path names on a node.
 *
 * @param {GraphNode} node
 * @param {GraphNode[]} hosts
 * @param {string} rest
 * @param {Side} side
 * @param {boolean} any
 * @returns {Field[]}
 */
function fieldsOf(node, hosts, rest, side, any) {
  if (rest === "") return mainFields(node, hosts, side, any);
  if (rest.startsWith("/")) {
    return node.subgraph ? find(node.subgraph, [...hosts, node], rest.slice(1), side, any) : [];
  }
  const name = unquote(rest.slice(1));
  const widgets = widgetsNamed(node, hosts, name);
  if (widgets.length > 0 && side !== "outputs") return widgets;
  const part = /^(inputs|outputs)(?:\[(\d+)\]|\.(.+))$/i.exec(name);
  if (part) {
    const list = part[1].toLowerCase() === "inputs" ? "inputs" : "outputs";
    const index = part[2] === undefined ? slotNamed(node[list], part[3]) : Number(part[2]);
    return node[list]?.[index] ? [slotField(node, hosts, list, index)] : [];
  }
  const index = side ? slotNamed(node[side], name) : -1;
  if (side && index >= 0) return [slotField(node, hosts, side, index)];
  return name.toLowerCase() === "value" ? mainFields(node, hosts, side, any) : [];
}

/**
 * @param {GraphNode} node
 * @param {GraphNode[]} hosts
 * @param {"inputs" | "outputs"} list
 * @param {number} slot
 * @returns {Field}
 */
function slotField(node, hosts, list, slot) {
  return { kind: list === "inputs" ? "input" : "output", node, hosts, slot };
}

/**
 * @param {GraphNode} node
 * @param {GraphNode[]} hosts
 * @param {string} name
 * @returns {Field[]} at most one: like LiteGraph, the first of several widgets of one name
 */
export function widgetsNamed(node, hosts, name) {
  const widget = widgetCalled(node, name, isField);
  return widget ? [{ kind: "widget", node, hosts, widget }] : [];
}

/**
 * @param {GraphNode} node
 * @param {string} name
 * @param {(widget: Widget) => boolean} fits
 * @returns {Widget | undefined}
 */
function widgetCalled({ widgets }, name, fits) {
  if (!widgets || widgets.length === 0) return undefined;
  const wanted = name.toLowerCase();
  return (
    widgets.find((candidate) => isCalled(candidate.name, wanted) && fits(candidate)) ??
    widgets.find((candidate) => isCalled(candidate.label, wanted) && fits(candidate)) ??
    widgets.find((candidate) => isCalled(candidate._overlay?.widgetName, wanted) && fits(candidate))
  );
}

/**
 * Returns a widget that a path names and that is not a field, such as a button or a divider.
 *
 * @param {Graph} root
 * @param {string} text
 * @returns {Widget | undefined}
 */
export function decorationAt(root, text) {
  const called = (/** @type {GraphNode} */ node, /** @type {string} */ name) => widgetCalled(node, unquote(name), (widget) => !isField(widget));
  /** @type {(graph: Graph, path: string) => Widget | undefined} */
  const within = (graph, path) => {
    for (const { nodes, rest } of nodeReadings(graph, path)) {
      for (const { node } of nodes) {
        const inner = rest.startsWith("/") && node.subgraph ? within(node.subgraph, rest.slice(1)) : undefined;
        const widget = inner ?? (rest.startsWith(".") ? called(node, rest.slice(1)) : undefined);
        if (widget) return widget;
      }
    }
    return undefined;
  };
  return within(root, text);
}

/**
 * @param {Slot[] | undefined} slots
 * @param {string} name
 * @returns {number}
 */
function slotNamed(slots, name) {
  const wanted = name.toLowerCase();
  const index = slots?.findIndex((slot) => isCalled(slot.name, wanted)) ?? -1;
  return index >= 0 ? index : (slots?.findIndex((slot) => isCalled(slot.label, wanted)) ?? -1);
}

/**
 * @param {string | undefined} name of a widget or slot, or its label; not a text in some custom nodes
 * @param {string} wanted in lower case
 */
function isCalled(name, wanted) {
  return typeof name === "string" && name.toLowerCase() === wanted;
}

/**
 * Returns what a bare title names: the main widget, or at the end of a link the only output, or the only input
 * without a widget.
 *
 * @param {GraphNode} node
 * @param {GraphNode[]} hosts
 * @param {Side} side
 * @param {boolean} any
 * @returns {Field[]}
 */
function mainFields(node, hosts, side, any) {
  if (side) {
    const slots = [...(node[side] ?? []).keys()];
    const plain = slots.filter((slot) => !node[side]?.[slot].widget);
    const main = plain.length === 1 || !any ? plain : slots;
    return main.length === 1 || any ? main.map((slot) => slotField(node, hosts, side, slot)) : [];
  }
  const widgets = (node.widgets ?? []).filter((widget) => isField(widget) && !isControl(widget));
  const named = MAIN_NAMES.map((name) => widgets.find((widget) => widget.name === name)).find(Boolean);
  const main = named && !any ? [named] : widgets;
  return main.length === 1 || any ? main.map((widget) => ({ kind: "widget", node, hosts, widget })) : [];
}

/**
 * Whether a widget is a field: it has a name and a value, and is not a preview that the page adds after a run.
 *
 * @param {Widget} widget
 * @returns {boolean}
 */
export function isField(widget) {
  const { name } = widget;
  return typeof name === "string" && !name.startsWith("$$") && !isDecoration(widget);
}

/**
 * Whether a widget is the "control after generate" of another.
 *
 * @param {Widget} widget
 * @returns {boolean}
 */
export function isControl(widget) {
  const values = widget.options?.values;
  return Array.isArray(values) && values.length < 7 && CONTROL_CHOICES.every((choice) => values.includes(choice));
}

/**
 * @param {string} name
 * @returns {string}
 */
export function enquote(name) {
  return `"${name.replace(/["\\]/g, "\\$&")}"`;
}

/**
 * @param {string} text
 * @returns {string} without its quotes if it is a quoted name
 */
function unquote(text) {
  const match = /^"((?:[^"\\]|\\.)*)"$/.exec(text);
  return match ? match[1].replace(/\\(.)/g, "$1") : text;
}

/**
 * Returns the title of a node, which is not always a text in a loaded file.
 *
 * @param {GraphNode} node
 * @returns {string}
 */
export function titleOf(node) {
  return String(node.title ?? "");
}

/**
 * Whether a title has to be quoted: it contains special characters of paths, or looks like an id.
 *
 * @param {string} title
 * @returns {boolean}
 */
export function needsQuotes(title) {
  return /[./[\]"\\]|^#|^\s|\s$|^[\d:]+$/.test(title);
}

/**
 * Converts a text to lower case without changing its length, as a few letters would. It works letter by letter, since
 * a sigma at the end of a word has a form of its own, and a title may be followed by more text.
 *
 * @param {string} text
 * @returns {string}
 */
export function fold(text) {
  const lower = text.toLowerCase();
  if (lower.length === text.length && !lower.includes("ς")) return lower;
  const letters = Array.from(text, (letter) => {
    const small = letter === "ς" ? "σ" : letter.toLowerCase();
    return small.length === letter.length ? small : letter;
  });
  return letters.join("");
}
