/**
 * The dialog that asks the person whether a program may carry out a command.
 *
 * @typedef {{program: string, kind: string, kinds?: string[], command: string, doc: string, about: string,
 *   writes: {path: string, value: string}[], writes_left_out?: number, files?: Incoming[] | null, once: boolean}} ApprovalRequest
 * @typedef {{name: string, folder: string, hosts: string[], local?: string | null,
 *   size: number | null, replaces?: boolean, found?: string}} Incoming `found`: why it is used, if a search found it
 */

import { changeTable } from "./change_table.js";
import { button, make } from "./dom.js";
import { size } from "./format.js";
import { resolve } from "../paths/paths.js";
import { ownerOf } from "../paths/subgraphs.js";
import { named, t } from "./texts.js";

/**
 * @param {import("../page/frontend.js").Frontend} frontend
 * @param {import("./dialogs.js").Dialogs} dialogs
 * @param {ApprovalRequest} request
 * @param {AbortSignal} signal
 * @returns {Promise<{allowed: boolean}>} also false if the dialog was closed
 */
export async function approve(frontend, dialogs, request, signal) {
  const answer = await dialogs.show(
    t("approveTitle", { program: request.program }),
    (/** @type {(allowed: boolean | null) => void} */ decide) => question(frontend, request, decide),
    signal,
    { wide: Boolean(request.files?.length) },
  );
  return { allowed: answer === true };
}

/**
 * @param {import("../page/frontend.js").Frontend} frontend
 * @param {ApprovalRequest} request
 * @param {(allowed: boolean) => void} decide
 */
function question(frontend, request, decide) {
  const refuse = button(t("refuse"), () => decide(false));
  const facts = make("dl", { class: "uiapi-facts" }, make("dt", { text: t("command") }), make("dd", { text: `${request.command}: ${request.doc}` }));
  if (request.about && request.writes.length === 0 && !request.files) facts.append(make("dt", { text: t("concerns") }), make("dd", { text: request.about }));
  const element = make(
    "div",
    {},
    ...(request.kinds ?? [request.kind]).map((kind) => make("p", { text: named("approveKinds", kind) ?? "" })),
    facts,
    request.writes.length > 0 && table(frontend, request.writes),
    ...(request.files ? incoming(request.files) : []),
    Boolean(request.writes_left_out) && make("p", { class: "uiapi-bad", text: t("writesLeftOut", { count: request.writes_left_out ?? 0 }) }),
    request.once && make("p", { class: "uiapi-hint", text: t("approveOnce") }),
    make("div", { class: "uiapi-actions" }, refuse, button(t("allow"), () => decide(true), { primary: true })),
  );
  // Not "Allow": the dialog may open while the person is typing.
  return { element, focus: refuse };
}

/**
 * @param {import("../page/frontend.js").Frontend} frontend
 * @param {ApprovalRequest["writes"]} writes
 */
const table = (frontend, writes) =>
  changeTable(writes.map(({ path, value }) => [path, current(frontend, path), value]), t("approveTable"));

/**
 * @param {Incoming[]} files
 * @returns {HTMLElement[]} a table of the files, and their sum
 */
function incoming(files) {
  const bytes = files.reduce((total, file) => total + (file.size ?? 0), 0);
  const unknown = files.filter((file) => file.size === null).length;
  const sums = [t("fileCount", { count: files.length }), bytes > 0 && size(bytes), unknown > 0 && t("sizesUnknown", { count: unknown })];
  const rows = files.map(({ name, folder, hosts, local, size: length, replaces, found }) => [
    replaces ? `${name} (${t("replaces")})` : name,
    folder || t("unknownFolder"),
    [[local && t("fromServer", { path: local }), ...hosts].filter(Boolean).join(", ") || t("askedForAddress"), found && t("foundBySearch", { why: found })].filter(Boolean).join("; "),
    length === null ? t("unknownSize") : size(length),
  ]);
  const said = make("p", { text: sums.filter(Boolean).join(", ") });
  if (files.length === 0) return [said];
  const heads = [t("file"), t("inFolder"), t("fromHost"), t("size")];
  return [changeTable(rows, t("filesTable"), { heads, kind: "uiapi-files" }), said];
}

/**
 * @param {import("../page/frontend.js").Frontend} frontend
 * @param {string} path
 * @returns {string} the current value of the field
 */
function current(frontend, path) {
  try {
    const field = resolve(frontend.rootGraph(), path);
    return field.widget ? String(ownerOf({ ...field, widget: field.widget }).widget.value ?? "") : "";
  } catch {
    // An invalid path fails when the command is carried out; it has no current value.
    return "";
  }
}
