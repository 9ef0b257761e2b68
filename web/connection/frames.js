/**
 * Parses frames of the websocket, checks their size, and builds error responses.
 */

import { CommandError, words } from "../common/errors.js";

// The server closes the socket when it receives a larger frame, in bytes.
const LARGEST_FRAME = 64 * 1024 * 1024;

/**
 * @param {string} text a frame
 * @returns {boolean} whether the server accepts a frame of this length
 */
export function fits(text) {
  return text.length <= LARGEST_FRAME / 3 || new TextEncoder().encode(text).length <= LARGEST_FRAME;
}

/**
 * @param {string} id
 * @param {unknown} error
 * @returns {Record<string, any>} the response to a request that failed
 */
export function failed(id, error) {
  const known = error instanceof CommandError;
  return {
    type: "response",
    id,
    status: "error",
    error: words(error),
    code: known ? error.code : "tab_failed",
    details: known ? error.details : {},
  };
}

/**
 * @param {any} text
 * @returns {any} the frame, or null if the text is not a frame
 */
export function parse(text) {
  try {
    const frame = JSON.parse(text);
    return frame !== null && typeof frame === "object" ? frame : null;
  } catch {
    return null;
  }
}
