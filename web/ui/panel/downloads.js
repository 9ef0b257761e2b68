/**
 * The downloads in the panel: progress, pause and cancel buttons, and for a failed one buttons that solve the problem.
 *
 * @typedef {{id: string, name: string, model: any}} Item
 */

import { arrangeRows, button, emptyState, iconButton, make, set } from "../dom.js";
import { duration, keepSizes, size } from "../format.js";
import { createSparkline } from "../look/sparkline.js";
import { askAddresses } from "../models/models_dialog.js";
import { named, t } from "../texts.js";

// Milliseconds between two points of the line of a rate.
const POINT_EVERY = 900;
// The states in which nothing goes on: all others can be paused.
const STILL = new Set(["waiting_for_url", "success", "error", "cancelled", "paused"]);
const AGAIN = new Set(["error", "cancelled"]);
// After these errors, trying the same URL again does not help.
const WRONG_ADDRESS = new Set(["not_at_source", "gone_at_source", "not_a_model", "size_mismatch", "hash_mismatch", "declined", "no_webui", "timeout", "invalid", "unknown_folder"]);

/**
 * @param {object} means
 * @param {import("./state.js").State} means.state
 * @param {import("../dialogs.js").Dialogs} means.dialogs
 * @param {import("../models/models_dialog.js").Check} means.check
 * @param {(command: string, data?: any) => Promise<any>} means.ask
 */
export function createDownloads({ state, dialogs, check, ask }) {
  const empty = emptyState("pi-download", t("empty"), t("noDownloads"));
  const list = make("div", { class: "uiapi-section", role: "list", "aria-label": t("downloads") });
  const scroll = make("div", { class: "uiapi-scroll uiapi-fill", tabindex: "0", role: "region", "aria-label": t("downloads") }, list);

  /** @returns {Item[]} the newest download first */
  function items() {
    const downloads = [...state.downloads.values()].sort((a, b) => b.start_time - a.start_time);
    return downloads.flatMap(({ download_id: id, progress }) =>
      Object.entries(progress ?? {})
        .filter(([, model]) => model.model_number !== "existing")
        .map(([name, model]) => ({ id, name, model })),
    );
  }

  /** @param {Item} first */
  function createRow(first) {
    const { id, name } = first;
    const part = { download_id: id, model: name };
    let { model } = first;
    const done = make("div");
    const bar = make("div", { class: "uiapi-bar", role: "progressbar", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100 }, done);
    const facts = make("span", { class: "uiapi-hint uiapi-grow" });
    const rate = createSparkline();
    let drawn = 0;
    const pause = iconButton("pi-pause", t("pauseDownload", { name }), () => ask("download_pause", part));
    const resume = iconButton("pi-play", t("resumeDownload", { name }), () => ask("download_resume", part));
    const cancel = iconButton("pi-times", t("cancelDownload", { name }), () => ask("download_cancel", part));
    const reason = make("p", { class: "uiapi-bad" });
    const fixes = make("div", { class: "uiapi-fixes" });
    let fixedFor = "";
    const title = make("span", { class: "uiapi-grow uiapi-cut", text: name, title: name });
    const row = make("div", { class: "uiapi-row", role: "listitem" }, make("div", { class: "uiapi-line" }, title, pause, resume, cancel), bar, make("div", { class: "uiapi-line" }, facts, rate.element), reason, fixes);
    row.update = (/** @type {Item} */ item) => {
      ({ model } = item);
      const { status, bytes, total, speed, eta, error, code } = model;
      const share = status === "success" ? 1 : total ? Math.min(1, bytes / total) : 0;
      done.style.transform = `scaleX(${share})`;
      set(bar, { "aria-valuenow": Math.round(share * 100) });
      const amount = total ? `${size(bytes)} / ${size(total)}` : bytes ? size(bytes) : "";
      const rest = [named("states", status) ?? status, amount, speed && `${size(speed)}/s`, eta && t("left", { time: duration(eta) })];
      set(facts, { text: rest.filter(Boolean).join(" · ") });
      if (status === "downloading" && typeof speed === "number" && performance.now() - drawn >= POINT_EVERY) {
        drawn = performance.now();
        rate.add(speed);
      }
      pause.hidden = STILL.has(status);
      resume.hidden = status !== "paused" && status !== "cancelled";
      cancel.hidden = STILL.has(status) && status !== "paused" && status !== "waiting_for_url";
      reason.hidden = !error;
      set(reason, { text: keepSizes(error ?? "") });
      const failure = AGAIN.has(status) ? `${code} ${error}` : "";
      if (failure !== fixedFor) {
        fixedFor = failure;
        fixes.replaceChildren(...(failure ? ways(item) : []));
      }
    };
    return row;
  }

  /**
   * @param {Item} item that failed
   * @returns {HTMLElement[]} buttons that solve the problem
   */
  function ways({ id, name, model }) {
    const again = () => ask("download_resume", { download_id: id, model: name });
    const { code } = model;
    if (code === "login_required" || code === "gated") {
      const page = pageOf(model.url);
      const link = page && make("a", { class: "uiapi-button uiapi-small", href: page, target: "_blank", rel: "noopener noreferrer", text: t("acceptLicence") });
      const token = button(t("enterToken"), () => enterToken(model.url, again), { small: true });
      return [code === "gated" && link, token, button(t("tryAgain"), again, { small: true })].filter(Boolean);
    }
    if (code === "host_refused" && model.details?.host) {
      const allow = async () => {
        if (await ask("panel_allow_host", { host: model.details.host })) await again();
      };
      return [button(t("allowHost", { host: model.details.host }), allow, { small: true })];
    }
    const address = button(t("enterAddress"), () => enterAddress(name, model), { small: true });
    return WRONG_ADDRESS.has(code) ? [address] : [button(t("tryAgain"), again, { small: true }), address];
  }

  /**
   * @param {string} url
   * @param {() => Promise<any>} again
   */
  async function enterToken(url, again) {
    const host = /civitai/i.test(url ?? "") ? "civitai" : "huggingface";
    const token = await dialogs.secret(t("tokenTitle", { host: t(`sources.${host}`) }), t("tokenHint"), new AbortController().signal);
    if (token && (await ask("panel_host_token", { host, token }))) await again();
  }

  /**
   * @param {string} name
   * @param {any} model
   */
  async function enterAddress(name, model) {
    const asked = [{ name, directory: model.directory }];
    const given = await askAddresses(dialogs, asked, check, new AbortController().signal, { places: true }).catch(() => null);
    const url = given?.urls[name];
    // Not awaited: the response comes when the file is complete.
    if (url) ask("download_model", { model_name: name, model_def: { url, ckpt_type: model.directory ?? given.directories[name] } });
  }

  return {
    elements: [empty, scroll],

    /** @returns {number} how many are in progress */
    going: () => items().filter(({ model }) => !STILL.has(model.status)).length,

    /** Updates the list. */
    update() {
      const all = items();
      empty.hidden = all.length > 0;
      scroll.hidden = all.length === 0;
      arrangeRows(list, all, ({ id, name }) => `${id}/${name}`, createRow);
    },
  };
}

/**
 * @param {string | undefined} url of a file
 * @returns {string | null} the page with its terms, if known
 */
export function pageOf(url) {
  let address;
  try {
    address = new URL(url ?? "");
  } catch {
    return null;
  }
  if (address.protocol !== "https:" && address.protocol !== "http:") return null;
  const path = address.pathname.replace(/\/(resolve|blob)\/.*/, "");
  return `${address.origin}${path}`;
}
