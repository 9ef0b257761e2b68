/**
 * Compares the lists of choices that the page offers, before and after it has loaded them again.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 * @typedef {{type: string, input: string, choices: any[] | undefined, fields: Map<string, any[]>}} ChoiceList
 *   the choices of an input, and those of its fields in the open workflow
 * @typedef {{type: string, input: string, added: any[], removed: any[], total: number, fields: string[]}} ChangedList
 */

import { nodePath } from "../paths/paths.js";
import { walk } from "../paths/subgraphs.js";
import { choices, isChoice } from "./widget_values.js";

// Choices that are listed of those that were added, and of those that were removed.
const SHOWN = 100;

/**
 * @param {Frontend} frontend
 * @returns {Map<string, ChoiceList>} every list of choices by its node type and input
 */
export function choiceLists(frontend) {
  /** @type {Map<string, ChoiceList>} */
  const lists = new Map();
  const listOf = (/** @type {string} */ type, /** @type {string} */ input) => {
    const key = JSON.stringify([type, input]);
    const list = lists.get(key) ?? { type, input, choices: undefined, fields: new Map() };
    lists.set(key, list);
    return list;
  };
  for (const [type, definition] of Object.entries(frontend.litegraph()?.registered_node_types ?? {})) {
    const { required, optional } = definition.nodeData?.input ?? {};
    for (const [input, spec] of Object.entries({ ...required, ...optional })) {
      // Newer definitions have the choices among the options.
      const declared = Array.isArray(spec?.[0]) ? spec[0] : spec?.[0] === "COMBO" ? spec[1]?.options : undefined;
      if (Array.isArray(declared)) listOf(type, input).choices = [...declared];
    }
  }
  const root = frontend.rootGraph();
  for (const place of walk(root)) {
    for (const widget of place.node.widgets ?? []) {
      const offered = isChoice(widget) ? choices(place.node, widget) : undefined;
      if (offered) listOf(place.node.type, widget.name).fields.set(`${nodePath(root, place)}.${widget.name}`, [...offered]);
    }
  }
  return lists;
}

/**
 * @param {Map<string, ChoiceList>} before
 * @param {Map<string, ChoiceList>} after
 * @returns {ChangedList[]}
 */
export function changedLists(before, after) {
  const changed = [];
  for (const [key, { type, input, choices: now, fields }] of after) {
    const old = before.get(key);
    const differing = [...fields].filter(([path, offered]) => old?.fields.has(path) && !same(old.fields.get(path), offered));
    if (same(old?.choices, now) && differing.length === 0) continue;
    const [was, is] = now === undefined ? [old?.fields.get(differing[0][0]) ?? [], differing[0][1]] : [old?.choices ?? [], now];
    const [earlier, later] = [new Set(was), new Set(is)];
    changed.push({
      type,
      input,
      added: is.filter((choice) => !earlier.has(choice)).slice(0, SHOWN),
      removed: was.filter((choice) => !later.has(choice)).slice(0, SHOWN),
      total: is.length,
      fields: differing.map(([path]) => path),
    });
  }
  return changed;
}

/**
 * @param {any[] | undefined} a
 * @param {any[] | undefined} b
 */
function same(a, b) {
  return a?.length === b?.length && (a ?? []).every((choice, at) => choice === b?.[at]);
}
