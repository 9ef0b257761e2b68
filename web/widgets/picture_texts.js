/**
 * A text that is also a picture: in base64, or as a data URL. The server has stored the picture; only the page knows
 * whether the field takes a picture's name or the text itself.
 */

export class Offered {
  /**
   * @param {string} text as the caller sent it
   * @param {string} name of the file the server stored
   */
  constructor(text, name) {
    this.text = text;
    this.name = name;
  }
}

/**
 * @param {[string, any][]} fields paths and values
 * @param {Record<string, string>} [pictures] the names of stored pictures, by the places of their texts in `fields`
 * @returns {[string, any][]}
 */
export function withOffered(fields, pictures) {
  if (!pictures) return fields;
  return fields.map(([path, value], at) => [path, pictures[at] === undefined ? value : new Offered(value, pictures[at])]);
}
