/**
 * Asking a person where a missing model can be had, and clearing widgets whose model is not there.
 *
 * @typedef {import("./types.js").Graph} Graph
 * @typedef {import("./types.js").GraphNode} GraphNode
 * @typedef {import("./types.js").Widget} Widget
 *
 * @typedef {{name: string, directory?: string | null, used_by?: unknown}} Wanted
 */

import { CommandError } from "./errors.js";
import { pathOf } from "./paths.js";
import { byExecutionId, ownerOf, walk } from "./subgraphs.js";
import { write } from "./widgets.js";

// What model hosts are addressed by: https, hf://, an AIR, or a repository and its file.
const ADDRESS = /^(https?:\/\/\S+|hf:\/\/\S+|(urn:)?air:\S+|[\w.-]+\/[\w.-]+\/\S+)$/i;
const NAME_SHOWN = 80;

/**
 * Ask for the addresses of models, one after the other.
 *
 * @param {import("./dialogs.js").Dialogs} dialogs
 * @param {Wanted[]} models
 * @param {AbortSignal} signal
 * @returns {Promise<Record<string, string>>} by name; a model that the person skipped is not in it
 * @throws {CommandError} declined when they skipped all
 */
export async function askAddresses(dialogs, models, signal) {
  /** @type {Record<string, string>} */
  const urls = {};
  for (const [index, model] of models.entries()) {
    const place = models.length > 1 ? ` (${index + 1} of ${models.length})` : "";
    const url = await askAddress(dialogs, model, place, signal);
    if (url !== null) urls[model.name] = url;
    if (signal.aborted) break;
  }
  if (Object.keys(urls).length === 0) {
    throw new CommandError("declined", "The person at the browser gave no address.", {
      ckpt_names: models.map(({ name }) => name),
    });
  }
  return urls;
}

/**
 * @param {import("./dialogs.js").Dialogs} dialogs
 * @param {Wanted} model
 * @param {string} place
 * @param {AbortSignal} signal
 * @returns {Promise<string | null>}
 */
async function askAddress(dialogs, { name, directory }, place, signal) {
  // 1.32 has room for one short line above the box; the title may be longer.
  const message = directory ? `Address for models/${directory}` : "Address";
  const model = name.length > NAME_SHOWN ? `…${name.slice(-NAME_SHOWN)}` : name;
  let title = `Where can ${model} be downloaded?${place}`;
  let defaultValue = "";
  for (;;) {
    const answer = (await dialogs.prompt({ title, message, defaultValue }, signal))?.trim();
    if (!answer || signal.aborted) return null;
    if (ADDRESS.test(answer)) return answer;
    title = `Give an address that begins with https:// for ${model}${place}`;
    defaultValue = answer;
  }
}

/**
 * Clear the widgets that still hold a model that is not there, as one undo step.
 *
 * @param {import("./widgets.js").Page} page
 * @param {{node: string, widget: string, value: any}[]} missing
 * @returns {string[]} the paths of the widgets that were cleared
 */
export function clearModels(page, missing) {
  const root = page.rootGraph();
  const cleared = new Map();
  for (const { node: id, widget: name, value } of missing) {
    const place = byExecutionId(root, String(id));
    const widget = place?.node.widgets?.find((candidate) => candidate.name === name);
    if (!place || !widget) continue;
    const owner = ownerOf({ ...place, widget });
    if (owner.widget.value !== value) continue;
    cleared.set(owner.widget, { path: pathOf(root, { kind: "widget", ...place, widget }), value: "", adds: false, owner });
  }
  const plans = [...cleared.values()];
  write(page, plans);
  return plans.map(({ path }) => path);
}

/**
 * The models folder that the workflow itself names for a file, or null.
 *
 * @param {Graph} root
 * @param {string} name
 * @returns {string | null}
 */
export function directoryOf(root, name) {
  for (const { node } of walk(root)) {
    const models = node.properties?.models;
    const known = Array.isArray(models) ? models.find((model) => model?.name === name) : undefined;
    if (typeof known?.directory === "string") return known.directory;
  }
  return null;
}
