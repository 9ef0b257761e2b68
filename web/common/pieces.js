/**
 * Splits the JSON of a prompt into pieces, so that of many similar prompts only those that differ have to be sent and kept.
 */

// The keys of a submission, its workflow and its subgraphs whose values are split further.
const SPLIT = new Set(["prompt", "extra_data", "extra_pnginfo", "workflow", "nodes", "definitions", "subgraphs"]);

/**
 * Returns texts whose concatenation is the value's JSON.
 *
 * @param {any} value JSON-compatible
 * @param {boolean} [whole] whether it is not split
 * @returns {string[]}
 */
export function pieces(value, whole = false) {
  if (whole || typeof value !== "object" || value === null) return [JSON.stringify(value)];
  const isList = Array.isArray(value);
  const [before, after] = isList ? "[]" : "{}";
  const made = [before];
  for (const [key, inner] of Object.entries(value)) {
    const name = isList ? "" : `${JSON.stringify(key)}:`;
    const lead = (made.length > 1 ? "," : "") + name;
    // The items of a list of nodes are not split, those of a list of subgraphs are.
    const [first, ...rest] = pieces(inner, isList ? !inner?.nodes : !SPLIT.has(key));
    made.push(lead + first, ...rest);
  }
  made.push(after);
  return made;
}

/**
 * @param {string[]} base
 * @param {string[]} other
 * @returns {[number, string][] | null} the pieces of `other` that differ, by index; null if it has another number of them
 */
export function changedPieces(base, other) {
  if (base.length !== other.length) return null;
  return other.flatMap((text, at) => (text === base[at] ? [] : [/** @type {[number, string]} */ ([at, text])]));
}
