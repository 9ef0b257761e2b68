/** Sweeps: many runs from the open graph, whose results come as they end. */

import { UiapiError } from "./errors.js";
import { encoded, encodedGrid, filesOf, isImage } from "./files.js";
import { newKey } from "./http.js";

/** @typedef {import("./files.js").OutputFile} OutputFile */

/**
 * @typedef {object} SweepItem
 * @property {number} index
 * @property {Record<string, any>} fields {path: value}
 * @property {string} status "success", "error" or "cancelled"
 * @property {string | null} prompt_id
 * @property {OutputFile[]} files with their contents as `blob`
 * @property {OutputFile[]} images the pictures among them
 * @property {string[]} warnings about its fields and its prompt
 * @property {{code: string, message: string} | null} error
 */

// Results asked for at once, and milliseconds between two questions.
const LIMIT = 25;
const PAUSE = 250;

/**
 * @param {import("./client.js").Client} client
 * @param {import("./http.js").Http} http
 * @param {Record<string, any[]> | [string, any][][]} variations whose values may be the contents of files
 * @param {{seeds?: number, on_error?: "continue" | "stop", signal?: AbortSignal, inline: boolean}} options
 * @returns {AsyncGenerator<SweepItem, void, void>}
 */
export async function* sweep(client, http, variations, { signal, inline, ...options }) {
  const asked = Array.isArray(variations)
    ? { variations: await Promise.all(variations.map(encoded)) }
    : { grid: await encodedGrid(variations) };
  const outputs = inline ? "base64" : "urls";
  // With an ID of its own it can be cancelled before the first answer.
  const sweep_id = newKey();
  let ended = false;
  let first = 0;
  let state;
  try {
    await client.call("sweep", { ...asked, ...options, outputs, sweep_id, wait: false }, { signal });
    for (;;) {
      state = await client.call("sweep_status", { sweep_id, first, limit: LIMIT }, { signal });
      for (const result of state.results) {
        first = result.index + 1;
        const files = await filesOf(result.files ?? [], http, signal);
        const fields = Object.fromEntries(result.fields.map((/** @type {any} */ field) => [field.path, field.value]));
        const about = result.fields.flatMap((/** @type {any} */ { path, warnings }) =>
          (warnings ?? []).map((/** @type {string} */ warning) => `${path}: ${warning}`),
        );
        yield { ...result, fields, files, images: files.filter(isImage), warnings: [...about, ...(result.warnings ?? [])] };
      }
      if (state.status !== "running" && state.next === null) break;
      if (!state.results.length) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    ended = true;
  } finally {
    if (!ended) await cancel(client, sweep_id);
  }
  if (state.status !== "finished") {
    const why = state.warnings.join(" ") || `${state.done} of ${state.total} runs succeeded.`;
    throw new UiapiError("partial", `The sweep ended early: ${why}`, { details: { sweep_id } });
  }
}

/**
 * @param {import("./client.js").Client} client
 * @param {string} sweep_id of a sweep that may not have begun
 */
async function cancel(client, sweep_id) {
  try {
    await client.call("sweep_cancel", { sweep_id });
  } catch (error) {
    if (!(error instanceof UiapiError) || error.code !== "unknown_sweep") throw error;
  }
}
