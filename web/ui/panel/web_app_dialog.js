/**
 * The dialog that asks the person whether a page from elsewhere may use this ComfyUI.
 *
 * @typedef {"allow" | "session" | "refuse"} Decision
 */

import { breakable, button, make } from "../dom.js";
import { t } from "../texts.js";

// Of pages on the person's own machine, whose connection nobody else sees.
const LOCAL = /^http:\/\/(localhost|127\.[\d.]+|\[::1\]|[\w.-]+\.localhost)(:\d+)?$/;

/**
 * @param {import("../dialogs.js").Dialogs} dialogs
 * @param {string} origin as the browser of that page sends it
 * @param {AbortSignal} signal
 * @returns {Promise<{decision: Decision | null}>} null if the dialog was closed
 */
export async function approveWebApp(dialogs, origin, signal) {
  const decision = await dialogs.show(t("webAppTitle"), (/** @type {(decision: Decision | null) => void} */ decide) => question(origin, decide), signal);
  return { decision };
}

/**
 * @param {string} origin
 * @returns {("webAppInsecure" | "webAppPunycode")[]} the texts about what the person should know of this address
 */
export function cautions(origin) {
  const host = origin.slice(origin.indexOf("://") + 3);
  const insecure = origin.startsWith("http://") && !LOCAL.test(origin);
  const punycode = host.split(".").some((label) => label.startsWith("xn--"));
  return [...(insecure ? [/** @type {const} */ ("webAppInsecure")] : []), ...(punycode ? [/** @type {const} */ ("webAppPunycode")] : [])];
}

/**
 * @param {string} origin
 * @param {(decision: Decision) => void} decide
 */
function question(origin, decide) {
  const refuse = button(t("deny"), () => decide("refuse"));
  const element = make(
    "div",
    {},
    make("p", {}, make("strong", { class: "uiapi-origin", dir: "ltr" }, ...breakable(origin)), ` ${t("webAppWants")}`),
    ...cautions(origin).map((key) => make("p", { class: "uiapi-bad", text: t(key) })),
    make("p", { class: "uiapi-hint", text: t("webAppHint") }),
    make("div", { class: "uiapi-actions" }, refuse, button(t("webAppSession"), () => decide("session")), button(t("allow"), () => decide("allow"), { primary: true })),
  );
  // Not "Allow": the dialog may open while the person is typing.
  return { element, focus: refuse };
}
