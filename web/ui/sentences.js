/**
 * Sentences about what programs do, want to do and failed to do, by the kind of the command or the command itself.
 *
 * @typedef {{program: string, kind: string, command: string, about?: string}} Act
 */

import { named, t } from "./texts.js";

/** What a command does, by which its sentence is chosen. */
const ACTS = /** @type {Record<string, string>} */ ({
  set_fields: "set",
  set_connection: "link",
  disconnect: "unlink",
  add_node: "add",
  add_group: "add",
  remove_node: "remove",
  remove_group: "remove",
  undo: "undo",
  redo: "redo",
  run: "run",
  execute: "run",
  sweep: "run",
  interrupt: "stop",
  sweep_cancel: "stop",
  queue_cancel: "clear",
  queue_clear: "clear",
  load_workflow: "open",
  new_tab: "open",
  open_tab: "open",
  switch_tab: "show",
  rename_tab: "rename",
  save_tab: "save",
  close_tab: "close",
  send_workflow: "offer",
  download_models: "download",
  download_model: "download",
  download_cancel: "cancel",
  add_model_url: "link_model",
  remove_model_url: "unlink_model",
  get_model_url: "ask",
});

/** Commands that the words for their kind do not describe: "run the workflow" is not what stops a run. */
const APART = new Set([
  ...["interrupt", "sweep_cancel", "queue_cancel", "queue_clear", "free_memory", "export_prompts"],
  ...["switch_tab", "rename_tab", "close_tab", "refresh_models"],
  ...["plan_downloads", "doctor", "download_pause", "download_resume", "download_cancel"],
  ...["add_model_url", "remove_model_url", "get_model_url"],
]);

/**
 * @param {Act} act
 * @returns {string} the kind whose words describe it, or "use"
 */
export function wordsFor({ kind, command }) {
  if (APART.has(command)) return "use";
  return named("wishes", kind) ? kind : "change";
}

/**
 * @param {Act} act
 * @returns {string} such as "Blender wants to change the workflow"
 */
export function wish(act) {
  const { program, command } = act;
  const words = wordsFor(act);
  return words === "use" ? t("wishes.use", { program, command }) : t(`wishes.${/** @type {"change"} */ (words)}`, { program });
}

/**
 * @param {Act} act
 * @param {string} what it was about
 * @returns {string} such as "Blender could not change Canvas.width"
 */
export function failure(act, what) {
  const { program, command, about } = act;
  const words = wordsFor(act);
  if (words === "use") return withAbout(t("attempts.use", { program, command }), about);
  return t(`attempts.${/** @type {"change"} */ (words)}`, { program, what });
}

/**
 * @param {Act} act
 * @param {string} what it was about
 * @returns {string} such as "Blender set Canvas.width"
 */
export function deed({ program, kind, command, about }, what) {
  const act = kind === "read" ? "read" : (ACTS[command] ?? (kind === "change" ? "change" : "use"));
  if (act === "use") return withAbout(t("did.use", { program, command }), about);
  return t(`did.${/** @type {"set"} */ (act)}`, { program, what });
}

/**
 * @param {string} text
 * @param {string} [about]
 */
const withAbout = (text, about) => (about ? `${text} (${about})` : text);
