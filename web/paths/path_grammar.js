/**
 * Reading a field path against a graph: which nodes its beginning can name, and which field of theirs the rest.
 *
 * The grammar is described in paths.js, which is the way in; here a path may have any number of fields.
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

/** @typedef {"inputs" | "outputs" | undefined} Side What a name that is no widget's may stand for at a link's end. */
/** @typedef {{name: string, rank: number, nodes: GraphNode[]}} Group Nodes that share a title, or a type. */

const TITLE = 1;
const TYPE = 2;
const MAIN_NAMES = ["value", "text", "image", "audio", "video", "file"];
const CONTROL_CHOICES = ["fixed", "increment", "decrement", "randomize"];

/**
 * All fields that the best reading of a path leads to; none where no reading leads to one.
 *
 * @param {Graph} graph
 * @param {GraphNode[]} hosts the subgraph nodes that lead to `graph`
 * @param {string} text
 * @param {Side} [side]
 * @param {boolean} [any] let a bare title stand for every field of its node, where it has no main one
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
 * The ways the beginning of a text can name nodes, best first: the longest name, and of these ids before titles
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
 * Whether a number after a name counts the nodes of that title and no others of that type. It does where nodes are
 * titled as their type is: past the last of them it would count one of them again, or one that is called otherwise.
 *
 * @param {Map<string, Group>} groups
 * @param {string} name
 * @returns {boolean}
 */
function countsByTitle(groups, name) {
  return groups.get(`${TITLE}${name}`)?.nodes.some(({ type }) => fold(String(type)) === name) ?? false;
}

/**
 * Nodes of one name are counted by their ids: the order in the graph changes when a person clicks on one.
 *
 * @param {GraphNode} a
 * @param {GraphNode} b
 * @returns {number}
 */
function byId(a, b) {
  return Number(a.id) - Number(b.id) || String(a.id).localeCompare(String(b.id));
}

/**
 * Whether a text begins with a name and goes on as a path does.
 *
 * @param {string} lower
 * @param {string | undefined} name
 * @param {boolean} whole the text is the name and nothing else
 * @returns {boolean}
 */
function begins(lower, name, whole) {
  if (!name || name.length > lower.length) return false;
  const next = lower[name.length];
  if (next !== undefined && (whole || (next !== "." && next !== "/" && next !== "["))) return false;
  return lower.startsWith(fold(name));
}

/**
 * The fields that the rest of a path names on a node.
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
 * @returns {Field[]} none or one: LiteGraph itself takes the first of several widgets of a name
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
 * What a path names that is no field, such as a button or a divider.
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
 * @param {string | undefined} name of a widget or slot, or its label; custom nodes give some that are no texts
 * @param {string} wanted in lower case
 */
function isCalled(name, wanted) {
  return typeof name === "string" && name.toLowerCase() === wanted;
}

/**
 * What a bare title stands for: the main widget, or at a link's end the only output, or input that is no widget's.
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
 * Whether a widget is a field: one with a name and a value, and no preview that the page hangs on a node after a run.
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
 * @returns {string} without its quotes, where it is one quoted name
 */
function unquote(text) {
  const match = /^"((?:[^"\\]|\\.)*)"$/.exec(text);
  return match ? match[1].replace(/\\(.)/g, "$1") : text;
}

/**
 * A node's title. What is loaded from a file need not be a text.
 *
 * @param {GraphNode} node
 * @returns {string}
 */
export function titleOf(node) {
  return String(node.title ?? "");
}

/**
 * Whether a title has to be in quotes to be read as one: it holds what a path is made of, or would be taken for an id.
 *
 * @param {string} title
 * @returns {boolean}
 */
export function needsQuotes(title) {
  return /[./[\]"\\]|^#|^\s|\s$|^[\d:]+$/.test(title);
}

/**
 * A text without case, of the same length (a few letters have a longer lower case), and letter by letter: the sigma at
 * a word's end has a form of its own, and where a word ends depends on what follows a title.
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
