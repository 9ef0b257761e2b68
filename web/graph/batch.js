/**
 * Carries out one or several edits, all or nothing, as one undo step, or as a dry run that only reports the changes.
 *
 * A dry run can't use a second graph, since the page keeps widget values and subgraphs by the ids of the open one. It
 * makes the changes, compares, and restores everything before the page is drawn again. Callbacks of widgets are called
 * in a dry run as well, since their effects on other widgets are part of the result.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 * @typedef {import("../page/workflows.js").Workflows} Workflows
 * @typedef {(frontend: Frontend, data: any) => any} Edit a synchronous edit
 */

import { CommandError, words } from "../common/errors.js";
import { differences, takePicture } from "./diff.js";
import { remember } from "./rollback.js";

/**
 * @param {{frontend: Frontend, workflows: Workflows}} means
 * @param {Record<string, Edit>} edits the edits that a batch may contain, by command
 * @param {{commands: {command: string, data?: any}[], dry_run?: boolean}} data
 */
export function batch(means, edits, { commands, dry_run = false }) {
  const { frontend, workflows } = means;
  for (const [index, { command }] of commands.entries()) {
    if (Object.hasOwn(edits, command)) continue;
    const sentence = `${JSON.stringify(command)} can't be part of a batch; use ${Object.keys(edits).join(", ")}.`;
    throw new CommandError("invalid", sentence, { index, command });
  }
  const history = workflows.tracker();
  if (!history) throw new CommandError("tab_failed", "The page has no workflow tab open; open one first.");
  // Earlier changes of the person stay a step of their own.
  workflows.capture();
  const { page, takeOut } = withChoices(frontend);
  const { picture, putBack } = remember(means, commands.map(({ command }) => command), history.activeState);
  frontend.openStep(history);
  /** @type {any[]} */
  const results = [];
  let failure = null;
  for (const [index, { command, data }] of commands.entries()) {
    try {
      results.push(edits[command](page, data ?? {}));
    } catch (error) {
      failure = { error, index, command };
      break;
    }
  }
  if (!failure && !dry_run) {
    frontend.noteStep(history);
    frontend.repaint();
    return { results, applied: true, changes: differences(picture, takePicture(frontend.rootGraph())) };
  }
  // No afterChange: the undo history must not notice. Later edits are steps of their own again.
  frontend.dropStep(history);
  const changes = failure ? [] : differences(picture, takePicture(frontend.rootGraph()));
  takeOut();
  return putBack().then((left) => {
    frontend.repaint();
    if (failure) throw refusal(failure, left);
    if (left) throw new CommandError("tab_failed", `This was a dry run, but ${left.clause}.`, { changes: left.changes });
    return { results, applied: false, changes };
  });
}

/**
 * Wraps the frontend for edits that may be rolled back.
 *
 * @param {Frontend & Pick<import("../widgets/widgets.js").Page, "isTrial">} frontend
 */
export function withChoices(frontend) {
  /** @type {{list: any[], value: any}[]} */
  const added = [];
  return {
    page: { ...frontend, choiceAdded: (/** @type {any[]} */ list, /** @type {any} */ value) => void added.push({ list, value }) },

    /** Removes the choices that the edits added to combos; they are not part of a saved state. */
    takeOut() {
      for (const { list, value } of added.reverse()) if (list[list.length - 1] === value) list.pop();
    },
  };
}

/**
 * Carries out one edit, all or nothing.
 *
 * @param {{frontend: Frontend, workflows: Workflows}} means
 * @param {Record<string, Edit>} edits
 * @param {string} command
 * @param {any} data
 */
export function alone(means, edits, command, data) {
  const { frontend, workflows } = means;
  const history = workflows.tracker();
  // A rollback needs a history; set_fields has a cheaper rollback of its own.
  if (!history || command === "set_fields") return edits[command](frontend, data);
  const { putBack } = remember(means, [command]);
  frontend.openStep(history);
  let answer;
  try {
    answer = edits[command](frontend, data);
  } catch (error) {
    frontend.dropStep(history);
    return putBack().then((left) => {
      frontend.repaint();
      if (left) throw new CommandError("tab_failed", `${reasonOf(error)}; ${left.clause}.`, { changes: left.changes });
      if (error instanceof CommandError) throw error;
      const sentence = `${command} failed in the page, and nothing was changed: ${reasonOf(error)}.`;
      throw new CommandError("tab_failed", sentence, { command, reason: words(error) });
    });
  }
  frontend.noteStep(history);
  return answer;
}

/** @param {unknown} error */
const reasonOf = (error) => words(error).replace(/\.$/, "");

/**
 * @param {{error: unknown, index: number, command: string}} failure
 * @param {import("./rollback.js").Left | null} left
 * @returns {CommandError}
 */
function refusal({ error, index, command }, left) {
  const where = `Command ${index} (${command}) of the batch failed`;
  if (left) {
    return new CommandError("tab_failed", `${where}: ${reasonOf(error)}; ${left.clause}.`, { index, command, changes: left.changes });
  }
  const known = error instanceof CommandError;
  return new CommandError(known ? error.code : "tab_failed", `${where}, and nothing was changed: ${words(error)}`, {
    ...(known ? error.details : {}),
    index,
    command,
  });
}
