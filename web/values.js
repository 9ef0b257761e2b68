/**
 * Which values a widget takes: by its kind, its range and its choices.
 *
 * @typedef {import("./types.js").GraphNode} GraphNode
 * @typedef {import("./types.js").Widget} Widget
 */

import { CommandError } from "./errors.js";
import { Offered } from "./offered.js";
import { cut, named } from "./shown.js";
import { sourceOf } from "./subgraphs.js";

const NUMBERS = new Set(["number", "slider", "knob", "gradientslider"]);
const TEXTS = new Set(["text", "string", "customtext", "textarea", "markdown", "asset"]);
const OPTIONS_SHOWN = 20;
// Bytes of a file's name at the most; no choice that a combo does not list is longer.
const NAME_BYTES = 255;

/**
 * The value to write for a requested one: the same, or for numbers the nearest the widget allows.
 *
 * @param {string} path how the caller named the widget, for the sentence
 * @param {{node: GraphNode, widget: Widget}} owner
 * @param {any} sent decoded JSON, or a text that is also a picture
 * @returns {{requested?: any, value: any, adds: boolean}} `requested`: which of both it was taken for; `adds`: a file's
 *   name that has to join the choices first
 * @throws {CommandError} invalid
 */
export function accepted(path, owner, sent) {
  if (!(sent instanceof Offered)) return checked(path, owner, sent);
  const requested = takesUploads(owner) ? sent.name : sent.text;
  return { requested, ...checked(path, owner, requested) };
}

/**
 * @param {string} path
 * @param {{node: GraphNode, widget: Widget}} owner
 * @param {any} requested
 * @returns {{value: any, adds: boolean}}
 */
function checked(path, owner, requested) {
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
      value: cut(requested),
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
  if (list?.includes(requested)) return { value: requested, adds: false };
  const long = typeof requested === "string" && isLong(requested);
  if (long && (!list || takesUploads(owner))) throw tooLong(path, owner, requested);
  if (!list) return { value: requested, adds: false };
  if (typeof requested === "string" && requested !== "" && takesUploads(owner)) return { value: requested, adds: true };
  const some = list.slice(0, OPTIONS_SHOWN);
  const offered = some.slice(0, 5).map(named).join(", ");
  const hint = list.length === 0 ? "it has no choices" : `it offers ${offered}${list.length > 5 ? ", …" : ""}`;
  throw new CommandError("invalid", `${path} does not offer ${named(requested)}; ${hint}.`, {
    path,
    value: cut(requested),
    options: some.map(cut),
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
 * @param {string} text
 * @returns {boolean} whether it is longer than any file's name
 */
function isLong(text) {
  return text.length > NAME_BYTES || new TextEncoder().encode(text).length > NAME_BYTES;
}

/**
 * @param {string} path
 * @param {{node: GraphNode, widget: Widget}} owner
 * @param {string} requested
 * @returns {CommandError}
 */
function tooLong(path, owner, requested) {
  const hint = takesUploads(owner)
    ? "send a file's name, or a whole PNG, JPEG, WebP, GIF, BMP or TIFF picture in base64"
    : `send at most ${NAME_BYTES} bytes`;
  return new CommandError("invalid", `${path} takes one of its choices, not ${named(requested)}; ${hint}.`, {
    path,
    value: cut(requested),
  });
}
