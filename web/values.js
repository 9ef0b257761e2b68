/**
 * Which values a widget takes: by its kind, its range and its choices.
 *
 * @typedef {import("./types.js").GraphNode} GraphNode
 * @typedef {import("./types.js").Widget} Widget
 */

import { CommandError } from "./errors.js";
import { sourceOf } from "./subgraphs.js";

const NUMBERS = new Set(["number", "slider", "knob", "gradientslider"]);
const TEXTS = new Set(["text", "string", "customtext", "textarea", "markdown", "asset"]);
const OPTIONS_SHOWN = 20;

/**
 * The value to write for a requested one: the same, or for numbers the nearest the widget allows.
 *
 * @param {string} path how the caller named the widget, for the sentence
 * @param {{node: GraphNode, widget: Widget}} owner
 * @param {any} requested decoded JSON
 * @returns {{value: any, adds: boolean}} `adds`: a file's name that has to join the choices first
 * @throws {CommandError} invalid
 */
export function accepted(path, owner, requested) {
  const { widget } = owner;
  const wanted = kindOf(widget);
  if (wanted === "button") {
    throw new CommandError("invalid", `${path} is a button and holds no value; set another field.`, { path });
  }
  if (wanted === "choice") return chosen(path, owner, requested);
  if (wanted !== "any" && typeof requested !== wanted) {
    throw new CommandError("invalid", `${path} takes a ${wanted}, not ${named(requested)}.`, {
      path,
      expected: wanted,
      value: requested,
    });
  }
  return { value: wanted === "number" ? within(widget, requested) : requested, adds: false };
}

/**
 * @param {Widget} widget
 * @returns {"number" | "string" | "boolean" | "choice" | "button" | "any"}
 */
export function kindOf({ type, value }) {
  const name = String(type).toLowerCase();
  if (NUMBERS.has(name)) return "number";
  if (TEXTS.has(name)) return "string";
  if (name === "toggle") return "boolean";
  if (name === "combo") return "choice";
  if (name === "button") return "button";
  const now = typeof value;
  return now === "number" || now === "string" || now === "boolean" ? now : "any";
}

/**
 * A combo's choices, or undefined where it does not tell (a list that comes from a server later).
 *
 * @param {GraphNode} node
 * @param {Widget} widget
 * @returns {any[] | undefined}
 */
export function choices(node, widget) {
  let values = widget.options?.values;
  if (typeof values === "function") values = values(widget, node);
  if (Array.isArray(values)) return values;
  return values && typeof values === "object" ? Object.keys(values) : undefined;
}

/**
 * @param {string} path
 * @param {{node: GraphNode, widget: Widget}} owner
 * @param {any} requested
 * @returns {{value: any, adds: boolean}}
 */
function chosen(path, owner, requested) {
  const list = choices(owner.node, owner.widget);
  if (!list || list.includes(requested)) return { value: requested, adds: false };
  if (typeof requested === "string" && requested !== "" && takesUploads(owner)) return { value: requested, adds: true };
  const some = list.slice(0, OPTIONS_SHOWN);
  const offered = some.slice(0, 5).map((option) => JSON.stringify(option)).join(", ");
  const hint = list.length === 0 ? "it has no choices" : `it offers ${offered}${list.length > 5 ? ", …" : ""}`;
  throw new CommandError("invalid", `${path} does not offer ${named(requested)}; ${hint}.`, {
    path,
    value: requested,
    options: some,
    options_total: list.length,
  });
}

/**
 * Whether a combo lists uploaded files: then a name the server stored a moment ago is not among its choices yet.
 *
 * @param {{node: GraphNode, widget: Widget}} owner
 * @returns {boolean}
 */
function takesUploads(owner) {
  const { node, widget } = sourceOf(owner);
  /** @type {any} */
  const definition = node.constructor;
  const inputs = definition?.nodeData?.input;
  const spec = inputs?.required?.[widget.name] ?? inputs?.optional?.[widget.name];
  return Object.entries(spec?.[1] ?? {}).some(([option, set]) => set === true && option.endsWith("_upload"));
}

/**
 * @param {Widget} widget
 * @param {number} value
 * @returns {number}
 */
function within({ options }, value) {
  const { min, max } = options ?? {};
  if (typeof min === "number" && value < min) return min;
  if (typeof max === "number" && value > max) return max;
  return value;
}

/**
 * @param {any} value
 * @returns {string}
 */
function named(value) {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
