/**
 * Removes nodes whose type is not installed from exported prompts, if no output needs them. They have no class, so
 * ComfyUI would refuse the whole prompt.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 * @typedef {import("../common/types.js").ApiWorkflow} ApiWorkflow
 */

import { CommandError } from "../common/errors.js";
import { byExecutionId } from "../paths/subgraphs.js";

/**
 * Removes the nodes without a class from a prompt if no output needs them.
 *
 * @param {Frontend} frontend
 * @param {ApiWorkflow} output the prompt to be submitted; changed in place
 * @returns {string[]} warnings
 * @throws {CommandError} execution_failed, with the name of a needed node
 */
export function leaveOut(frontend, output) {
  const untyped = Object.keys(output).filter((id) => typeof output[id].class_type !== "string");
  if (untyped.length === 0) return [];
  const needed = neededIn(frontend, output);
  const [first] = untyped.filter((id) => needed.has(id));
  if (first !== undefined) {
    const sentence = `The run needs ${named(frontend, output, first)}, whose type is not installed; install it, or remove or bypass the node.`;
    throw new CommandError("execution_failed", sentence, { node_errors: {}, nodes: untyped.filter((id) => needed.has(id)) });
  }
  const names = untyped.map((id) => named(frontend, output, id)).join(", ");
  for (const id of untyped) delete output[id];
  return [`Left out of the run, since the type is not installed and no output needs it: ${names}.`];
}

/**
 * @param {Frontend} frontend
 * @param {ApiWorkflow} output
 * @returns {Set<string>} the nodes that output nodes depend on, directly or indirectly
 */
function neededIn(frontend, output) {
  const types = frontend.litegraph().registered_node_types;
  const isOutput = (/** @type {string} */ id) => types[output[id].class_type ?? ""]?.nodeData?.output_node === true;
  const needed = new Set(Object.keys(output).filter(isOutput));
  // The loop also visits nodes that it adds.
  for (const id of needed) {
    for (const value of Object.values(output[id].inputs ?? {})) {
      if (Array.isArray(value) && value.length === 2 && Object.hasOwn(output, value[0])) needed.add(String(value[0]));
    }
  }
  return needed;
}

/**
 * @param {Frontend} frontend
 * @param {ApiWorkflow} output
 * @param {string} id
 */
function named(frontend, output, id) {
  const node = byExecutionId(frontend.rootGraph(), id)?.node;
  const title = output[id]._meta?.title || node?.title;
  return `node #${id}${title ? ` ${JSON.stringify(title)}` : ""}${node?.type ? ` (${node.type})` : ""}`;
}
