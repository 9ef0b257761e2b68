/**
 * Shortens values for responses and error sentences.
 */

// The longest value that is shown whole, and how much is shown of a longer one, in characters; as in common/shorten.py.
const SHOWN = 200;
const BEGINNING = 100;

/**
 * Returns the value, or the beginning of its text or JSON if that is long.
 *
 * @param {any} value
 * @returns {any}
 */
export function cut(value) {
  if (value === null || (typeof value !== "string" && typeof value !== "object")) return value;
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  if (text.length <= SHOWN) return value;
  // Half of a surrogate pair can't be sent.
  const beginning = text.slice(0, BEGINNING).replace(/[\ud800-\udbff]$/, "");
  return `${beginning}… (${text.length} characters)`;
}

/**
 * Describes a value in an error sentence: its JSON, or only its length.
 *
 * @param {any} value
 * @returns {string}
 */
export function named(value) {
  if (typeof value === "string" && value.length > SHOWN) return `a text of ${value.length} characters`;
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > SHOWN ? `a value of ${text.length} characters` : text;
}

/**
 * Shortens long values in the results of writes; `get_fields` returns them whole.
 *
 * @param {Record<string, import("./types.js").Written>} written
 * @returns {Record<string, import("./types.js").Written>}
 */
export function cutWritten(written) {
  return Object.fromEntries(
    Object.entries(written).map(([path, one]) => [path, { ...one, requested: cut(one.requested), value: cut(one.value) }]),
  );
}
