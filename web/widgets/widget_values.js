/**
 * Checks values against the kind, range and choices of a widget.
 *
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Widget} Widget
 */

import { copied, isObject } from "../common/compare.js";
import { CommandError } from "../common/errors.js";
import { misfit } from "./input_kinds.js";
import { Offered } from "./picture_texts.js";
import { cut, named } from "../common/shorten.js";
import { sourceOf } from "../paths/subgraphs.js";

const NUMBERS = new Set(["number", "slider", "knob", "gradientslider"]);
const TEXTS = new Set(["text", "string", "customtext", "textarea", "markdown", "asset"]);
const OPTIONS_SHOWN = 20;
// The longest file name in bytes; an unlisted choice of a combo can't be longer.
const NAME_BYTES = 255;

/**
 * Returns the value to write for a requested one: the same, the nearest allowed number, or for an object the current
 * value with the changes merged in.
 *
 * @param {string} path the widget's path, for error sentences
 * @param {{node: GraphNode, widget: Widget}} owner
 * @param {any} sent decoded JSON, or a text that is also a picture
 * @returns {{requested?: any, value: any, adds: boolean}} `requested`: the text or the picture's
 *   name; `adds`: whether a file name has to be added to the choices
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
    throw new CommandError("invalid", `${path} is a button and has no value; set another field.`, { path });
  }
  if (wanted === "choice") return chosen(path, owner, requested);
  if (wanted === "object" || wanted === "array") return { value: fitted(path, widget.value, requested), adds: false };
  if (wanted !== "any" && typeof requested !== wanted) throw wrongType(path, wanted, requested);
  return { value: wanted === "number" ? within(widget, requested) : requested, adds: false };
}

/**
 * @param {string} path
 * @param {string} expected
 * @param {any} value
 */
function wrongType(path, expected, value) {
  const article = /^[ao]/.test(expected) ? "an" : "a";
  return new CommandError("invalid", `${path} takes ${article} ${expected}, not ${named(value)}.`, { path, expected, value: cut(value) });
}

/**
 * Returns a requested value of the JSON type of the current one: an object is merged into it, and the items of a list
 * must have types that occur in the current one. Any type is accepted if either of them is null.
 *
 * @param {string} path
 * @param {any} now
 * @param {any} requested
 * @returns {any} a deep copy
 */
function fitted(path, now, requested) {
  if (now === null || now === undefined) return copied(requested);
  const expected = typeOf(now);
  if (typeOf(requested) !== expected) throw wrongType(path, expected, requested);
  if (Array.isArray(requested)) {
    const types = new Set(now.map(typeOf));
    types.delete("null");
    for (const [at, item] of requested.entries()) {
      if (types.size > 0 && item !== null && !types.has(typeOf(item))) throw wrongType(`${path}[${at}]`, [...types].join(" or "), item);
    }
    return copied(requested);
  }
  if (!isObject(requested)) return requested;
  const merged = Object.entries(requested).map(([key, value]) => {
    const present = Object.hasOwn(now, key) ? now[key] : undefined;
    return [key, value === null ? null : fitted(`${path}: ${key}`, present, value)];
  });
  return Object.fromEntries([...Object.entries(copied(now)), ...merged]);
}

/**
 * @param {any} value
 * @returns {string} its JSON type
 */
function typeOf(value) {
  if (value === null || value === undefined) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

/**
 * Whether a widget is a combo, judged by its choices: packs hide widgets by changing their type.
 *
 * @param {Widget} widget
 * @returns {boolean}
 */
export function isChoice({ type, options }) {
  const name = String(type).toLowerCase();
  if (name === "combo") return true;
  const values = options?.values;
  const own = NUMBERS.has(name) || TEXTS.has(name) || name === "toggle" || name === "button";
  return !own && (typeof values === "function" || (typeof values === "object" && values !== null));
}

/**
 * @param {Widget} widget
 * @returns {"number" | "string" | "boolean" | "choice" | "button" | "object" | "array" | "any"}
 */
function kindOf(widget) {
  const name = String(widget.type).toLowerCase();
  if (NUMBERS.has(name)) return "number";
  if (TEXTS.has(name)) return "string";
  if (name === "toggle") return "boolean";
  if (name === "button") return "button";
  if (isChoice(widget)) return "choice";
  const { value } = widget;
  if (Array.isArray(value)) return "array";
  if (isObject(value)) return "object";
  const now = typeof value;
  return now === "number" || now === "string" || now === "boolean" ? now : "any";
}

/**
 * Returns the choices of a combo, or undefined if they are unknown (a list that is fetched later).
 *
 * @param {GraphNode} node
 * @param {Widget} widget
 * @returns {any[] | undefined}
 */
export function choices(node, widget) {
  let values = widget.options?.values;
  if (typeof values === "function") values = values(widget, node);
  if (Array.isArray(values)) return values;
  // Choices that are fetched from a server.
  if (typeof (/** @type {any} */ (values)?.then) === "function") return undefined;
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
  if (typeof requested === "string" && requested !== "" && takesUploads(owner)) {
    const why = misfit(uploadFlags(owner), requested);
    if (why) throw new CommandError("invalid", `${path} ${why}.`, { path, value: requested });
    return { value: requested, adds: true };
  }
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
 * Whether a combo lists uploaded files: a file that was stored just now is not among its choices yet.
 *
 * @param {{node: GraphNode, widget: Widget}} owner
 * @returns {boolean}
 */
function takesUploads(owner) {
  return uploadFlags(owner).length > 0;
}

/**
 * @param {{node: GraphNode, widget: Widget}} owner
 * @returns {string[]} such as image_upload
 */
function uploadFlags(owner) {
  const { node, widget } = sourceOf(owner);
  /** @type {any} */
  const definition = node.constructor;
  const inputs = definition?.nodeData?.input;
  const spec = inputs?.required?.[widget.name] ?? inputs?.optional?.[widget.name];
  const options = Object.entries(spec?.[1] ?? {});
  return options.filter(([option, set]) => set === true && option.endsWith("_upload")).map(([option]) => option);
}

/**
 * @param {Widget} widget
 * @param {number} value
 * @returns {number}
 */
function within({ options }, value) {
  const { min, max } = options ?? {};
  if (typeof min === "number" && typeof max === "number" && min > max) return value;
  if (typeof min === "number" && value < min) return min;
  if (typeof max === "number" && value > max) return max;
  return value;
}

/**
 * @param {string} text
 * @returns {boolean} whether it is longer than any file name
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
