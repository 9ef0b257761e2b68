/** The errors that every method may throw: a code to branch on, and a sentence that says what to do. */

/** @typedef {Record<string, any>} Details */

/** An error that ComfyUI's extension answered with, or that the client found itself. */
export class UiapiError extends Error {
  /**
   * @param {string} code such as "unknown_path"; docs/errors.md lists them
   * @param {string} message one sentence that says what to do
   * @param {{status?: number | undefined, details?: Details | undefined}} [more]
   */
  constructor(code, message, { status, details } = {}) {
    super(message);
    this.name = "UiapiError";
    /** The code to branch on. */
    this.code = code;
    /** The HTTP status, if there was one. */
    this.status = status;
    /** Facts for programs. @type {Details} */
    this.details = details ?? {};
  }

  /**
   * Suggestions, such as similar paths.
   *
   * @returns {string[]}
   */
  get candidates() {
    return this.details.nearest ?? this.details.candidates ?? [];
  }
}

/** No ComfyUI with the extension answers, or the connection was lost. */
export class Unreachable extends UiapiError {
  /**
   * @param {string} code "unreachable", "no_extension" or "connection_lost"
   * @param {string} message
   * @param {{status?: number | undefined, details?: Details | undefined}} [more]
   */
  constructor(code, message, more) {
    super(code, message, more);
    this.name = "Unreachable";
  }
}

/**
 * Returns the error in an envelope.
 *
 * @param {Record<string, any>} envelope with status "error"
 * @param {number} [status] the HTTP status
 */
export function refusal(envelope, status) {
  return new UiapiError(String(envelope.code), String(envelope.error), { status, details: envelope.details });
}
