/**
 * The dialog that asks the person whether a program may carry out a command: who asks, for what exactly, and buttons that
 * say what they do.
 *
 * @typedef {{program: string, kind: string, kinds?: string[], command: string, doc: string, about: string,
 *   workflow?: string | null, writes: import("./edit_rows.js").Write[], writes_left_out?: number, files?: Incoming[] | null, once: boolean}} ApprovalRequest
 * @typedef {{name: string, folder: string, hosts: string[], local?: string | null,
 *   size: number | null, replaces?: boolean, found?: string}} Incoming `found`: why it is used, if a search found it
 */

import { changeTable } from "./change_table.js";
import { button, make } from "../dom.js";
import { rowsOf } from "./edit_rows.js";
import { size } from "../format.js";
import { wish, wordsFor } from "../sentences.js";
import { named, t } from "../texts.js";

// The title and the workflow say enough about these.
const RUNS = new Set(["run", "execute"]);

/**
 * @param {import("../../page/frontend.js").Frontend} frontend
 * @param {import("../dialogs.js").Dialogs} dialogs
 * @param {ApprovalRequest} request
 * @param {AbortSignal} signal
 * @returns {Promise<{allowed: boolean}>} also false if the dialog was closed
 */
export async function approve(frontend, dialogs, request, signal) {
  const answer = await dialogs.show(
    // The name of the program comes first, so that no other text can pass for one of ComfyUI.
    wish(request),
    (/** @type {(allowed: boolean | null) => void} */ decide) => question(frontend, request, decide),
    signal,
    { wide: Boolean(request.files?.length) || request.writes.length > 0 },
  );
  return { allowed: answer === true };
}

/**
 * @param {import("../../page/frontend.js").Frontend} frontend
 * @param {ApprovalRequest} request
 * @param {(allowed: boolean) => void} decide
 */
function question(frontend, request, decide) {
  const { kind, kinds = [kind], command, doc, about, workflow, writes, writes_left_out: left = 0, files, once } = request;
  const deny = button(t("deny"), () => decide(false));
  const plain = writes.length === 0 && !files;
  const facts = [
    workflow && !files && [t("workflow"), workflow],
    about && plain && [t("concerns"), about],
    plain && !RUNS.has(command) && [t("command"), `${command}: ${doc}`],
  ].filter((fact) => Array.isArray(fact));
  const agree = kinds.length === 1 ? named("agree", wordsFor(request)) : undefined;
  const element = make(
    "div",
    {},
    // The title says the first.
    ...kinds.slice(1).map((more) => make("p", { text: named("approveKinds", more) ?? "" })),
    facts.length > 0 && make("dl", { class: "uiapi-facts" }, ...facts.flatMap(([name, text]) => [make("dt", { text: name }), make("dd", { text })])),
    writes.length > 0 && changeTable(writes.flatMap((write) => rowsOf(frontend, write)), t("approveTable")),
    ...(files ? incoming(files) : []),
    left > 0 && make("p", { class: "uiapi-bad", text: t("writesLeftOut", { count: left }) }),
    once && make("p", { class: "uiapi-hint", text: t("approveOnce") }),
    make("div", { class: "uiapi-actions" }, deny, button(agree ?? t("allow"), () => decide(true), { primary: true })),
  );
  // Not the button that agrees: the dialog may open while the person is typing.
  return { element, focus: deny };
}

/**
 * @param {Incoming[]} files
 * @returns {HTMLElement[]} a table of the files, and their sum
 */
function incoming(files) {
  const bytes = files.reduce((total, file) => total + (file.size ?? 0), 0);
  const unknown = files.filter((file) => file.size === null).length;
  const sum = [t("fileCount", { count: files.length }), bytes > 0 && size(bytes), unknown > 0 && t("sizesUnknown", { count: unknown })].filter(Boolean).join(", ");
  const rows = files.map(({ name, folder, hosts, local, size: length, replaces, found }) => [
    replaces ? `${name} (${t("replaces")})` : name,
    folder || t("unknownFolder"),
    [[local && t("fromServer", { path: local }), ...hosts].filter(Boolean).join(", ") || t("askedForAddress"), found && t("foundBySearch", { why: found })].filter(Boolean).join("; "),
    length === null ? t("unknownSize") : size(length),
  ]);
  if (files.length === 0) return [make("p", { text: sum })];
  const heads = [t("file"), t("inFolder"), t("fromHost"), t("size")];
  return [changeTable(rows, t("filesTable"), { heads, kind: "uiapi-files" }), make("p", { text: sum })];
}
