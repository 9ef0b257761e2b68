/**
 * Handles texts that may be pictures, in base64 or as data URLs. The server has stored the picture; only the page knows
 * whether the field takes the file name of a picture or the text itself.
 */

export class Offered {
  /**
   * @param {string} text as the program sent it
   * @param {string} name of the stored file
   */
  constructor(text, name) {
    this.text = text;
    this.name = name;
  }
}

/**
 * @param {[string, any][]} fields paths and values
 * @param {Record<string, string>} [pictures] the names of stored pictures by index in `fields`
 * @returns {[string, any][]}
 */
export function withOffered(fields, pictures) {
  if (!pictures) return fields;
  return fields.map(([path, value], at) => [path, pictures[at] === undefined ? value : new Offered(value, pictures[at])]);
}
