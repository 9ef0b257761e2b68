/**
 * Finds the output nodes to which a run is limited.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 * @typedef {import("../paths/node_paths.js").Place} Place
 */

import { CommandError } from "../common/errors.js";
import { nodePath } from "../paths/paths.js";
import { resolveNodes } from "../paths/node_paths.js";
import { byExecutionId, executionId, walk } from "../paths/subgraphs.js";

// Output nodes that an error names.
const NAMED = 5;
const IDLE = new Map([
  [2, "muted"],
  [4, "bypassed"],
]);

/**
 * Returns the ids of output nodes; a subgraph node stands for those inside of it.
 *
 * @param {Frontend} frontend
 * @param {string[]} paths of nodes
 * @param {import("../common/types.js").ApiWorkflow} [exported] names the output nodes behind one that is none
 * @returns {string[]}
 * @throws {CommandError}
 */
export function targetIds(frontend, paths, exported) {
  const root = frontend.rootGraph();
  const places = resolveNodes(root, paths);
  const ids = places.flatMap((place) => {
    const found = outputsIn(frontend, place);
    if (found.length > 0) return found;
    throw noOutput(frontend, place, exported ?? {});
  });
  return [...new Set(ids)];
}

/**
 * @param {Frontend} frontend
 * @param {string[]} paths
 * @returns {boolean} whether `targetIds` needs the exported workflow to name other nodes
 */
export function missesOutputs(frontend, paths) {
  return resolveNodes(frontend.rootGraph(), paths).some((place) => outputsIn(frontend, place).length === 0);
}

/**
 * @param {Frontend} frontend
 * @param {Place} place
 * @returns {string[]} the ids of the output nodes that run there
 */
function outputsIn(frontend, { node, hosts }) {
  const inside = node.subgraph && !idleness(node) ? [...walk(node.subgraph, [...hosts, node])] : [];
  return [{ node, hosts }, ...inside]
    .filter((place) => isOutput(frontend, place.node.type) && ![...place.hosts, place.node].some(idleness))
    .map(executionId);
}

/** @param {import("../common/types.js").GraphNode} node */
function idleness({ mode }) {
  return IDLE.get(mode ?? 0);
}

/**
 * @param {Frontend} frontend
 * @param {string | null} type
 * @returns {boolean}
 */
function isOutput(frontend, type) {
  return frontend.litegraph()?.registered_node_types?.[type ?? ""]?.nodeData?.output_node === true;
}

/**
 * @param {Frontend} frontend
 * @param {Place} place
 * @param {import("../common/types.js").ApiWorkflow} exported
 * @returns {CommandError}
 */
function noOutput(frontend, place, exported) {
  const root = frontend.rootGraph();
  const target = nodePath(root, place);
  const idle = [...place.hosts, place.node].map(idleness).find(Boolean);
  if (idle) return new CommandError("invalid", `${target} is ${idle} and does not run; enable it, or use another target.`, { target, nearest: [] });
  const nearest = outputsBehind(frontend, executionId(place), exported)
    .map((id) => byExecutionId(root, id))
    .flatMap((found) => (found ? nodePath(root, found) : []));
  const advice =
    nearest.length > 0
      ? `use an output node behind it: ${nearest.join(", ")}`
      : "no output node lies behind it, so link it to one, such as PreviewImage or PreviewAny";
  return new CommandError("invalid", `${target} is no output node; ${advice}.`, { target, nearest });
}

/**
 * @param {Frontend} frontend
 * @param {string} id of a node, or of a subgraph node
 * @param {import("../common/types.js").ApiWorkflow} exported
 * @returns {string[]} the ids of the output nodes that use its outputs, the nearest first
 */
function outputsBehind(frontend, id, exported) {
  const all = Object.entries(exported);
  let reached = new Set(all.map(([own]) => own).filter((own) => own === id || own.startsWith(`${id}:`)));
  const seen = new Set(reached);
  const found = [];
  while (reached.size > 0 && found.length < NAMED) {
    const users = all.filter(([own, { inputs }]) => !seen.has(own) && Object.values(inputs ?? {}).some((value) => Array.isArray(value) && reached.has(String(value[0]))));
    reached = new Set(users.map(([own]) => own));
    for (const [own, { class_type }] of users) {
      seen.add(own);
      if (isOutput(frontend, class_type)) found.push(own);
    }
  }
  return found.slice(0, NAMED);
}
