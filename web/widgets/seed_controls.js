/**
 * Seed controls: which one changes a widget, and keeping them from what a program has written for the next run.
 *
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Widget} Widget
 * @typedef {Map<Widget, {node: GraphNode, value: any}>} WrittenValues what programs wrote since the last run
 */

import { isControl } from "../paths/path_grammar.js";
import { inputOf, sourceOf } from "../paths/subgraphs.js";

/**
 * The "control after generate" that will change a widget.
 *
 * @param {{node: GraphNode, widget: Widget}} owner
 * @returns {Widget | undefined}
 */
export function controlOf({ node, widget }) {
  if (node.subgraph) {
    // 1.58 runs an inner widget's control on the promoted one, also where a pack has removed it from the inner node;
    // 1.32 runs it on the inner one, which is not used.
    if (!node.inputs?.[inputOf(node, widget)]?.widgetId) return undefined;
    return sourceOf({ node, widget }).widget.linkedWidgets?.find(isControl);
  }
  // One that a pack has removed from its node is never called.
  const runs = (/** @type {Widget} */ other) => isControl(other) && node.widgets?.includes(other);
  const own = widget.linkedWidgets?.find(runs);
  if (own || node.type !== "PrimitiveNode") return own;
  return node.widgets?.find((other) => other !== widget && isControl(other));
}

/**
 * Drop what has been replaced since it was written: it was the person, whose value the controls may change.
 *
 * @param {WrittenValues} written
 */
export function forgetReplaced(written) {
  for (const [widget, { value }] of written) if (widget.value !== value) written.delete(widget);
}

/**
 * Put back what a control has replaced right before a run, where it acts before runs and not after them: the run that
 * follows a write is made with what was written, and the one after it as usual.
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
