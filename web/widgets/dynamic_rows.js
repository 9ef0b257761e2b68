/**
 * Adds rows to nodes that can grow, such as loaders of several LoRAs: `#1.lora_3` if the node has two rows.
 *
 * Only the node's own means are used: a method of its class or a button that is named for adding rows.
 *
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("./node_memory.js").Memory} Memory
 */

import { CommandError } from "../common/errors.js";
import { resolveNode } from "../paths/node_paths.js";

const LONGEST = 300;
const SAYS_IT_ADDS = /^\W*(add|new)\b|^\s*[+➕]/i;

/**
 * Adds the row that a path names if its node can.
 *
 * @param {{canvas: () => any, litegraph?: () => any}} page
 * @param {Graph} root
 * @param {string} path of a field that does not exist
 * @param {Memory} memory
 * @throws {CommandError} unknown_path if the node's next row has another name
 */
export function addRow(page, root, path, memory) {
  const text = path.trim();
  const parts = text.length > LONGEST ? null : /^(.+)\.("?)([^."\d][^."]*?)(\d+)\2$/.exec(text);
  const place = parts && found(root, parts[1]);
  if (!parts || !place) return;
  const { node } = place;
  const [stem, count] = [parts[3].toLowerCase(), Number(parts[4])];
  const word = stem.replace(/[^\p{Letter}]+/gu, "");
  // A row that was removed from the middle is not the next one to be added.
  const later = (node.widgets ?? []).some(({ name }) => numberOf(name, stem) >= count);
  const add = word === "" || later ? null : adderOf(page, node, word);
  if (!add) return;
  memory.keep(node);
  memory.also(counters(node));
  const before = new Set(node.widgets);
  add();
  const made = (node.widgets ?? []).filter((widget) => !before.has(widget)).map(({ name }) => String(name));
  if (made.length === 0 || made.some((name) => name.toLowerCase() === stem + parts[4])) return;
  throw new CommandError("unknown_path", `${path} does not exist, and the next row of its node is called ${made[0]}; set that one.`, {
    path,
    nearest: made.map((name) => `${parts[1]}.${name}`),
  });
}

/**
 * @param {Graph} root
 * @param {string} path
 */
function found(root, path) {
  try {
    return resolveNode(root, path);
  } catch {
    // The caller reports the error for the whole path.
    return null;
  }
}

/**
 * @param {unknown} name
 * @param {string} stem
 * @returns {number} -1 for another name
 */
function numberOf(name, stem) {
  const lower = String(name).toLowerCase();
  const rest = lower.startsWith(stem) ? lower.slice(stem.length) : "";
  return /^\d+$/.test(rest) ? Number(rest) : -1;
}

/**
 * @param {{canvas: () => any, litegraph?: () => any}} page
 * @param {any} node
 * @param {string} word
 * @returns {(() => void) | null}
 */
function adderOf(page, node, word) {
  const base = page.litegraph?.()?.LGraphNode?.prototype ?? Object.prototype;
  for (let at = node; at && at !== base && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value !== "function" || name in base || !/^add/i.test(name)) continue;
      if (name.toLowerCase().includes(word)) return () => value.call(node);
    }
  }
  const button = node.widgets?.find((/** @type {any} */ { type, label, name, callback }) => {
    const says = String(label ?? name);
    return type === "button" && callback && SAYS_IT_ADDS.test(says) && (says.toLowerCase().includes(word) || /\brow\b/i.test(says));
  });
  return button ? () => button.callback(button.value, page.canvas(), node) : null;
}

/**
 * Returns a function that restores the numbers by which a node counts its rows, so that the name is reused next time.
 *
 * @param {any} node
 * @returns {() => void}
 */
function counters(node) {
  const before = Object.entries(Object.getOwnPropertyDescriptors(node)).filter(([, { value, writable }]) => writable && typeof value === "number");
  return () => {
    for (const [name, { value }] of before) if (node[name] !== value) node[name] = value;
  };
}
