/**
 * Recognises widgets without a value that could be set: buttons, headers, dividers, labels and drawings.
 *
 * They are recognised by their behaviour, since node packs name their types freely.
 *
 * @typedef {import("../common/types.js").Widget} Widget
 */

const PLAIN = new Set(["number", "slider", "knob", "toggle", "combo", "text", "string", "customtext", "textarea"]);

/**
 * @param {Widget} widget
 * @returns {boolean}
 */
export function isDecoration(widget) {
  const { type, options } = widget;
  if (type === "button") return true;
  if (PLAIN.has(type) || options?.values !== undefined) return false;
  /** @type {any} */
  const { element, draw, callback } = widget;
  if (element) return !keepsValue(widget);
  // Drawn by the pack itself, and without a callback for changes.
  if (typeof draw !== "function" || callback) return false;
  const value = valueOf(widget);
  if (value === undefined || value === null || value === "") return isSilent(widget);
  if (typeof value !== "object" || Array.isArray(value)) return false;
  const keys = Object.keys(value);
  return keys.length === 0 || (keys.length === 1 && keys[0] === "type" && typeof value.type === "string");
}

/**
 * Whether a widget of a page element keeps a written value. One without a getter always returns an empty text.
 *
 * @param {any} widget
 * @returns {boolean}
 */
function keepsValue(widget) {
  if (widget.options?.getValue || widget.options?.setValue || Object.hasOwn(widget, "value")) return true;
  const value = valueOf(widget);
  return value !== undefined && value !== null && value !== "";
}

/**
 * @param {any} widget
 * @returns {boolean} whether it is not part of a run, or can only be clicked
 */
function isSilent(widget) {
  if (widget.serialize === false || widget.options?.serialize === false) return true;
  return Object.keys(widget).some((name) => /click|press/i.test(name) && typeof widget[name] === "function");
}

/** @param {Widget} widget */
function valueOf(widget) {
  try {
    return widget.value;
  } catch {
    // The error is reported when the value itself is read.
    return 0;
  }
}
