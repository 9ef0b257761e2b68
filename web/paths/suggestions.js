/**
 * Suggests existing fields and names for mistyped ones.
 *
 * @typedef {import("../common/types.js").Field} Field
 * @typedef {import("../common/types.js").Graph} Graph
 */

import { isField } from "./path_grammar.js";
import { walk } from "./subgraphs.js";

const ANSWERS = 5;
// Edit distance is quadratic, so only the fields that share most letter pairs with the path are measured.
const MEASURED = 60;

/**
 * Returns the paths of the fields most similar to `path`, best first.
 *
 * @param {Graph} root
 * @param {string} path
 * @param {"inputs" | "outputs" | undefined} side for the ends of a link: the slots to suggest
 * @param {(field: Field) => string} pathOf
 * @returns {string[]} at most five
 */
export function nearest(root, path, side, pathOf) {
  const wanted = path.toLowerCase();
  const pairs = letterPairs(wanted);
  return fields(root, side)
    .map(({ field, names }) => ({ field, names, likeness: Math.max(...names.map((name) => shared(pairs, name))) }))
    .sort((a, b) => b.likeness - a.likeness)
    .slice(0, MEASURED)
    .map(({ field, names }) => ({ field, distance: Math.min(...names.map((name) => editDistance(wanted, name))) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, ANSWERS)
    .map(({ field }) => pathOf(field));
}

/**
 * Returns the names most similar to `wanted`.
 *
 * @param {string} wanted
 * @param {string[]} names
 * @returns {string[]} at most five
 */
export function nearestNames(wanted, names) {
  const lower = wanted.toLowerCase();
  const pairs = letterPairs(lower);
  return [...new Set(names)]
    .map((name) => ({ name, likeness: shared(pairs, name.toLowerCase()) }))
    .sort((a, b) => b.likeness - a.likeness)
    .slice(0, MEASURED)
    .map(({ name }) => ({ name, distance: editDistance(lower, name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, ANSWERS)
    .map(({ name }) => name);
}

/**
 * @param {Graph} root
 * @param {"inputs" | "outputs" | undefined} side
 * @returns {{field: Field, names: string[]}[]} every field with its possible spellings
 */
function fields(root, side) {
  const all = [];
  for (const { node, hosts } of walk(root)) {
    const title = node.title || `#${node.id}`;
    const deep = [...hosts, node].map((step) => step.title || `#${step.id}`).join("/");
    const owners = [...new Set([title, deep, node.type])];
    /** @param {string} end */
    const written = (end) => owners.map((owner) => `${owner}.${end}`.toLowerCase());
    for (const widget of side === "outputs" ? [] : (node.widgets ?? []).filter(isField)) {
      /** @type {Field} */
      const field = { kind: "widget", node, hosts, widget };
      all.push({ field, names: [...written(widget.name), String(widget.name).toLowerCase()] });
    }
    for (const [slot, { name }] of (side ? (node[side] ?? []) : []).entries()) {
      /** @type {Field} */
      const field = { kind: side === "inputs" ? "input" : "output", node, hosts, slot };
      all.push({ field, names: [...written(name), ...written(`${side}[${slot}]`)] });
    }
  }
  return all;
}

/**
 * @param {string} text
 * @returns {Set<string>}
 */
function letterPairs(text) {
  const pairs = new Set();
  for (let at = 0; at < text.length - 1; at++) pairs.add(text.slice(at, at + 2));
  return pairs;
}

/**
 * @param {Set<string>} pairs
 * @param {string} text
 * @returns {number} Dice's coefficient of the letter pairs, 0 to 1
 */
function shared(pairs, text) {
  const others = letterPairs(text);
  let common = 0;
  for (const pair of others) if (pairs.has(pair)) common++;
  return (2 * common) / (pairs.size + others.size || 1);
}

/**
 * @param {string} a
 * @param {string} b
 * @returns {number} Levenshtein distance
 */
function editDistance(a, b) {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1] + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column] + 1, current[column - 1] + 1));
    }
    previous = current;
  }
  return previous[b.length];
}
