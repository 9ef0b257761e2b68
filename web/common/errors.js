/**
 * The error that a command fails with: a code, one sentence that says what to do, and details for programs.
 */

/**
 * The codes that a tab may use; the server reports any other code as tab_failed.
 *
 * @typedef {"unknown_path" | "ambiguous_path" | "invalid" | "conflict" | "declined" | "execution_failed" | "tab_failed"
 *   | "revision_changed" | "tab_changed" | "unknown_node" | "unknown_node_type" | "unknown_group" | "unknown_tab"
 *   | "unknown_snapshot"} Code
 */

export class CommandError extends Error {
  /**
   * @param {Code} code
   * @param {string} sentence what went wrong and what to do
   * @param {Record<string, any>} [details] JSON-compatible
   */
  constructor(code, sentence, details = {}) {
    super(sentence);
    this.name = "CommandError";
    this.code = code;
    this.details = details;
  }
}

/**
 * Returns the message of a thrown value, which need not be an Error.
 *
 * @param {unknown} thrown
 * @returns {string}
 */
export function words(thrown) {
  if (thrown instanceof Error) return thrown.message || thrown.name;
  return String(thrown);
}

/**
 * Wraps an error that an export of the workflow threw.
 *
 * @param {unknown} thrown by the page or a node pack
 * @returns {CommandError}
 */
export function failedExport(thrown) {
  if (thrown instanceof CommandError) return thrown;
  const reason = words(thrown);
  const sentence = `Exporting the workflow failed in the page, and nothing was changed: ${reason.replace(/\.$/, "")}.`;
  return new CommandError("tab_failed", sentence, { reason, step: "export" });
}
