/**
 * Finds the widgets that name models, clears those whose model is missing, relinks those whose model has another path,
 * and notes where models can be downloaded.
 *
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Widget} Widget
 */

import { nodePath, pathOf, resolve } from "../paths/paths.js";
import { byExecutionId, ownerOf, walk } from "../paths/subgraphs.js";
import { choices } from "./widget_values.js";
import { missingType, write } from "./widgets.js";

/**
 * Clears the widgets that still name a missing model, as one undo step.
 *
 * @param {import("./widgets.js").Page} page
 * @param {{node: string, widget: string, value: any}[]} missing
 * @returns {string[]} the paths of the cleared widgets
 */
export function clearModels(page, missing) {
  const root = page.rootGraph();
  const cleared = new Map();
  for (const { node: id, widget: name, value } of missing) {
    const found = holder(root, id, name, value);
    // The page saves a node of an unknown type unchanged, whatever its widgets hold.
    if (!found || missingType(page, found.owner.node) !== null) continue;
    cleared.set(found.owner.widget, { ...found, value: "", adds: false });
  }
  const plans = [...cleared.values()];
  write(page, plans);
  return plans.map(({ path }) => path);
}

/**
 * @typedef {object} Link A widget whose model has another name among its choices.
 * @property {string} node execution id of its node
 * @property {string} widget
 * @property {string} value its current value
 * @property {string} listed the matching choice
 * @property {string} reason
 */

/**
 * @param {import("./widgets.js").Page} page
 * @param {Link[]} links
 * @returns {boolean} whether a widget does not offer its new name yet, as when the file was moved after the page was loaded
 */
export function lacksChoices(page, links) {
  const root = page.rootGraph();
  return links.some(({ node, widget, value, listed }) => {
    const owner = holder(root, node, widget, value)?.owner;
    const offered = owner && choices(owner.node, owner.widget);
    return offered ? !offered.includes(listed) : false;
  });
}

/**
 * Sets widgets to the model names that they offer, as one undo step.
 *
 * @param {import("./widgets.js").Page} page
 * @param {Link[]} links
 * @param {boolean} dryRun whether to only report the changes
 * @returns {{dry_run: boolean, relinked: {path: string, previous: any, value: any, reason: string}[]}} the
 *   widgets that still had the old name, with their new values
 * @throws {import("../common/errors.js").CommandError} tab_failed when a widget's callback throws; everything is restored then
 */
export function relinkModels(page, links, dryRun) {
  const root = page.rootGraph();
  const plans = new Map();
  for (const { node, widget, value, listed, reason } of links) {
    const found = holder(root, node, widget, value);
    if (found) plans.set(found.owner.widget, { ...found, value: listed, adds: false, previous: value, reason, at: { node, widget } });
  }
  if (!dryRun) write(page, [...plans.values()]);
  const relinked = [...plans.values()].map(({ path, previous, value, reason, at }) => ({
    path,
    previous,
    // A callback may have set another value, or created the widget anew.
    value: dryRun ? value : (ownerAt(root, at.node, at.widget)?.owner.widget.value ?? null),
    reason,
  }));
  return { dry_run: dryRun, relinked };
}

/**
 * @typedef {object} Described A model and where it can be downloaded.
 * @property {string} name as the widgets have it
 * @property {string} url
 * @property {string | null} directory
 * @property {string | null} sha256
 * @property {string[]} [nodes] execution ids of the nodes that use it; all that name it if left out
 */

/**
 * Saves in the nodes that use models where those can be downloaded (`properties.models`), as one undo step.
 *
 * @param {import("./widgets.js").Page} page
 * @param {Described[]} models
 * @returns {string[]} the paths of the changed nodes
 */
export function describeModels(page, models) {
  const root = page.rootGraph();
  /** @type {Map<GraphNode, {path: string, records: any[]}>} */
  const changes = new Map();
  for (const { name, url, directory, sha256, nodes } of models) {
    const record = { name, url, ...(directory ? { directory } : {}), ...(sha256 ? { hash: sha256, hash_type: "SHA256" } : {}) };
    const places = nodes ? nodes.map((id) => byExecutionId(root, id)) : [...walk(root)];
    for (const place of places) {
      if (!place || !names(place, name)) continue;
      const before = changes.get(place.node)?.records ?? place.node.properties?.models;
      const others = (Array.isArray(before) ? before : []).filter((other) => other?.name !== name);
      changes.set(place.node, { path: nodePath(root, place), records: [...others, record] });
    }
  }
  if (changes.size > 0) {
    page.undoStep(() => {
      for (const [node, { records }] of changes) node.properties = { ...node.properties, models: records };
    });
  }
  return [...changes.values()].map(({ path }) => path);
}

/**
 * @param {{model: {name: string, nodes?: string[]}, url: string, directory: string | null, sha256: string | null}[]} chosen
 * @returns {Described[]} the models that were chosen in the dialog, as far as they have a URL
 */
export const describedBy = (chosen) =>
  chosen
    .filter(({ url }) => url)
    .map(({ model: { name, nodes }, url, directory, sha256 }) => ({ name, nodes, url, directory, sha256 }));

/**
 * @param {{node: GraphNode, hosts: GraphNode[]}} place
 * @param {string} name
 * @returns {boolean} whether a widget of the node has this value
 */
const names = (place, name) =>
  (place.node.widgets ?? []).some((widget) => ownerOf(/** @type {any} */ ({ ...place, widget })).widget.value === name);

/**
 * @param {Graph} root
 * @param {string} id
 * @param {string} name
 * @param {any} value
 * @returns {{path: string, owner: import("../common/types.js").Owner} | null} the owner of the widget if it still has this value
 */
function holder(root, id, name, value) {
  const found = ownerAt(root, id, name);
  if (!found || found.owner.widget.value !== value) return null;
  return { path: pathOf(root, { kind: "widget", ...found.place, widget: found.widget }), owner: found.owner };
}

/**
 * @param {Graph} root
 * @param {string} id
 * @param {string} name
 */
function ownerAt(root, id, name) {
  const place = byExecutionId(root, String(id));
  const widget = place?.node.widgets?.find((candidate) => candidate.name === name);
  return place && widget ? { place, widget, owner: ownerOf({ ...place, widget }) } : null;
}

/**
 * @param {Graph} root
 * @param {{path: string}[] | undefined} uses of a model by node id, as the server sends them
 * @returns {{path: string}[]} the same by node path
 */
export function namedUses(root, uses = []) {
  return uses.map(({ path }) => {
    try {
      return { path: pathOf(root, resolve(root, path)) };
    } catch {
      // A node that was removed meanwhile keeps its id.
      return { path };
    }
  });
}

/**
 * Returns the model directory that the workflow itself names for a file, or null.
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
 * @returns {{path: string}[]} the widgets that name this model
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
