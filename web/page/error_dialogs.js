/**
 * Finds the error dialog that the frontend opens when a load or a run fails.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 * @typedef {import("./frontend.js").OpenDialog} OpenDialog
 */

const ERROR_KEY = "global-error";

/**
 * Returns the error dialog that was opened since, if any.
 *
 * @param {Frontend} frontend
 * @param {OpenDialog[]} before the dialogs that were open before
 * @returns {OpenDialog | undefined}
 */
export function newError(frontend, before) {
  if (before.some(({ key }) => key === ERROR_KEY)) return undefined;
  return frontend.openDialogs().find(({ key }) => key === ERROR_KEY);
}
