/**
 * Walks nested subgraphs, translates execution ids such as "12:3", and finds the owners of promoted widgets.
 *
 * A node inside a subgraph is identified by the chain of subgraph nodes that leads to it, since a workflow may contain
 * one subgraph several times.
 *
 * @typedef {import("../common/types.js").Field} Field
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Link} Link
 * @typedef {import("../common/types.js").Owner} Owner
 * @typedef {import("../common/types.js").Slot} Slot
 * @typedef {import("../common/types.js").Widget} Widget
 */

/**
 * Yields every node of a graph with the subgraph nodes that lead to it, outer nodes before inner ones.
 *
 * @param {Graph} graph
 * @param {GraphNode[]} [hosts]
 * @returns {Generator<{node: GraphNode, hosts: GraphNode[]}>}
 */
export function* walk(graph, hosts = []) {
  for (const node of graph.nodes) {
    yield { node, hosts };
    if (node.subgraph) yield* walk(node.subgraph, [...hosts, node]);
  }
}

/**
 * Returns the id of a node in ComfyUI's runs: "12:3" is node 3 inside subgraph node 12.
 *
 * @param {{node: GraphNode, hosts: GraphNode[]}} place
 * @returns {string}
 */
export function executionId({ node, hosts }) {
  return hosts.length === 0 ? String(node.id) : [...hosts, node].map((step) => step.id).join(":");
}

/**
 * Returns the node of an execution id, or undefined. The id of a node may itself contain colons, as in API files.
 *
 * @param {Graph} graph
 * @param {string} id
 * @param {GraphNode[]} [hosts]
 * @returns {{node: GraphNode, hosts: GraphNode[]} | undefined}
 */
export function byExecutionId(graph, id, hosts = []) {
  for (const node of graph.nodes) {
    const own = String(node.id);
    if (own === id) return { node, hosts };
    if (node.subgraph && id.startsWith(`${own}:`)) {
      const inner = byExecutionId(node.subgraph, id.slice(own.length + 1), [...hosts, node]);
      if (inner) return inner;
    }
  }
  return undefined;
}

/**
 * Returns the link into an input of a node. It is read from the graph's links, since `getInputLink` of a subgraph node
 * returns a link inside the subgraph, and `input.link` is deprecated in 1.58.
 *
 * @param {GraphNode} node
 * @param {number} slot
 * @returns {Link | undefined}
 */
export function linkInto(node, slot) {
  const id = String(node.id);
  for (const link of node.graph?.links?.values() ?? []) {
    if (link.target_slot === slot && String(link.target_id) === id) return link;
  }
  return undefined;
}

/**
 * Returns the links from an output of a node.
 *
 * @param {GraphNode} node
 * @param {number} slot
 * @returns {Link[]}
 */
export function linksOutOf(node, slot) {
  const id = String(node.id);
  return [...(node.graph?.links?.values() ?? [])].filter(
    (link) => link.origin_slot === slot && String(link.origin_id) === id,
  );
}

/**
 * Returns the index of the input that can replace a widget, or -1.
 *
 * @param {GraphNode} node
 * @param {Widget} widget
 * @returns {number}
 */
export function inputOf(node, widget) {
  return node.inputs?.findIndex((input) => input.widget?.name === widget.name) ?? -1;
}

/**
 * Returns the widget that stores the value of a field.
 *
 * A promoted widget inside a subgraph is fed by the widget of the subgraph node: writing the inner one would not change
 * a run. Conversely, 1.32 also shows inner widgets on the subgraph node that have no value of their own.
 *
 * @param {{node: GraphNode, hosts: GraphNode[], widget: Widget}} field
 * @returns {Owner}
 */
export function ownerOf(field) {
  let { node, hosts, widget } = shown(field);
  while (hosts.length > 0) {
    const host = hosts[hosts.length - 1];
    const slot = inputOf(node, widget);
    const link = slot < 0 ? undefined : linkInto(node, slot);
    const inputNode = host.subgraph?.inputNode;
    if (!link || !inputNode || String(link.origin_id) !== String(inputNode.id)) break;
    const name = inputNode.slots[link.origin_slot]?.name;
    const outer = host.widgets?.find((candidate) => candidate.name === name);
    if (!outer) break;
    ({ node, hosts, widget } = { node: host, hosts: hosts.slice(0, -1), widget: outer });
  }
  return { node, hosts, widget };
}

/**
 * Returns the widget of the node class behind a promoted one, however deep; a plain widget is its own source.
 *
 * @param {{node: GraphNode, widget: Widget}} owner
 * @returns {{node: GraphNode, widget: Widget}}
 */
export function sourceOf({ node, widget }) {
  const subgraph = node.subgraph;
  if (!subgraph) return { node, widget };
  const index = subgraph.inputNode.slots.findIndex((slot) => slot.name === widget.name);
  const inputId = String(subgraph.inputNode.id);
  for (const link of subgraph.links?.values() ?? []) {
    if (link.origin_slot !== index || String(link.origin_id) !== inputId) continue;
    const target = subgraph.nodes.find((inner) => String(inner.id) === String(link.target_id));
    const name = target?.inputs?.[link.target_slot]?.widget?.name;
    const inner = target?.widgets?.find((candidate) => candidate.name === name);
    if (target && inner) return sourceOf({ node: target, widget: inner });
  }
  return { node, widget };
}

/**
 * Keeps the value of a promoted widget through the next load. If 1.58 could not place a promotion that 1.32 had saved,
 * it remembers the value of that time, and prefers it to the saved one whenever it loads the graph, also for Undo.
 *
 * @param {GraphNode} node
 * @param {Widget} widget
 * @param {any} value
 */
export function keepPromoted({ properties }, widget, value) {
  const kept = properties?.proxyWidgetErrorQuarantine;
  if (!properties || !Array.isArray(kept)) return;
  const isOf = (/** @type {any} */ { originalEntry }) => originalEntry?.[0] === "-1" && originalEntry[1] === widget.name;
  // A new list, since the old one may be kept for a rollback.
  if (kept.some(isOf)) properties.proxyWidgetErrorQuarantine = kept.map((one) => (isOf(one) ? { ...one, hostValue: value } : one));
}

/**
 * Follows a widget that only shows another node's widget (1.32) to that one.
 *
 * @param {{node: GraphNode, hosts: GraphNode[], widget: Widget}} field
 * @returns {Owner}
 */
function shown({ node, hosts, widget }) {
  const overlay = widget._overlay;
  if (!overlay || !node.subgraph) return { node, hosts, widget };
  const inner = byExecutionId(node.subgraph, String(overlay.nodeId), [...hosts, node]);
  const target = inner?.node.widgets?.find((candidate) => candidate.name === overlay.widgetName);
  return inner && target ? shown({ ...inner, widget: target }) : { node, hosts, widget };
}
