/**
 * Shows a pause of programs: on the icon in the sidebar, and over the canvas or App mode's form.
 */

import { button, make } from "../dom.js";
import { language, t } from "../texts.js";

/**
 * @param {import("../panel/state.js").State} state
 * @param {import("../../page/frontend.js").Frontend} frontend
 * @param {{tab: string, open: () => void, resume: () => void}} acts `tab`: the id of the panel in the sidebar
 */
export function createPauseMark(state, frontend, { tab, open, resume }) {
  /** @type {HTMLElement | null} */
  let mark = null;
  let shownIn = language();
  state.onChange(() => {
    const paused = state.server?.paused ?? false;
    if (paused === (mark !== null) && shownIn === language()) return;
    shownIn = language();
    frontend.markSidebarTab(tab, paused ? { badge: "II", tooltip: t("programsPaused") } : { badge: null, tooltip: t("tooltip") });
    mark?.remove();
    mark = paused ? made() : null;
    if (mark) document.body.append(mark);
  });

  function made() {
    const icon = make("i", { class: "pi pi-pause", "aria-hidden": "true" });
    const label = make("button", { class: "uiapi-link", type: "button", onclick: open, title: t("paused") }, icon, make("span", { text: t("programsPaused") }));
    return make("div", { class: "uiapi-paused", role: "status" }, label, button(t("resume"), resume, { small: true }));
  }
}
