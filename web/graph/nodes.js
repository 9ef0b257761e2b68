/**
 * Describes nodes as responses show them.
 *
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../paths/node_paths.js").Place} Place
 */

import { linked } from "./links.js";
import { nodePath } from "../paths/paths.js";
import { modeName, pair, valueOf } from "./diff.js";
import { isField, titleOf } from "../paths/path_grammar.js";
import { executionId, ownerOf } from "../paths/subgraphs.js";
import { choices, isChoice } from "../widgets/widget_values.js";

const OPTIONS_AT_MOST = 200;

/**
 * Returns the entry of a node in query_fields.
 *
 * @param {Graph} root
 * @param {Place} place
 */
export function described(root, place) {
  const { node, hosts } = place;
  return {
    ...identity(place),
    widgets: (node.widgets ?? []).filter(isField).map((widget) => {
      const owner = ownerOf({ node, hosts, widget });
      const shown = { name: widget.name, type: widget.type, value: valueOf(owner.widget) };
      const options = isChoice(owner.widget) ? choices(owner.node, owner.widget) : undefined;
      return options ? { ...shown, options: options.slice(0, OPTIONS_AT_MOST), options_total: options.length } : shown;
    }),
    path: nodePath(root, place),
    mode: node.mode ?? 0,
    subgraph: Boolean(node.subgraph),
  };
}

/** @param {Place} place */
export function identity(place) {
  const { node } = place;
  return {
    id: executionId(place),
    type: node.type,
    title: titleOf(node),
    inputs: (node.inputs ?? []).map(({ name }) => name),
    outputs: (node.outputs ?? []).map(({ name }) => name),
  };
}

/**
 * Returns the result of commands that add or change a node: its entry in query_fields and its appearance.
 *
 * @param {Graph} root
 * @param {Place} place
 */
export function brief(root, place) {
  return { ...described(root, place), ...looks(place.node) };
}

/** @param {GraphNode} node */
export function looks(node) {
  return {
    pos: pair(node.pos),
    size: pair(node.size),
    mode_name: modeName(node.mode),
    collapsed: Boolean(node.flags?.collapsed),
    pinned: Boolean(node.flags?.pinned),
    color: node.bgcolor ?? node.color ?? null,
  };
}

/**
 * Returns the links of a node, by input and output.
 *
 * @param {Graph} root
 * @param {Place} place
 */
export function linksOf(root, { node, hosts }) {
  /** @type {{input: string, from: any}[]} */
  const from = [];
  for (const [slot, { name }] of (node.inputs ?? []).entries()) {
    const end = linked(root, { kind: "input", node, hosts, slot });
    if (end) from.push({ input: name, from: end });
  }
  const to = (node.outputs ?? []).flatMap(({ name }, slot) => {
    const ends = /** @type {any[]} */ (linked(root, { kind: "output", node, hosts, slot }) ?? []);
    return ends.map((end) => ({ output: name, to: end }));
  });
  return { from, to };
}
