/**
 * The models that the graph names: where it uses one, the folder it says, and clearing widgets whose model is not there.
 *
 * @typedef {import("./types.js").Graph} Graph
 * @typedef {import("./types.js").GraphNode} GraphNode
 * @typedef {import("./types.js").Widget} Widget
 */

import { pathOf, resolve } from "./paths.js";
import { byExecutionId, ownerOf, walk } from "./subgraphs.js";
import { write } from "./widgets.js";

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
 * @param {Graph} root
 * @param {{path: string}[] | undefined} uses of a model, as the server tells them: by the ids of nodes
 * @returns {{path: string}[]} the same by the nodes' names
 */
export function namedUses(root, uses = []) {
  return uses.map(({ path }) => {
    try {
      return { path: pathOf(root, resolve(root, path)) };
    } catch {
      // A node that is gone by now is still told by its id.
      return { path };
    }
  });
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

/**
 * @param {Graph} root
 * @param {string} name
 * @returns {{path: string}[]} the widgets that hold a model of this name
 */
export function usesOf(root, name) {
  const uses = [];
  for (const place of walk(root)) {
    for (const widget of place.node.widgets ?? []) {
      if (widget.value === name) uses.push({ path: pathOf(root, { kind: "widget", ...place, widget }) });
    }
  }
  return uses;
}
