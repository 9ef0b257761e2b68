/**
 * The panel in ComfyUI's sidebar: connection, pause switch, activity of programs, downloads, and URLs of models.
 */

import { addressesSection } from "./addresses.js";
import { button, make, set } from "../dom.js";
import { createDownloads } from "./downloads.js";
import { words } from "../../common/errors.js";
import { createLog } from "./log.js";
import { createPrograms } from "./programs.js";
import { byExecutionId } from "../../paths/subgraphs.js";
import { t } from "../texts.js";

const PANEL_ID = "uiapi";

/**
 * @typedef {object} Means
 * @property {import("../../page/frontend.js").Frontend} frontend
 * @property {import("./state.js").State} state
 * @property {Pick<import("../../page/revisions.js").Revisions, "activeTab">} revisions
 * @property {(command: string, data?: any) => Promise<any>} request sends a command on behalf of the person
 * @property {import("../dialogs.js").Dialogs} dialogs
 * @property {import("../models/models_dialog.js").Check} check
 */

/**
 * @param {Means} means
 */
export function createPanel(means) {
  const { frontend, state, revisions } = means;
  /** @type {(() => void) | null} */
  let end = null;

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
    close();
    const top = head(means, ask);
    const programs = createPrograms(state, (program) => ask("panel_forget", { program }));
    const log = createLog({ frontend, state, activeTab: revisions.activeTab, show });
    const downloads = createDownloads({ ...means, ask });
    const addresses = addressesSection({ ...means, ask });
    const logTitle = make("div", { class: "uiapi-section" }, make("h3", { text: t("log") }));
    const tabs = tabbed([
      { id: "activity", label: () => t("activity"), content: [programs.element, logTitle, ...log.elements] },
      { id: "downloads", label: () => downloads.label(), content: downloads.elements },
      { id: "addresses", label: () => t("addresses"), content: addresses.elements, opened: addresses.opened },
    ]);
    const element = make("div", { class: "uiapi" }, top.element, ...tabs.elements);
    container.replaceChildren(element);
    container.style.height = "100%";
    const update = () => {
      top.update();
      tabs.update();
      if (tabs.shown() === "activity") {
        programs.update();
        log.update();
      } else if (tabs.shown() === "downloads") downloads.update();
    };
    tabs.onSwitch(update);
    const stop = state.onChange(update);
    const sizes = new ResizeObserver(() => state.changed());
    sizes.observe(element);
    state.watch(true);
    end = () => {
      stop();
      sizes.disconnect();
      state.watch(false);
    };
    update();
  }

  function close() {
    end?.();
    end = null;
  }

  frontend.addSidebarTab({ id: PANEL_ID, icon: "pi pi-sliders-h", title: t("title"), tooltip: t("tooltip"), render, destroy: close });
}

/** @param {import("../../page/frontend.js").Frontend} frontend */
export function openPanel(frontend) {
  if (!frontend.sidebarShows(PANEL_ID)) frontend.toggleSidebar(PANEL_ID);
}

/**
 * @param {Means} means
 * @param {(command: string, data?: any) => Promise<any>} ask
 */
function head({ frontend, state }, ask) {
  const dot = make("span", { class: "uiapi-dot", "aria-hidden": "true" });
  const status = make("span", { class: "uiapi-grow uiapi-cut" });
  const makeMain = button(t("makeMain"), () => ask("panel_main", { main: state.clientId() }), { small: true });
  const pause = make("button", {
    class: "uiapi-switch",
    type: "button",
    role: "switch",
    text: t("pause"),
    onclick: () => ask("panel_decide", { paused: !state.server?.paused }),
  });
  const said = make("p", { class: "uiapi-hint" });
  const rules = button(t("rules"), () => frontend.openSettings(), { small: true, icon: "pi-cog" });
  const element = make(
    "header",
    { class: "uiapi-head" },
    make("h2", { text: t("title") }),
    make("div", { class: "uiapi-line", role: "status" }, dot, status),
    makeMain,
    make("div", { class: "uiapi-line" }, make("span", { class: "uiapi-grow" }, pause), rules),
    said,
  );
  return {
    element,
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
 * @param {{id: string, label: () => string, content: HTMLElement[], opened?: () => void}[]} tabs
 */
function tabbed(tabs) {
  let shown = tabs[0].id;
  /** @type {() => void} */
  let switched = () => {};
  const bodies = tabs.map(({ id, label, content }) => make("div", { class: "uiapi-body", role: "tabpanel", id: `uiapi-${id}`, "aria-label": label() }, ...content));
  const heads = tabs.map(({ id }) =>
    make("button", { class: "uiapi-tab", type: "button", role: "tab", "aria-controls": `uiapi-${id}`, onclick: () => open(id) }),
  );
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
      tabs.forEach(({ id, label }, at) => {
        const own = id === shown;
        set(heads[at], { text: label(), "aria-selected": String(own), tabindex: own ? "0" : "-1" });
        bodies[at].hidden = !own;
      });
    },
  };
}
