/**
 * Finds the node that a path names.
 *
 * A node's path is the beginning of a field path: `Title`, `Type`, `Title[1]`, `#12:3`, `Outer/Inner`, `"quoted"`. By
 * itself `12:3` is an id too, so a title of digits has to be quoted.
 *
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {{node: GraphNode, hosts: GraphNode[]}} Place
 */

import { CommandError } from "../common/errors.js";
import { nodePath } from "./paths.js";
import { nodeReadings } from "./path_grammar.js";
import { byExecutionId, executionId, walk } from "./subgraphs.js";
import { nearestNames } from "./suggestions.js";

/**
 * Returns the node that a path names.
 *
 * @param {Graph} root
 * @param {string} path
 * @returns {Place}
 * @throws {CommandError} unknown_node with details.nearest, ambiguous_path with details.candidates
 */
export function resolveNode(root, path) {
  const text = typeof path === "number" ? String(path) : path;
  if (typeof text !== "string" || text.trim() === "") {
    throw new CommandError("invalid", "A node path has to be a non-empty text such as KSampler or #12.", { node: path });
  }
  const bare = /^[\d:]+$/.test(text.trim()) ? byExecutionId(root, text.trim()) : undefined;
  const places = bare ? [bare] : named(root, [], text.trim());
  if (places.length === 1) return places[0];
  if (places.length > 1) {
    const candidates = places.map((place) => `#${executionId(place)}`);
    throw new CommandError(
      "ambiguous_path",
      `${JSON.stringify(text)} matches ${places.length} nodes: ${candidates.slice(0, 8).join(", ")}; use one of these.`,
      { path: text, candidates },
    );
  }
  const all = [...walk(root)];
  const near = nearestNames(text, all.map((place) => nodePath(root, place)));
  const hint = near.length > 0 ? `the nearest ${near.length > 1 ? "are" : "is"} ${near.join(", ")}` : "it has no nodes";
  throw new CommandError("unknown_node", `The open workflow has no node ${JSON.stringify(text)}; ${hint}.`, {
    node: text,
    nearest: near,
  });
}

/**
 * Returns the nodes that paths name, without duplicates.
 *
 * @param {Graph} root
 * @param {string[]} paths
 * @returns {Place[]}
 * @throws {CommandError}
 */
export function resolveNodes(root, paths) {
  /** @type {Map<string, Place>} */
  const places = new Map();
  for (const path of paths) {
    const place = resolveNode(root, path);
    places.set(executionId(place), place);
  }
  return [...places.values()];
}

/**
 * Returns the graph that contains all of the nodes.
 *
 * @param {Place[]} places at least one
 * @returns {any}
 * @throws {CommandError} invalid
 */
export function commonGraph(places) {
  const graphs = new Set(places.map(({ node }) => node.graph));
  if (graphs.size > 1) {
    throw new CommandError("invalid", "These nodes are in different graphs; use nodes of one subgraph at a time.", {
      nodes: places.map(executionId),
    });
  }
  return [...graphs][0];
}

/**
 * @param {Graph} graph
 * @param {GraphNode[]} hosts
 * @param {string} text
 * @returns {Place[]}
 */
function named(graph, hosts, text) {
  for (const { nodes, rest } of nodeReadings(graph, text)) {
    const found = nodes.flatMap(({ node, hosts: more }) => {
      const place = { node, hosts: [...hosts, ...more] };
      if (rest === "") return [place];
      return rest.startsWith("/") && node.subgraph ? named(node.subgraph, [...place.hosts, node], rest.slice(1)) : [];
    });
    if (found.length > 0) return found;
  }
  return [];
}
