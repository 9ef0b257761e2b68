/**
 * Copies of JSON values, and in what two of them differ.
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
 * A copy that shares nothing with the value; what JSON can't hold is the value itself.
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
 * What was asked for and is not held. What is held in addition is not counted.
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
