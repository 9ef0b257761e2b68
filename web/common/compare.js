/**
 * Copies and compares JSON values.
 *
 * @typedef {{key: string, asked: any, held: any}} Mismatch `key` is empty for the value itself
 */

/**
 * @param {any} value
 * @returns {value is Record<string, any>}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Returns a deep copy, or the value itself if it is not JSON-compatible.
 *
 * @param {any} value
 * @returns {any}
 */
export function copied(value) {
  if (typeof value !== "object" || value === null) return value;
  try {
    return JSON.parse(JSON.stringify(value));
  } catch {
    return value;
  }
}

/**
 * Lists what `asked` contains and `held` does not. Additional values in `held` are ignored.
 *
 * @param {any} asked
 * @param {any} held
 * @param {string} [key]
 * @returns {Mismatch[]}
 */
export function mismatches(asked, held, key = "") {
  if (asked === held || asked === undefined) return [];
  if (isObject(asked) && isObject(held)) {
    return Object.keys(asked).flatMap((name) => {
      const inner = key ? `${key}.${name}` : name;
      return mismatches(asked[name], Object.hasOwn(held, name) ? held[name] : undefined, inner);
    });
  }
  if (Array.isArray(asked) && Array.isArray(held) && asked.length === held.length) {
    return asked.flatMap((item, at) => mismatches(item, held[at], `${key}[${at}]`));
  }
  return [{ key, asked, held }];
}
