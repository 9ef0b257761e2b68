/** Graphs of plain objects with the properties of LiteGraph that the extension uses. */

let lastId = 0;

/** A node; widgets as {name: value}. */
export function node(title, type, widgets = {}, more = {}) {
  return {
    id: ++lastId,
    title,
    type,
    widgets: Object.entries(widgets).map(([name, value]) => ({ name, value, type: typeof value })),
    inputs: [],
    outputs: [],
    properties: {},
    ...more,
  };
}

/** A graph of these nodes. */
export function graph(...nodes) {
  const whole = { nodes, links: new Map() };
  for (const each of nodes) each.graph = whole;
  return whole;
}

/** A subgraph node of these nodes; promotes each `[outer name, inner node, inner widget]`. */
export function host(title, nodes, promoted = [], more = {}) {
  const inner = Object.assign(graph(...nodes), { inputNode: { id: -10, slots: [] } });
  const outer = node(title, "uuid", {}, { subgraph: inner, ...more });
  promoted.forEach(([name, target, widget], slot) => {
    let input = target.inputs.findIndex((one) => one.name === widget);
    if (input < 0) input = target.inputs.push({ name: widget, type: "INT", widget: { name: widget } }) - 1;
    const link = { id: slot + 1, origin_id: -10, origin_slot: slot, target_id: target.id, target_slot: input };
    inner.links.set(link.id, link);
    inner.inputNode.slots.push({ name, type: "INT" });
    outer.inputs.push({ name, type: "INT", widget: { name } });
    outer.widgets.push({ name, value: target.widgets.find((one) => one.name === widget).value, type: "number" });
  });
  return outer;
}
