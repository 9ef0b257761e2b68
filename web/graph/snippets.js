/**
 * Writes what a program needs to set fields as the graph has them: their paths, and lines of Python and for a shell.
 *
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Widget} Widget
 * @typedef {{path: string, value: any}} FieldNow
 */

import { valueOf } from "./diff.js";
import { isField } from "../paths/path_grammar.js";
import { pathOf } from "../paths/paths.js";
import { ownerOf, walk } from "../paths/subgraphs.js";

/**
 * @param {Graph} root
 * @param {GraphNode} node
 * @param {Widget} [only] one widget instead of all
 * @returns {FieldNow[]} the fields of a node with their values, in the order of the node
 */
export function fieldsOf(root, node, only) {
  const place = [...walk(root)].find((known) => known.node === node);
  if (!place) return [];
  const widgets = (node.widgets ?? []).filter((widget) => isField(widget) && (!only || widget === only));
  return widgets.map((widget) => ({
    path: pathOf(root, { kind: "widget", ...place, widget }),
    value: valueOf(ownerOf({ ...place, widget }).widget),
  }));
}

/**
 * @param {string} url of ComfyUI
 * @param {FieldNow[]} fields
 * @returns {string} a program that sets the fields
 */
export function pythonOf(url, fields) {
  const lines = fields.map(({ path, value }) => `        ${JSON.stringify(path)}: ${python(value)},`);
  return [
    "from uiapi import Client",
    "",
    `with Client(${JSON.stringify(url)}) as client:`,
    ...(fields.length === 1 ? [`    client[${JSON.stringify(fields[0].path)}] = ${python(fields[0].value)}`] : ["    client.set({", ...lines, "    })"]),
    "",
  ].join("\n");
}

/**
 * @param {string} url of ComfyUI
 * @param {FieldNow[]} fields
 * @param {boolean} needsToken whether ComfyUI wants a token, which the line takes from the environment
 * @returns {string} a line for a shell that sets the fields
 */
export function curlOf(url, fields, needsToken) {
  const body = JSON.stringify({ fields: fields.map(({ path, value }) => [path, value]) });
  const token = needsToken ? ' -H "Authorization: Bearer $UIAPI_TOKEN"' : "";
  return `curl ${quoted(`${url}/uiapi/set_fields`)}${token} --json ${quoted(body)}\n`;
}

/**
 * @param {string} text
 * @returns {string} for a POSIX shell
 */
function quoted(text) {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;
}

/**
 * @param {any} value of JSON
 * @returns {string} as Python writes it
 */
function python(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, part]) => `${JSON.stringify(key)}: ${python(part)}`).join(", ")}}`;
}
