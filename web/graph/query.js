/**
 * Selects nodes by filters, and of each node the requested facts.
 *
 * @typedef {import("../paths/node_paths.js").Place} Place
 * @typedef {import("../common/types.js").Graph} Graph
 *
 * @typedef {{types?: string[], titles?: string[], near?: string, distance?: number, depth?: number, want?: string[],
 *   limit?: number, offset?: number}} Filters
 */

import { CommandError } from "../common/errors.js";
import { described, identity, linksOf, looks } from "./nodes.js";
import { resolveNode } from "../paths/node_paths.js";
import { resolve } from "../paths/paths.js";
import { titleOf } from "../paths/path_grammar.js";
import { executionId, walk } from "../paths/subgraphs.js";

// The names in `want`: facts of described(), facts of looks(), and the links.
const DESCRIBED = ["widgets", "path", "mode", "subgraph"];
const LOOKS = ["pos", "size", "mode_name", "collapsed", "pinned", "color"];
const ALWAYS = ["id", "type", "title", "inputs", "outputs"];
const WANTED = [...ALWAYS, ...DESCRIBED, ...LOOKS, "links"];

/**
 * @param {Graph} root
 * @param {Filters} filters
 */
export function query(root, filters) {
  const { types, titles, near, distance = 1, depth, want, limit, offset = 0 } = filters;
  for (const name of want ?? []) {
    if (!WANTED.includes(name)) {
      throw new CommandError("invalid", `want takes ${WANTED.join(", ")}, not ${JSON.stringify(name)}.`, { want: name, options: WANTED });
    }
  }
  const within = near === undefined ? null : around(root, near, distance);
  const [kinds, names] = [lower(types), lower(titles)];
  const fitting = [...walk(root)].filter(
    (place) =>
      (!within || within.has(executionId(place))) &&
      (depth === undefined || place.hosts.length <= depth) &&
      (!kinds || kinds.has(place.node.type.toLowerCase())) &&
      (!names || names.has(titleOf(place.node).toLowerCase())),
  );
  const end = limit === undefined ? fitting.length : offset + limit;
  const nodes = fitting.slice(offset, end).map((place) => (want ? chosen(root, place, want) : described(root, place)));
  const answer = { nodes, total: fitting.length };
  return end < fitting.length ? { ...answer, next_offset: end } : answer;
}

/**
 * @param {string[] | undefined} names
 */
function lower(names) {
  return names ? new Set(names.map((name) => name.toLowerCase())) : null;
}

/**
 * @param {Graph} root
 * @param {Place} place
 * @param {string[]} want
 */
function chosen(root, place, want) {
  /** @type {Record<string, any>} */
  const facts = identity(place);
  /** @type {Record<string, any>} */
  const more = want.some((name) => DESCRIBED.includes(name)) ? described(root, place) : {};
  /** @type {Record<string, any>} */
  const look = want.some((name) => LOOKS.includes(name)) ? looks(place.node) : {};
  for (const name of want) {
    if (name === "links") facts.links = linksOf(root, place);
    else if (!ALWAYS.includes(name)) facts[name] = more[name] ?? look[name] ?? null;
  }
  return facts;
}

/**
 * @param {Graph} root
 * @param {string} near the path of a node or of one of its fields
 * @param {number} distance
 * @returns {Set<string>} the ids of the nodes of the same graph within that many links
 */
function around(root, near, distance) {
  const { node, hosts } = nodeOf(root, near);
  const found = new Set([String(node.id)]);
  const links = [...(node.graph?.links?.values() ?? [])];
  for (let step = 0; step < distance; step++) {
    const before = found.size;
    const known = new Set(found);
    for (const { origin_id, target_id } of links) {
      if (known.has(String(origin_id))) found.add(String(target_id));
      if (known.has(String(target_id))) found.add(String(origin_id));
    }
    if (found.size === before) break;
  }
  const prefix = hosts.length > 0 ? `${hosts.map(({ id }) => id).join(":")}:` : "";
  return new Set([...found].map((id) => prefix + id));
}

/**
 * @param {Graph} root
 * @param {string} path
 * @returns {Place}
 */
function nodeOf(root, path) {
  try {
    return resolveNode(root, path);
  } catch (error) {
    if (!(error instanceof CommandError) || error.code !== "unknown_node") throw error;
    try {
      return resolve(root, path);
    } catch {
      throw error;
    }
  }
}
