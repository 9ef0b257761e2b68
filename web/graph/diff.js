/**
 * Takes pictures of the graph's content, and lists the differences between two of them: nodes, widgets, links, groups.
 *
 * Each item is one JSON text, since texts are compared fast and only those that differ have to be parsed. Sizes are
 * separate, since the page changes them by itself during layout.
 *
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {{node: GraphNode, hosts: GraphNode[]}} Place
 *
 * @typedef {object} Picture
 * @property {Map<string, string>} nodes by execution id: NodeFacts
 * @property {Map<string, string>} paths by execution id: a path of the node
 * @property {Map<string, string>} sizes by execution id
 * @property {Map<string, string>} groups by the ids of the subgraph node and the group: GroupFacts
 * @property {Map<string, string>} links by input (`id slot`): the output
 *
 * @typedef {{type: string, title: string, pos: number[], mode: string, collapsed: boolean,
 *   pinned: boolean, color: string | null, bgcolor: string | null, widgets: Record<string, any>}} NodeFacts
 * @typedef {{title: string, bounding: number[], color: string | null}} GroupFacts
 *
 * @typedef {object} Change One difference between two pictures.
 * @property {"node_added" | "node_removed" | "node_changed" | "widget_changed" | "link_added" | "link_removed"
 *   | "group_added" | "group_removed" | "group_changed"} kind
 * @property {string} [path] of the widget, input or node
 * @property {string} [node] the node's execution id
 * @property {string} [what] of a node or group: title, pos, size, mode, …
 * @property {any} before
 * @property {any} after
 */

import { words } from "../common/errors.js";
import { enquote, fold, isField, needsQuotes, titleOf } from "../paths/path_grammar.js";
import { executionId, ownerOf, walk } from "../paths/subgraphs.js";

/** @type {Record<number, string>} The modes of nodes by LiteGraph's numbers. */
const MODES = { 0: "always", 2: "muted", 4: "bypassed" };
const LISTED_OF_NODES = /** @type {const} */ (["title", "pos", "mode", "collapsed", "pinned", "color"]);
const LISTED_OF_GROUPS = /** @type {const} */ (["title", "bounding", "color"]);

/**
 * @param {number | undefined} mode
 * @returns {string}
 */
export function modeName(mode) {
  return MODES[mode ?? 0] ?? String(mode);
}

/**
 * @param {Graph} root
 * @returns {Picture}
 */
export function takePicture(root) {
  /** @type {Picture} */
  const picture = { nodes: new Map(), paths: new Map(), sizes: new Map(), groups: new Map(), links: new Map() };
  addGraph(picture, root, "");
  /** @type {Map<unknown, Map<string, number>>} */
  const titles = new Map();
  for (const place of walk(root)) {
    const { node, hosts } = place;
    const id = executionId(place);
    const graph = hosts[hosts.length - 1]?.subgraph ?? root;
    const counts = titles.get(graph) ?? counted(graph);
    titles.set(graph, counts);
    const outer = hosts.length > 0 ? `${picture.paths.get(executionId(hostPlace(hosts)))}/` : "";
    picture.paths.set(id, outer + name(node, counts));
    picture.nodes.set(id, JSON.stringify(facts(place)));
    picture.sizes.set(id, JSON.stringify(pair(node.size)));
    if (node.subgraph) addGraph(picture, node.subgraph, id);
  }
  return picture;
}

/**
 * @param {GraphNode[]} hosts
 */
function hostPlace(hosts) {
  return { node: hosts[hosts.length - 1], hosts: hosts.slice(0, -1) };
}

/**
 * @param {Graph} graph
 * @returns {Map<string, number>} the number of nodes by title
 */
function counted(graph) {
  const counts = new Map();
  for (const node of graph.nodes) {
    const folded = fold(titleOf(node));
    counts.set(folded, (counts.get(folded) ?? 0) + 1);
  }
  return counts;
}

/**
 * Returns the same as one step of nodePath, without comparing every node with every other.
 *
 * @param {GraphNode} node
 * @param {Map<string, number>} counts
 * @returns {string}
 */
function name(node, counts) {
  const title = titleOf(node);
  if (title === "" || (counts.get(fold(title)) ?? 0) > 1) return `#${node.id}`;
  return needsQuotes(title) ? enquote(title) : title;
}

/**
 * Returns the value of a widget, or a text in its place if it is not JSON-compatible or reading it throws, which must
 * not prevent reading the rest of the graph.
 *
 * @param {import("../common/types.js").Widget} widget
 * @returns {any}
 */
export function valueOf(widget) {
  try {
    const value = widget.value ?? null;
    if (typeof value === "object" || typeof value === "bigint") JSON.stringify(value);
    return value;
  } catch (error) {
    return words(error);
  }
}

/**
 * @param {Place} place
 * @returns {NodeFacts}
 */
function facts({ node, hosts }) {
  /** @type {Record<string, any>} Without a prototype, since a widget may be called __proto__. */
  const widgets = Object.create(null);
  for (const widget of node.widgets ?? []) {
    if (!isField(widget) || widget.name in widgets) continue;
    // A promoted widget is listed once, where its value is stored.
    if ((hosts.length > 0 || node.subgraph) && ownerOf({ node, hosts, widget }).widget !== widget) continue;
    widgets[widget.name] = valueOf(widget);
  }
  return {
    type: node.type,
    title: titleOf(node),
    pos: pair(node.pos),
    mode: modeName(node.mode),
    collapsed: Boolean(node.flags?.collapsed),
    pinned: Boolean(node.flags?.pinned),
    color: node.color ?? null,
    bgcolor: node.bgcolor ?? null,
    widgets,
  };
}

/**
 * @param {Picture} picture
 * @param {Graph} graph
 * @param {string} host the id of the subgraph node, or "" for the root
 */
function addGraph(picture, graph, host) {
  const prefix = host ? `${host}:` : "";
  for (const link of graph.links?.values() ?? []) {
    picture.links.set(`${prefix}${link.target_id} ${link.target_slot}`, `${prefix}${link.origin_id} ${link.origin_slot}`);
  }
  for (const group of graph.groups ?? []) {
    picture.groups.set(`${prefix}${group.id}`, JSON.stringify(groupFacts(group)));
  }
}

/**
 * @param {import("../common/types.js").Group} group
 * @returns {GroupFacts}
 */
export function groupFacts(group) {
  return { title: group.title ?? "", bounding: [...group.boundingRect].slice(0, 4).map(round), color: group.color ?? null };
}

/**
 * @param {ArrayLike<number> | undefined} values
 * @returns {[number, number]} whole pixels: the page moves nodes by fractions of a pixel during layout
 */
export function pair(values) {
  return [round(values?.[0] ?? 0), round(values?.[1] ?? 0)];
}

/** @param {number} value */
function round(value) {
  return Math.round(value) || 0;
}

/**
 * @param {Picture} a
 * @param {Picture} b
 * @param {boolean} sizes whether to compare sizes
 * @returns {boolean}
 */
export function samePicture(a, b, sizes) {
  return (
    sameMap(a.nodes, b.nodes) &&
    sameMap(a.links, b.links) &&
    sameMap(a.groups, b.groups) &&
    (!sizes || sameMap(a.sizes, b.sizes))
  );
}

/**
 * @param {Map<string, string>} a
 * @param {Map<string, string>} b
 */
function sameMap(a, b) {
  if (a.size !== b.size) return false;
  for (const [key, text] of a) if (b.get(key) !== text) return false;
  return true;
}

/**
 * Lists the changes from one picture to another, in the order: removed, added, changed.
 *
 * @param {Picture} before
 * @param {Picture} after
 * @param {boolean} [sizes] whether to compare sizes
 * @returns {Change[]}
 */
export function differences(before, after, sizes = true) {
  return [
    ...linkChanges(before, after, "link_removed"),
    ...nodeChanges(before, after, sizes),
    ...groupChanges(before, after),
    ...linkChanges(after, before, "link_added"),
  ];
}

/**
 * @param {Picture} before
 * @param {Picture} after
 * @param {boolean} sizes
 * @returns {Change[]}
 */
function nodeChanges(before, after, sizes) {
  /** @type {Change[]} */
  const changes = [];
  for (const [id, text] of before.nodes) {
    if (after.nodes.has(id)) continue;
    const { type, title } = JSON.parse(text);
    changes.push({ kind: "node_removed", path: before.paths.get(id), node: id, before: { type, title }, after: null });
  }
  for (const [id, text] of after.nodes) {
    const old = before.nodes.get(id);
    if (old === undefined) {
      const { type, title } = JSON.parse(text);
      changes.push({ kind: "node_added", path: after.paths.get(id), node: id, before: null, after: { type, title } });
      continue;
    }
    const path = after.paths.get(id) ?? `#${id}`;
    if (old !== text) changes.push(...within(id, path, JSON.parse(old), JSON.parse(text)));
    const [was, is] = [before.sizes.get(id), after.sizes.get(id)];
    if (sizes && was && is && was !== is) {
      changes.push({ kind: "node_changed", path, node: id, what: "size", before: JSON.parse(was), after: JSON.parse(is) });
    }
  }
  return changes;
}

/**
 * @param {string} node
 * @param {string} path
 * @param {NodeFacts} old
 * @param {NodeFacts} now
 * @returns {Change[]}
 */
function within(node, path, old, now) {
  /** @type {Change[]} */
  const changes = [];
  if (old.type !== now.type) {
    changes.push({ kind: "node_changed", path, node, what: "type", before: old.type, after: now.type });
  }
  for (const what of LISTED_OF_NODES) {
    if (same(old[what], now[what])) continue;
    changes.push({ kind: "node_changed", path, node, what, before: old[what], after: now[what] });
  }
  for (const name of new Set([...Object.keys(old.widgets), ...Object.keys(now.widgets)])) {
    const [was, is] = [old, now].map(({ widgets }) => (Object.hasOwn(widgets, name) ? widgets[name] : null));
    if (same(was, is)) continue;
    changes.push({ kind: "widget_changed", path: `${path}.${name}`, node, what: name, before: was, after: is });
  }
  return changes;
}

/**
 * @param {Picture} before
 * @param {Picture} after
 * @returns {Change[]}
 */
function groupChanges(before, after) {
  /** @type {Change[]} */
  const changes = [];
  for (const [id, text] of before.groups) {
    if (!after.groups.has(id)) changes.push({ kind: "group_removed", path: `#${id}`, before: JSON.parse(text), after: null });
  }
  for (const [id, text] of after.groups) {
    const old = before.groups.get(id);
    if (old === text) continue;
    if (old === undefined) {
      changes.push({ kind: "group_added", path: `#${id}`, before: null, after: JSON.parse(text) });
      continue;
    }
    const [was, is] = [JSON.parse(old), JSON.parse(text)];
    for (const what of LISTED_OF_GROUPS) {
      if (!same(was[what], is[what])) {
        changes.push({ kind: "group_changed", path: `#${id}`, what, before: was[what], after: is[what] });
      }
    }
  }
  return changes;
}

/**
 * Lists the links that are in one picture and not in the other.
 *
 * @param {Picture} picture
 * @param {Picture} other
 * @param {"link_added" | "link_removed"} kind
 * @returns {Change[]}
 */
function linkChanges(picture, other, kind) {
  /** @type {Change[]} */
  const changes = [];
  for (const [input, output] of picture.links) {
    if (other.links.get(input) === output) continue;
    const [from, to] = [slotPath(picture, output, "outputs"), slotPath(picture, input, "inputs")];
    const link = { from, to };
    const node = input.split(" ")[0];
    changes.push({ kind, path: to, node, before: kind === "link_removed" ? link : null, after: kind === "link_added" ? link : null });
  }
  return changes;
}

/**
 * @param {Picture} picture
 * @param {string} end `id slot`
 * @param {"inputs" | "outputs"} list
 * @returns {string}
 */
function slotPath(picture, end, list) {
  const [id, slot] = end.split(" ");
  const path = picture.paths.get(id);
  if (path) return `${path}.${list}[${slot}]`;
  // The boundary of a subgraph: its inputs are those of the subgraph node.
  const host = picture.paths.get(id.slice(0, id.lastIndexOf(":")));
  const other = list === "inputs" ? "outputs" : "inputs";
  return host ? `${host}.${other}[${slot}]` : `#${id}.${list}[${slot}]`;
}

/**
 * @param {any} a
 * @param {any} b
 */
function same(a, b) {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
