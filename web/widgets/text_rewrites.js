/**
 * Predicts how the page rewrites a text when it exports it for a run: choices in braces and comments in prompts, and
 * placeholders in file names.
 *
 * The page does so in a widget's `serializeValue`, which extensions may replace, so it is only called if that is known
 * to be safe.
 *
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Owner} Owner
 * @typedef {import("../common/types.js").Widget} Widget
 */

import { linksOutOf } from "../paths/subgraphs.js";

const COMMENTS = /\/\*[\s\S]*?\*\/|\/\/.*/g;
// A date, or a widget of another node; the server replaces others, such as %batch_num%.
const PLACEHOLDER = /%(date:[^%]*|[^%.]+\.[^%.]+)%/;
const LETTERS_SHOWN = 200;
// Levels of nested braces; the page itself fails at some thousands.
const DEEPEST = 50;

/**
 * @param {Owner} owner
 * @returns {string | null} a warning if a run uses another text than the widget holds
 */
export function rewriteWarning({ node, widget }) {
  const text = widget.value;
  // A promoted value is exported unchanged.
  if (typeof text !== "string" || node.subgraph) return null;
  const senders = node.type === "PrimitiveNode" ? fed(node) : [{ node, widget }];
  for (const sender of senders) {
    const warning = isDynamic(sender.widget) ? ofPrompt(text) : ofName(sender, text);
    if (warning) return warning;
  }
  return null;
}

/**
 * @param {GraphNode} node one of the page's own nodes, which passes its value to the widgets that it is linked to
 * @returns {{node: GraphNode, widget: Widget}[]}
 */
function fed(node) {
  return linksOutOf(node, 0).flatMap((link) => {
    const target = node.graph?.nodes.find(({ id }) => String(id) === String(link.target_id));
    const name = target?.inputs?.[link.target_slot]?.widget?.name;
    const widget = target?.widgets?.find((candidate) => candidate.name === name);
    return target && widget ? [{ node: target, widget }] : [];
  });
}

/**
 * Whether the page expands a widget's text as a dynamic prompt. That is set up when the node is created, so it does not
 * apply to widgets that were added later.
 *
 * @param {Widget} widget
 */
function isDynamic(widget) {
  return Boolean(widget.dynamicPrompts) && Object.hasOwn(widget, "serializeValue");
}

/**
 * @param {string} text
 * @returns {string | null}
 */
function ofPrompt(text) {
  const { result, drawn, commented } = expanded(text);
  if (drawn) {
    const also = commented ? " and removes the comments (//… and /*…*/)" : "";
    return `At each run the page replaces {…|…} in this text by one of its choices, drawn at random${also}; write \\{ and \\} for braces that stay.`;
  }
  if (result === text) return null;
  const why = commented ? "the page removes comments (//… and /*…*/)" : "the page reads { } | and \\ as dynamic prompts";
  return `A run uses ${quoted(result)} instead: ${why}.`;
}

/**
 * Expands a dynamic prompt as the page does.
 *
 * @param {string} text
 * @param {number} [depth]
 * @returns {{result: string, drawn: boolean, commented: boolean}} `drawn`: the result was chosen at random
 */
export function expanded(text, depth = 0) {
  const source = text.replace(COMMENTS, "");
  const commented = source !== text;
  if (depth > DEEPEST) return { result: source, drawn: true, commented };
  let result = "";
  let drawn = false;
  let at = 0;
  while (at < source.length) {
    const letter = source[at++];
    // At the end of a text this is "\\undefined", as in the page.
    if (letter === "\\") result += `\\${source[at++]}`;
    else if (letter === "{") {
      const { choices, end } = choicesAt(source, at);
      const made = choices.map((choice) => expanded(choice, depth + 1));
      drawn ||= made.some((one) => one.drawn || one.result !== made[0].result);
      result += made[0].result;
      at = end;
    } else result += letter;
  }
  return { result: result.replace(/\\([{}|])/g, "$1"), drawn, commented };
}

/**
 * @param {string} source
 * @param {number} start after an opening brace
 * @returns {{choices: string[], end: number}} `end` is after the closing one, or at the end of the text
 */
function choicesAt(source, start) {
  const choices = [];
  let choice = "";
  let depth = 0;
  let at = start;
  for (; at < source.length; at++) {
    const letter = source[at];
    if (letter === "}" && depth === 0) break;
    if (letter === "|" && depth === 0) {
      choices.push(choice);
      choice = "";
      continue;
    }
    if (letter === "{") depth++;
    if (letter === "}") depth--;
    choice += letter === "\\" ? `\\${source[++at]}` : letter;
  }
  choices.push(choice);
  return { choices, end: at + 1 };
}

/**
 * @param {{node: GraphNode, widget: Widget}} sender
 * @param {string} text
 * @returns {string | null}
 */
function ofName({ node, widget }, text) {
  if (widget.name !== "filename_prefix" || !Object.hasOwn(widget, "serializeValue") || !PLACEHOLDER.test(text)) return null;
  let result;
  try {
    result = widget.serializeValue?.(node, node.widgets?.indexOf(widget) ?? 0);
  } catch {
    // The result is unknown; the export reports the error.
    return null;
  }
  if (typeof result !== "string" || result === text) return null;
  return `The page fills in the placeholders of this name at each run; now it would be ${quoted(result)}.`;
}

/** @param {string} text */
function quoted(text) {
  return JSON.stringify(text.length > LETTERS_SHOWN ? `${text.slice(0, LETTERS_SHOWN)}…` : text);
}
