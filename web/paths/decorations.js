/**
 * Which widgets hold no value that anyone could set: buttons, headers, dividers, labels and drawings.
 *
 * It is decided by what a widget does, since a pack may call its own ones whatever it likes.
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
  // Something the pack draws itself, and that nobody hears of when it changes.
  if (typeof draw !== "function" || callback) return false;
  const value = valueOf(widget);
  if (value === undefined || value === null || value === "") return isSilent(widget);
  if (typeof value !== "object" || Array.isArray(value)) return false;
  const keys = Object.keys(value);
  return keys.length === 0 || (keys.length === 1 && keys[0] === "type" && typeof value.type === "string");
}

/**
 * Whether an element of the page keeps what is written to it. One without functions of its own answers an empty text.
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
 * @returns {boolean} whether it is not sent with a run, or only there to be clicked
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
    // Whoever asks for the value itself hears what is wrong with it.
    return 0;
  }
}
