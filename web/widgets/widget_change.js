/**
 * Changes a widget as LiteGraph does for a person.
 *
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Widget} Widget
 *
 * @typedef {object} Changing The parts of the page that a change needs.
 * @property {() => any} canvas
 * @property {import("./seed_controls.js").WrittenValues} [written]
 * @property {boolean} [isTrial] whether the change is undone before the page is drawn, so that the page need not compute
 *   again what depends on the graph, such as its menus
 */

import { isObject } from "../common/compare.js";
import { keepPromoted } from "../paths/subgraphs.js";

/**
 * Sets a widget as LiteGraph does when a person changes it. The callback is called for an unchanged value too: an image
 * that was overwritten under the same name has to be loaded again.
 *
 * @param {Changing} page
 * @param {GraphNode} node
 * @param {Widget} widget
 * @param {any} value
 */
export function change(page, node, widget, value) {
  const canvas = page.canvas();
  const previous = widget.value;
  const before = [...(node.widgets ?? [])];
  // A switch that acts on other nodes; its value only reflects their state.
  if (isObject(value) && typeof value.toggled === "boolean") /** @type {any} */ (widget).toggle?.(value.toggled);
  widget.value = value;
  if (node.subgraph) keepPromoted(node, widget, value);
  const property = widget.options?.property;
  if (property && node.properties?.[property] !== undefined) node.setProperty?.(property, value);
  widget.callback?.(widget.value, canvas, node, canvas?.graph_mouse);
  node.onWidgetChanged?.(widget.name, value, previous, widget);
  page.written?.set(widget, { node, value: widget.value });
  const { widgets = [] } = node;
  if (page.isTrial && widgets.length === before.length && widgets.every((one, at) => one === before[at])) return;
  const graph = node.graph;
  if (graph?.incrementVersion) graph.incrementVersion();
  else if (graph?._version !== undefined) graph._version++;
}
