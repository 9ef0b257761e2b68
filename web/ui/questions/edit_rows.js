/**
 * What a program would change, as rows of field, present value and new value on named nodes.
 *
 * @typedef {{path: string, value: string, edit?: boolean}} Write `edit`: the path is a command, the value its data as JSON
 * @typedef {Pick<import("../../page/frontend.js").Frontend, "rootGraph">} Open
 */

import { modeName, pair } from "../../graph/diff.js";
import { resolveNode } from "../../paths/node_paths.js";
import { titleOf } from "../../paths/path_grammar.js";
import { resolve } from "../../paths/paths.js";
import { ownerOf } from "../../paths/subgraphs.js";
import { t } from "../texts.js";

/** Reads the present values of a node. */
const NOW = /** @type {Record<string, (node: any) => unknown>} */ ({
  title: titleOf,
  mode: (node) => modeName(node.mode),
  pos: (node) => pair(node.pos),
  size: (node) => pair(node.size),
  color: (node) => node.color ?? "",
  collapsed: (node) => Boolean(node.flags?.collapsed),
  pinned: (node) => Boolean(node.flags?.pinned),
});

/**
 * @param {Open} frontend
 * @param {Write} write
 * @returns {string[][]}
 */
export function rowsOf(frontend, { path, value, edit }) {
  if (!edit) return [[path, valueAt(frontend, path), value]];
  const data = parsed(value);
  if (!data) return [[wordsOf(path), "", value]];
  const { node, nodes, field, group, fields, ...rest } = data;
  const subject = text(node ?? nodes ?? field ?? group ?? rest.title ?? rest.type ?? "");
  if (path === "set_connection" && Array.isArray(field)) {
    const [from, to] = field.map(text);
    return [[to, "", t("linked", { from, to })]];
  }
  if (path === "set_node") return Object.entries(rest).map(([key, now]) => [`${subject}: ${key}`, nodeNow(frontend, node, key), text(now)]);
  if (path === "add_node") {
    const values = Array.isArray(fields) ? fields.filter(Array.isArray) : [];
    return [[subject, "", t("added", { what: text(rest.type ?? "") })], ...values.map(([name, now]) => [`${subject}: ${text(name)}`, "", text(now)])];
  }
  const more = Object.keys(rest).length > 0 ? ` ${JSON.stringify(rest)}` : "";
  return (Array.isArray(nodes) && nodes.length > 0 ? nodes.map(text) : [subject || wordsOf(path)]).map((one) => [one, "", wordsOf(path) + more]);
}

/** @param {string} command such as "convert_to_subgraph" */
const wordsOf = (command) => command.replace(/_/g, " ");

/** @param {unknown} value */
function text(value) {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value.join(", ");
  return JSON.stringify(value) ?? "";
}

/**
 * @param {string} value
 * @returns {Record<string, any> | null} null if it was shortened
 */
function parsed(value) {
  try {
    return JSON.parse(value);
  } catch {
    return null;
  }
}

/**
 * @param {Open} frontend
 * @param {string} node
 * @param {string} key
 * @returns {string} the present value
 */
function nodeNow(frontend, node, key) {
  try {
    return Object.hasOwn(NOW, key) ? text(NOW[key](resolveNode(frontend.rootGraph(), node).node)) : "";
  } catch {
    // The command will fail: nothing has this value now.
    return "";
  }
}

/**
 * @param {Open} frontend
 * @param {string} path
 * @returns {string} the current value of the field
 */
function valueAt(frontend, path) {
  try {
    const field = resolve(frontend.rootGraph(), path);
    return field.widget ? String(ownerOf({ ...field, widget: field.widget }).widget.value ?? "") : "";
  } catch {
    // An invalid path fails when the command is carried out; it has no current value.
    return "";
  }
}
