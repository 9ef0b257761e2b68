/**
 * Rows that a node can add to itself, as loaders of many LoRAs do: `#1.lora_3` where it has two.
 *
 * Only the node's own way is taken: a method of its class, or a button, that says it adds what the row is called after.
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
 * Add the row that a path names, if its node has a way to.
 *
 * @param {{canvas: () => any, litegraph?: () => any}} page
 * @param {Graph} root
 * @param {string} path of a field that is not there
 * @param {Memory} memory
 * @throws {CommandError} unknown_path when the node's next row has another name
 */
export function addRow(page, root, path, memory) {
  const text = path.trim();
  const parts = text.length > LONGEST ? null : /^(.+)\.("?)([^."\d][^."]*?)(\d+)\2$/.exec(text);
  const place = parts && found(root, parts[1]);
  if (!parts || !place) return;
  const { node } = place;
  const [stem, count] = [parts[3].toLowerCase(), Number(parts[4])];
  const word = stem.replace(/[^\p{Letter}]+/gu, "");
  // One that was taken out of the middle is not what is added next.
  const later = (node.widgets ?? []).some(({ name }) => numberOf(name, stem) >= count);
  const add = word === "" || later ? null : adderOf(page, node, word);
  if (!add) return;
  memory.keep(node);
  memory.also(counters(node));
  const before = new Set(node.widgets);
  add();
  const made = (node.widgets ?? []).filter((widget) => !before.has(widget)).map(({ name }) => String(name));
  if (made.length === 0 || made.some((name) => name.toLowerCase() === stem + parts[4])) return;
  throw new CommandError("unknown_path", `${path} is not there, and the row that its node adds next is called ${made[0]}; set that.`, {
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
    // The caller says what is wrong with the whole path.
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
 * The numbers a node counts its rows with: put back with the row, so that the same name is added the next time.
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
