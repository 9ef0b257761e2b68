/**
 * Formats numbers and values for people.
 */

const VALUE_SHOWN = 60;

/** A space at which no line is broken. */
export const UNBROKEN = "\u00a0";

/** @param {number | null | undefined} bytes */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "?";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)}${UNBROKEN}${units[unit]}`;
}

/**
 * @param {string} text that someone else has written
 * @returns {string} the same, with each size on one line
 */
export function keepSizes(text) {
  return text.replace(/(\d) ([kMGT]?B)\b/g, `$1${UNBROKEN}$2`);
}

/** @param {number} seconds */
export function duration(seconds) {
  const whole = Math.round(seconds);
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** @param {number} seconds of Unix time */
export function clock(seconds) {
  return new Date(seconds * 1000).toTimeString().slice(0, 8);
}

/** @param {number} seconds of Unix time */
export function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString(undefined, { dateStyle: "medium" });
}

/**
 * @param {unknown} value
 * @returns {string} a short text on one line
 */
export function short(value) {
  // Functions and symbols have no JSON.
  const words = (typeof value === "string" ? value : (JSON.stringify(value ?? "") ?? String(value))).replace(/\s+/g, " ");
  return beginning(words, VALUE_SHOWN);
}

/**
 * @param {string} text
 * @param {number} most characters; no letter of two of them is split
 * @returns {string} its beginning
 */
export function beginning(text, most) {
  return text.length > most ? `${text.slice(0, most).replace(/[\ud800-\udbff]$/, "")}…` : text;
}

/**
 * @param {string} text
 * @param {number} most as for `beginning`
 * @returns {string} its end
 */
export function ending(text, most) {
  return text.length > most ? `…${text.slice(-most).replace(/^[\udc00-\udfff]/, "")}` : text;
}
