/**
 * Indexes the nodes of a graph by id, title and type for the duration of one operation.
 *
 * Callers check every node that they find, so that one renamed since is never mistaken for another.
 *
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 *
 * @typedef {object} Index
 * @property {number} count
 * @property {GraphNode | undefined} last
 * @property {number} longest the length of the longest name
 * @property {Map<string, GraphNode>} ids
 * @property {Map<string, GraphNode[]>} names titles and types, folded
 */

// Building an index takes longer than a few lookups without one.
const WITHOUT = 4;

/** @type {Map<Graph, Index> | null} */
let indexes = null;
let lookups = 0;

/**
 * Runs `work` with indexed lookups. The index is dropped afterwards, since the person may change the graph.
 *
 * @template T
 * @param {() => T} work synchronous
 * @returns {T}
 */
export function indexed(work) {
  if (indexes) return work();
  indexes = new Map();
  lookups = 0;
  try {
    return work();
  } finally {
    indexes = null;
  }
}

/** Drops the index, for changes that the number of nodes does not show. */
export function forget() {
  indexes?.clear();
}

/**
 * @param {Graph} graph
 * @param {(name: string) => string} fold
 * @returns {Index | undefined} undefined outside of `indexed`, and for the first few lookups
 */
export function indexOf(graph, fold) {
  if (!indexes || ++lookups <= WITHOUT) return undefined;
  const { nodes } = graph;
  const known = indexes.get(graph);
  if (known && known.count === nodes.length && known.last === nodes[nodes.length - 1]) return known;
  /** @type {Index} */
  const index = { count: nodes.length, last: nodes[nodes.length - 1], longest: 0, ids: new Map(), names: new Map() };
  for (const node of nodes) {
    const id = String(node.id);
    if (!index.ids.has(id)) index.ids.set(id, node);
    for (const name of new Set([fold(String(node.title ?? "")), fold(String(node.type ?? ""))])) {
      index.longest = Math.max(index.longest, name.length);
      const same = index.names.get(name);
      if (same) same.push(node);
      else index.names.set(name, [node]);
    }
  }
  indexes.set(graph, index);
  return index;
}

/**
 * Returns the nodes whose title or type may be the beginning of a text.
 *
 * @param {Index} index
 * @param {string} text folded
 * @param {boolean} whole whether the whole text has to be the name
 * @returns {Set<GraphNode>}
 */
export function beginningOf(index, text, whole) {
  const found = new Set(index.names.get(text) ?? []);
  const end = whole ? 0 : Math.min(text.length, index.longest + 1);
  for (let at = 1; at < end; at++) {
    if (text[at] !== "." && text[at] !== "/" && text[at] !== "[") continue;
    for (const node of index.names.get(text.slice(0, at)) ?? []) found.add(node);
  }
  return found;
}
