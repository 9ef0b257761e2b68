/**
 * Marks what the person has to know or to do: on the icon in the sidebar, and a pause also over the canvas or App mode's
 * form.
 */

import { button, make } from "../dom.js";
import { language, t } from "../texts.js";

/**
 * @param {import("../panel/state.js").State} state
 * @param {import("../../page/frontend.js").Frontend} frontend
 * @param {{tab: string, open: () => void, resume: () => void}} acts `tab`: the id of the panel in the sidebar
 */
export function createMarks(state, frontend, { tab, open, resume }) {
  /** @type {HTMLElement | null} */
  let mark = null;
  let shownIn = language();
  let icon = "";
  state.onChange(() => {
    const paused = state.server?.paused ?? false;
    markIcon(paused);
    if (paused === (mark !== null) && shownIn === language()) return;
    shownIn = language();
    mark?.remove();
    mark = paused ? made() : null;
    if (mark) document.body.append(mark);
  });

  /** @param {boolean} paused */
  function markIcon(paused) {
    const badge = state.asking.length > 0 ? "?" : paused ? "II" : null;
    const tooltip = state.asking.length > 0 ? t("asksYou", { programs: state.asking.join(", ") }) : t(paused ? "programsPaused" : "tooltip");
    // To mark it redraws the sidebar.
    if (icon === `${badge} ${tooltip}`) return;
    // Without a mark it looks as it was registered.
    if (icon || badge) frontend.markSidebarTab(tab, { badge, tooltip });
    icon = `${badge} ${tooltip}`;
  }

  function made() {
    const icon = make("i", { class: "pi pi-pause", "aria-hidden": "true" });
    const label = make("button", { class: "uiapi-link", type: "button", onclick: open, title: t("paused") }, icon, make("span", { text: t("programsPaused") }));
    return make("div", { class: "uiapi-paused", role: "status" }, label, button(t("resume"), resume, { small: true }));
  }
}
