/**
 * Changing one widget the way LiteGraph does it for a person.
 *
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Widget} Widget
 */

import { isObject } from "../common/compare.js";
import { keepPromoted } from "../paths/subgraphs.js";

/**
 * What LiteGraph does when a person changes a widget. The callback is called for an unchanged value too: an image
 * that was written over under its old name has to be shown anew.
 *
 * @param {{canvas: () => any, written?: import("./seed_controls.js").WrittenValues}} page
 * @param {GraphNode} node
 * @param {Widget} widget
 * @param {any} value
 */
export function change(page, node, widget, value) {
  const canvas = page.canvas();
  const previous = widget.value;
  // A switch that acts on other nodes by itself: what it holds is only what it shows of them.
  if (isObject(value) && typeof value.toggled === "boolean") /** @type {any} */ (widget).toggle?.(value.toggled);
  widget.value = value;
  if (node.subgraph) keepPromoted(node, widget, value);
  const property = widget.options?.property;
  if (property && node.properties?.[property] !== undefined) node.setProperty?.(property, value);
  widget.callback?.(widget.value, canvas, node, canvas?.graph_mouse);
  node.onWidgetChanged?.(widget.name, value, previous, widget);
  page.written?.set(widget, { node, value: widget.value });
  const graph = node.graph;
  if (graph?.incrementVersion) graph.incrementVersion();
  else if (graph?._version !== undefined) graph._version++;
}
