/**
 * The entry point of the extension: assembles its parts and registers it with ComfyUI.
 */

// Relative, since ComfyUI may be served below a path. The compiler can't find these files, which ComfyUI serves.
// @ts-ignore
import { api } from "../../scripts/api.js";
// @ts-ignore
import { app } from "../../scripts/app.js";
import { commands, given } from "./commands.js";
import { createChanges } from "./page/change_reports.js";
import { createDialogs } from "./ui/dialogs.js";
import { CommandError, words } from "./common/errors.js";
import { createEvents } from "./page/graph_events.js";
import { createFrontend } from "./page/frontend.js";
import { addBadges, createGlow } from "./ui/highlight.js";
import { createHistory } from "./page/history.js";
import { createLastSeen } from "./page/graph_snapshots.js";
import { createMenus } from "./ui/controls/menus.js";
import { createListUpdates } from "./page/list_updates.js";
import { createLoader } from "./page/loader.js";
import { createMarks } from "./ui/controls/marks.js";
import { createMissing } from "./ui/missing/models_notice.js";
import { createMissingNodes } from "./ui/missing/nodes_notice.js";
import { createNotice } from "./ui/missing/notice.js";
import { createPackManager } from "./page/pack_manager.js";
import { createPageKey } from "./connection/page_key.js";
import { createPanel, openPanel, PANEL_ID } from "./ui/panel/panel.js";
import { createQueueing } from "./page/queueing.js";
import { createRevisions } from "./page/revisions.js";
import { createRuns } from "./page/run_queue.js";
import { reportRefusals } from "./ui/controls/refusals.js";
import { CATEGORY, createSettings } from "./ui/controls/settings.js";
import { createState } from "./ui/panel/state.js";
import { addStyles } from "./ui/look/styles.js";
import { createTabs } from "./page/workflow_tabs.js";
import { setTexts, t } from "./ui/texts.js";
import { createTransport } from "./connection/transport.js";
import { unlessCancelled } from "./common/waiting.js";
import { createVariations } from "./exports/variations.js";
import { createWorkflows } from "./page/workflows.js";

const TOKEN_KEY = "ComfyUI-uiapi.token";

const CAPABILITIES = ["execute.fields", "execute.targets", "revisions", "tabs", "batch", "watch", "gather", "panel", "sweep"];

const frontend = createFrontend(app, api, window);

const token = () => localStorage.getItem(TOKEN_KEY);
const pageKey = createPageKey({ url: frontend.pageKeyUrl, token });

/** @type {(rules: Record<string, string>) => Promise<any>} */
let decide = () => Promise.reject(new Error("not connected"));
const settings = createSettings((rules) => {
  decide(rules).catch((error) => frontend.toast("error", t("rulesTitle"), words(error)));
});

/** @type {import("./ui/controls/menus.js").Acts | null} */
let acts = null;
/** Draws again what is shown, in another language. */
let redraw = () => {};
const menus = createMenus(frontend, () => acts, token);

/** @param {WebSocket} opened a new socket to the server */
function start(opened) {
  const dialogs = createDialogs(frontend);
  const lists = createListUpdates(frontend);
  const workflows = createWorkflows(frontend, window);
  const revisions = createRevisions(frontend, workflows, window);
  const queueing = createQueueing(frontend);
  const tabs = createTabs(frontend, workflows);
  const runs = createRuns(frontend, workflows, queueing);
  const means = {
    frontend,
    queueing,
    dialogs,
    workflows,
    revisions,
    history: createHistory(frontend, workflows),
    tabs,
    runs,
    variations: createVariations({ frontend, workflows, revisions, tabs, runs, lists }),
    loader: createLoader(frontend, workflows),
    /** @type {import("./ui/models/models_dialog.js").Check} */
    check: Object.assign((/** @type {any} */ address) => transport.request("panel_check_address", address), {
      allowHost: (/** @type {string} */ host) => transport.request("panel_allow_host", { host }),
      folders: (/** @type {{name: string, fields: string[]}[]} */ models) => transport.request("panel_model_folders", { models }),
    }),
    /** @type {import("./ui/models/models_dialog.js").Find} */
    find: (wanted) => transport.request("panel_find_models", { models: wanted }),
  };

  const transport = createTransport({
    url: frontend.socketUrl,
    opened,
    info: frontend.info,
    sid: () => api.clientId,
    capabilities: CAPABILITIES,
    token,
    pageKey,
    async askToken(wrong) {
      const title = wrong ? t("serverTokenWrong") : t("serverToken");
      const given = await state.whileAsking(dialogs.secret(title, t("serverTokenHint"), new AbortController().signal));
      if (!given) return null;
      localStorage.setItem(TOKEN_KEY, given);
      return given;
    },
    handle(command, data, call) {
      if (!Object.hasOwn(commands, command)) {
        throw new CommandError("tab_failed", `This page does not know the command ${command}; reload the page.`);
      }
      const carryOut = () => {
        means.tabs.require(call.workflow_tab);
        return commands[command](means, given(data ?? {}), call);
      };
      // Commands must not read or write a half-loaded graph.
      const unsettled = workflows.loading() ? workflows.idle() : queueing.unsettled();
      return unsettled ? unlessCancelled(unsettled, call.signal).then(carryOut) : carryOut();
    },
    graphState: () => ({ revision: revisions.revision(), workflow_tab: revisions.activeTab() }),
    onEvent(event, data) {
      if (event === "watch") events.watch(data?.events);
      else state.receive(event, data);
      if (event === "panel_state") {
        settings.show(data.rules, frontend);
        lists.report(data.sweeps.length > 0);
      }
    },
    closed() {
      settings.show(undefined, frontend);
      lists.report(false);
      state.lost();
    },
    greeted() {
      // The server sends its subscriptions again after every welcome.
      events.watch([]);
      lastSeen.anew();
    },
  });

  const parts = { ...means, sendEvent: transport.sendEvent };
  const events = createEvents(parts, window);
  const lastSeen = createLastSeen(parts, window);
  const state = createState(transport, window);
  decide = (rules) => transport.request("panel_decide", { rules });
  createChanges({ ...parts, listens: () => state.server !== null, show: createGlow(frontend, window) }, window);
  addStyles(frontend.look());
  const stopSweep = (/** @type {string} */ sweep_id) =>
    transport.request("sweep_cancel", { sweep_id }).catch((error) => frontend.toast("error", t("title"), words(error)));
  addBadges(state, stopSweep, frontend.onPreview);
  acts = {
    showPanel: () => openPanel(frontend),
    showRules: () => frontend.openSettings(CATEGORY, t("title")),
    pause: () => transport.request("panel_decide", { paused: !state.server?.paused }),
    version: () => state.server?.version ?? null,
  };
  const resume = () => transport.request("panel_decide", { paused: false }).catch((error) => frontend.toast("error", t("title"), words(error)));
  const panel = createPanel({ ...means, state, request: transport.request, showRules: acts.showRules });
  createMarks(state, frontend, { tab: PANEL_ID, open: acts.showPanel, resume });
  reportRefusals(state, frontend, window);
  redraw = () => {
    panel.redraw();
    state.changed();
  };
  const notice = createNotice();
  const reporting = { ...means, state, request: transport.request };
  const publish = (/** @type {any} */ data) => transport.sendEvent("node_install", data);
  createMissingNodes({ ...reporting, manager: createPackManager(api, window), publish, notice: notice.line("pi-th-large") }, window);
  createMissing({ ...reporting, openPanel: () => openPanel(frontend), notice: notice.line("pi-box") }, window);

  api.addEventListener("reconnected", transport.hurry);
  window.addEventListener("pagehide", transport.stop);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) transport.start();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") transport.hurry();
  });
  frontend.onWorkflowName(transport.changed);
  transport.start();
}

/**
 * Reports why this page can't serve programs: to the person, and to programs, which would find no open tab otherwise.
 *
 * @param {WebSocket} opened as for `start`
 * @param {string} reason
 */
function giveUp(opened, reason) {
  const { frontend_version } = frontend.info();
  console.warn(`ComfyUI-uiapi, with frontend ${frontend_version}: ${reason}`);
  frontend.toast("warn", t("rulesTitle"), t("unserved", { version: frontend_version, reason }));
  const transport = createTransport({
    url: frontend.socketUrl,
    opened,
    info: frontend.info,
    sid: () => api.clientId,
    capabilities: [],
    unserved: reason,
    token,
    pageKey,
    askToken: () => Promise.resolve(null),
    handle() {
      throw new CommandError("tab_failed", reason);
    },
    graphState: () => ({}),
    onEvent() {},
    greeted() {},
  });
  window.addEventListener("pagehide", transport.stop);
  transport.start();
}

app.registerExtension({
  name: "ComfyUI.uiapi",
  settings: settings.declared,
  ...menus,
  setup() {
    // A busy server may take a while to accept it.
    const opened = new WebSocket(frontend.socketUrl());
    const ready = Promise.all([frontend.restored(), pageKey.renew(), frontend.translations()]);
    // Not awaited: the page restores its last workflow only after all extensions are set up.
    ready.then(([, , translations]) => {
      setTexts(translations, frontend.locale());
      frontend.onLocale((locale) => {
        setTexts(translations, locale);
        redraw();
      });
      const reason = frontend.unserved();
      if (reason !== null) return giveUp(opened, reason);
      try {
        start(opened);
      } catch (error) {
        console.error(error);
        giveUp(opened, t("failedToStart", { problem: words(error) }));
      }
    });
  },
});
