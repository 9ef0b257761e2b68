/**
 * Asking the person whether a program may do what it wants to do.
 *
 * @typedef {{program: string, kind: string, command: string, doc: string, about: string,
 *   writes: {path: string, value: string}[], once: boolean}} Wish
 */

import { button, make } from "./dom.js";
import { resolve } from "./paths.js";
import { ownerOf } from "./subgraphs.js";
import { texts } from "./texts.js";

/**
 * @param {import("./frontend.js").Frontend} frontend
 * @param {import("./dialogs.js").Dialogs} dialogs
 * @param {Wish} wish
 * @param {AbortSignal} signal
 * @returns {Promise<{allowed: boolean}>} false too when they close the dialog
 */
export async function approve(frontend, dialogs, wish, signal) {
  const answer = await dialogs.show(
    texts.approveTitle(wish.program),
    (/** @type {(allowed: boolean | null) => void} */ decide) => question(frontend, wish, decide),
    signal,
  );
  return { allowed: answer === true };
}

/**
 * @param {import("./frontend.js").Frontend} frontend
 * @param {Wish} wish
 * @param {(allowed: boolean) => void} decide
 */
function question(frontend, wish, decide) {
  const refuse = button(texts.refuse, () => decide(false));
  const facts = make("dl", { class: "uiapi-facts" }, make("dt", { text: texts.command }), make("dd", { text: `${wish.command}: ${wish.doc}` }));
  if (wish.about && wish.writes.length === 0) facts.append(make("dt", { text: texts.concerns }), make("dd", { text: wish.about }));
  const element = make(
    "div",
    {},
    make("p", { text: texts.approveKinds[wish.kind] ?? "" }),
    facts,
    wish.writes.length > 0 && table(frontend, wish.writes),
    wish.once && make("p", { class: "uiapi-hint", text: texts.approveOnce }),
    make("div", { class: "uiapi-actions" }, refuse, button(texts.allow, () => decide(true), { primary: true })),
  );
  // Not on "Allow": the dialog may open while somebody types.
  return { element, focus: refuse };
}

/**
 * @param {import("./frontend.js").Frontend} frontend
 * @param {Wish["writes"]} writes
 */
function table(frontend, writes) {
  const head = [texts.field, texts.now, texts.new].map((text) => make("th", { scope: "col", text }));
  const rows = writes.map(({ path, value }) =>
    make("tr", {}, make("td", { text: path }), make("td", { text: current(frontend, path) }), make("td", { text: value })),
  );
  return make("div", { class: "uiapi-scroll" }, make("table", { class: "uiapi-table" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
}

/**
 * @param {import("./frontend.js").Frontend} frontend
 * @param {string} path
 * @returns {string} what the field holds now
 */
function current(frontend, path) {
  try {
    const field = resolve(frontend.rootGraph(), path);
    return field.widget ? String(ownerOf({ ...field, widget: field.widget }).widget.value ?? "") : "";
  } catch {
    // A path that leads nowhere is refused once it is carried out; here there is just nothing to show.
    return "";
  }
}
