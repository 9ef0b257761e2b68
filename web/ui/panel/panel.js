/**
 * The panel in ComfyUI's sidebar: connection, pause switch, activity of programs, downloads, and URLs of models.
 */

import { addressesSection } from "./addresses.js";
import { button, iconButton, make, set } from "../dom.js";
import { createDownloads } from "./downloads.js";
import { words } from "../../common/errors.js";
import { nextTask } from "../../common/waiting.js";
import { createLog } from "./log.js";
import { createPrograms } from "./programs.js";
import { byExecutionId } from "../../paths/subgraphs.js";
import { t } from "../texts.js";
import { createWebApps } from "./web_apps.js";

export const PANEL_ID = "uiapi";

/**
 * @typedef {object} Means
 * @property {import("../../page/frontend.js").Frontend} frontend
 * @property {import("./state.js").State} state
 * @property {Pick<import("../../page/revisions.js").Revisions, "activeTab">} revisions
 * @property {(command: string, data?: any) => Promise<any>} request sends a command on behalf of the person
 * @property {() => unknown} showRules opens the settings about programs
 * @property {import("../dialogs.js").Dialogs} dialogs
 * @property {import("../models/models_dialog.js").Check} check
 */

/**
 * @param {Means} means
 */
export function createPanel(means) {
  const { frontend, state, revisions } = means;
  /** @type {Map<HTMLElement, () => void>} how to end the panel in each place that shows it; App mode has a sidebar of its own */
  const places = new Map();

  /**
   * @param {string} command
   * @param {any} [data]
   */
  async function ask(command, data) {
    try {
      return await means.request(command, data);
    } catch (error) {
      frontend.toast("error", t("title"), words(error));
      return null;
    }
  }

  /** @param {string} id */
  function show(id) {
    const place = byExecutionId(frontend.rootGraph(), id);
    if (place) frontend.showNode(place.node);
    else frontend.toast("warn", t("title"), t("notThere"));
  }

  /** @param {HTMLElement} container */
  function render(container) {
    places.get(container)?.();
    const top = head(means, ask);
    const programs = createPrograms(state, (program) => ask("panel_forget", { program }));
    const webApps = createWebApps(state, ask);
    const activity = make("div", { class: "uiapi-scroll uiapi-fill", tabindex: "0", role: "region", "aria-label": t("activity") });
    const log = createLog({ frontend, state, activeTab: revisions.activeTab, show, scroll: activity });
    activity.append(webApps.element, programs.element, ...log.elements);
    const downloads = createDownloads({ ...means, ask });
    const addresses = addressesSection({ ...means, ask });
    const tabs = tabbed([
      { id: "activity", label: t("activity"), content: [activity] },
      { id: "downloads", label: t("downloads"), going: downloads.going, content: downloads.elements },
      { id: "addresses", label: t("addresses"), content: addresses.elements, opened: addresses.opened },
    ]);
    const element = make("div", { class: "uiapi" }, top.element, ...tabs.elements);
    container.replaceChildren(element);
    container.style.height = "100%";
    const update = () => {
      if (tabs.shown() === "activity") log.measure();
      top.update();
      tabs.update();
      if (tabs.shown() === "activity") {
        webApps.update();
        programs.update();
        log.update();
      } else if (tabs.shown() === "downloads") downloads.update();
    };
    tabs.onSwitch(update);
    const stop = state.onChange(update);
    const sizes = new ResizeObserver(() => state.changed());
    sizes.observe(element);
    state.watch(true);
    places.set(container, () => {
      places.delete(container);
      stop();
      sizes.disconnect();
      if (places.size === 0) state.watch(false);
    });
    update();
  }

  /** The frontend calls this before it removes one of the places, and does not name it. */
  async function close() {
    await nextTask();
    for (const [container, end] of places) if (!container.isConnected) end();
  }

  frontend.addSidebarTab({ id: PANEL_ID, icon: "pi pi-sliders-h", title: t("title"), tooltip: t("tooltip"), render, destroy: close });
  return {
    /** Draws the panel again, in the language that is chosen now. */
    redraw: () => [...places.keys()].forEach(render),
  };
}

/** @param {import("../../page/frontend.js").Frontend} frontend */
export function openPanel(frontend) {
  if (!frontend.sidebarShows(PANEL_ID)) frontend.toggleSidebar(PANEL_ID);
}

/**
 * @param {Means} means
 * @param {(command: string, data?: any) => Promise<any>} ask
 */
function head({ frontend, state, showRules }, ask) {
  const dot = make("span", { class: "uiapi-dot", "aria-hidden": "true" });
  const status = make("span", { class: "uiapi-grow" });
  const makeMain = button(t("makeMain"), () => ask("panel_main", { main: state.clientId() }), { small: true });
  const pause = make("button", {
    class: "uiapi-switch",
    type: "button",
    role: "switch",
    text: t("pause"),
    onclick: () => ask("panel_decide", { paused: !state.server?.paused }),
  });
  const said = make("p", { class: "uiapi-hint" });
  const rules = iconButton("pi-cog", t("rules"), showRules);
  const closeIcon = frontend.closeIcon();
  const close = closeIcon && iconButton(closeIcon, t("closePanel"), () => frontend.toggleSidebar(PANEL_ID));
  const toolbar = make(
    "div",
    { class: "uiapi-toolbar" },
    make("h2", { class: "uiapi-cut", text: t("title"), title: t("title") }),
    make("div", { class: "uiapi-line" }, rules, close),
  );
  const about = make("div", { class: "uiapi-head" }, make("div", { class: "uiapi-line", role: "status" }, dot, status), makeMain, pause, said);
  return {
    element: make("header", {}, toolbar, about),
    update() {
      const { server } = state;
      const id = state.clientId();
      const main = server?.main_webui_id ?? null;
      set(dot, { class: `uiapi-dot${server ? " uiapi-on" : ""}` });
      const place = main === id ? t("isMain") : main === null ? t("noMain") : t("mainElsewhere", { id: main });
      const text = server ? `${t("connected")}: ${t("thisTab", { id: id ?? "?" })}, ${place}` : t("disconnected");
      set(status, { text, title: `${text}. ${t("isMainHint")}` });
      makeMain.hidden = !server || main === id;
      set(pause, { "aria-checked": String(server?.paused ?? false) });
      /** @type {any} */ (pause).disabled = !server;
      const words = server?.problem ? t("damagedRules", { problem: server.problem }) : server?.paused ? t("paused") : t("released");
      set(said, { text: words, class: server?.paused ? "uiapi-bad" : "uiapi-hint" });
    },
  };
}

/**
 * @param {{id: string, label: string, going?: () => number, content: HTMLElement[], opened?: () => void}[]} tabs
 *   `going` returns the number of the badge on a tab, which must not move the others
 */
function tabbed(tabs) {
  let shown = tabs[0].id;
  /** @type {() => void} */
  let switched = () => {};
  const bodies = tabs.map(({ id, label, content }) => make("div", { class: "uiapi-body", role: "tabpanel", id: `uiapi-${id}`, "aria-label": label }, ...content));
  const counts = tabs.map(() => make("span", { class: "uiapi-count", "aria-hidden": "true" }));
  const heads = tabs.map(({ id, label }, at) => {
    const facts = { class: "uiapi-tab", type: "button", role: "tab", title: label, "aria-controls": `uiapi-${id}`, onclick: () => open(id) };
    return make("button", facts, make("span", { class: "uiapi-cut", text: label }), counts[at]);
  });
  const list = make("div", { class: "uiapi-tabs", role: "tablist", "aria-label": t("title") }, ...heads);
  list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = (tabs.findIndex(({ id }) => id === shown) + step + tabs.length) % tabs.length;
    open(tabs[at].id);
    heads[at].focus();
    event.preventDefault();
  });

  /** @param {string} id */
  function open(id) {
    shown = id;
    tabs.find((tab) => tab.id === id)?.opened?.();
    switched();
  }

  return {
    elements: [list, ...bodies],
    shown: () => shown,
    onSwitch: (/** @type {() => void} */ listener) => void (switched = listener),
    update() {
      tabs.forEach(({ id, label, going }, at) => {
        const own = id === shown;
        const count = going?.() ?? 0;
        counts[at].hidden = count === 0;
        set(counts[at], { text: count });
        const name = count > 0 ? t("downloadsGoing", { count }) : label;
        set(heads[at], { "aria-label": name, "aria-selected": String(own), tabindex: own ? "0" : "-1" });
        bodies[at].hidden = !own;
      });
    },
  };
}
