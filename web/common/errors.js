/**
 * The error a command answers with: a code of the wire, one sentence that says what to do, and facts for programs.
 */

/**
 * What a tab may answer by itself; any other code the server reports as tab_failed.
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
 * A thrown value's own words; whatever a widget's callback throws need not be an Error.
 *
 * @param {unknown} thrown
 * @returns {string}
 */
export function words(thrown) {
  if (thrown instanceof Error) return thrown.message || thrown.name;
  return String(thrown);
}

/**
 * The page's own words and those of what runs in it, in a sentence of ours.
 *
 * @param {unknown} thrown by an export of the workflow, which packs have a hand in
 * @returns {CommandError}
 */
export function failedExport(thrown) {
  if (thrown instanceof CommandError) return thrown;
  const reason = words(thrown);
  const sentence = `Exporting the workflow failed in the page, and nothing was changed: ${reason.replace(/\.$/, "")}.`;
  return new CommandError("tab_failed", sentence, { reason, step: "export" });
}
