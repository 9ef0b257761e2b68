/**
 * Finds seed controls, and protects the values that a program has written for the next run from them.
 *
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Widget} Widget
 * @typedef {Map<Widget, {node: GraphNode, value: any}>} WrittenValues values that programs wrote since the last run
 */

import { isControl } from "../paths/path_grammar.js";
import { inputOf, sourceOf } from "../paths/subgraphs.js";

/**
 * Returns the "control after generate" widget that will change a widget.
 *
 * @param {{node: GraphNode, widget: Widget}} owner
 * @returns {Widget | undefined}
 */
export function controlOf({ node, widget }) {
  if (node.subgraph) {
    // 1.58 applies the control of an inner widget to the promoted one, even if a pack has removed it from the inner
    // node; 1.32 applies it to the inner one, which is not used.
    if (!node.inputs?.[inputOf(node, widget)]?.widgetId) return undefined;
    return sourceOf({ node, widget }).widget.linkedWidgets?.find(isControl);
  }
  // A control that a pack has removed from its node is never called.
  const runs = (/** @type {Widget} */ other) => isControl(other) && node.widgets?.includes(other);
  const own = widget.linkedWidgets?.find(runs);
  if (own || node.type !== "PrimitiveNode") return own;
  return node.widgets?.find((other) => other !== widget && isControl(other));
}

/**
 * Forgets values that were replaced since: the person changed them, and controls may change the person's values.
 *
 * @param {WrittenValues} written
 */
export function forgetReplaced(written) {
  for (const [widget, { value }] of written) if (widget.value !== value) written.delete(widget);
}

/**
 * Restores the values that controls have just replaced, if they act before runs: the run after a write uses the
 * written value, and the control acts again from the next one on.
 *
 * @param {{setting: (key: string) => unknown, written: WrittenValues}} page
 */
export function keepWritten({ setting, written }) {
  if (written.size === 0 || setting("Comfy.WidgetControlMode") !== "before") return;
  for (const [widget, { node, value }] of written) {
    if (widget.value === value || !controlOf({ node, widget })) continue;
    widget.value = value;
    widget.callback?.(value);
  }
}
