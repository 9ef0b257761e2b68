/**
 * Finding a graph's nodes by id, title or type without looking at each of them, for as long as one piece of work takes.
 *
 * What was found is always read again by whoever asked, so a node that has been renamed since is never taken for another.
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

// For a few lookups it takes longer to make an index than to look at each node.
const WITHOUT = 4;

/** @type {Map<Graph, Index> | null} */
let indexes = null;
let lookups = 0;

/**
 * Look paths up by an index while this work is done. Nothing outlives it, because a person may change the graph then.
 *
 * @template T
 * @param {() => T} work at once
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

/** Read the graph anew: it may have changed in a way that can't be seen from the number of its nodes. */
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
 * The nodes whose title or type a text may begin with.
 *
 * @param {Index} index
 * @param {string} text folded
 * @param {boolean} whole whether the text is the name and nothing else
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
