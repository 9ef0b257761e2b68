/**
 * Values as answers and sentences show them: a long one by its beginning and its length.
 */

// Characters of a value that is shown whole, and of the beginning of one that is not. common/shorten.py has the same.
const SHOWN = 200;
const BEGINNING = 100;

/**
 * A value for an answer: the value itself, or a text that stands for it if its text, or else its JSON, is long.
 *
 * @param {any} value
 * @returns {any}
 */
export function cut(value) {
  if (value === null || (typeof value !== "string" && typeof value !== "object")) return value;
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  if (text.length <= SHOWN) return value;
  // Half of a character can't be sent.
  const beginning = text.slice(0, BEGINNING).replace(/[\ud800-\udbff]$/, "");
  return `${beginning}… (${text.length} characters)`;
}

/**
 * A value for a sentence: its JSON, or only its length.
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
 * What came of writes, with long values cut; `get_fields` answers them whole.
 *
 * @param {Record<string, import("./types.js").Written>} written
 * @returns {Record<string, import("./types.js").Written>}
 */
export function cutWritten(written) {
  return Object.fromEntries(
    Object.entries(written).map(([path, one]) => [path, { ...one, requested: cut(one.requested), value: cut(one.value) }]),
  );
}
