/**
 * The line of the notice about missing nodes of the open workflow, and their installation.
 *
 * The line shows what is missing, then the progress of ComfyUI-Manager, then that ComfyUI has to be restarted. After
 * the restart the page is loaded again with the same workflow. Programs hear of it by `node_install` events.
 *
 * @typedef {import("../../page/pack_manager.js").Wanted} Wanted
 * @typedef {import("../../page/pack_manager.js").Kind} Kind
 * @typedef {import("./nodes_dialog.js").Found} Found
 */

import { button } from "../dom.js";
import { words } from "../../common/errors.js";
import { beginning } from "../format.js";
import { askForNodes } from "./nodes_dialog.js";
import { SETTING } from "../controls/settings.js";
import { REFUSED, UNKNOWN } from "../../page/pack_manager.js";
import { walk } from "../../paths/subgraphs.js";
import { t } from "../texts.js";

// Milliseconds after a load, as for missing models.
const LOOK_AFTER = 500;
// Milliseconds between looks whether ComfyUI is back, and for how long.
const BACK_EVERY = 500;
const BACK_AT_MOST = 600_000;
// The workflow that is shown again after the restart.
const KEPT = "ComfyUI-uiapi.restart";
const PROBLEMS_SHOWN = 3;
const TYPES_NAMED = 3;
const LONGEST_TYPE = 40;

/**
 * @param {object} means
 * @param {import("../../page/frontend.js").Frontend} means.frontend
 * @param {import("../../page/workflows.js").Workflows} means.workflows
 * @param {import("../panel/state.js").State} means.state
 * @param {import("../dialogs.js").Dialogs} means.dialogs
 * @param {import("../../page/loader.js").Loader} means.loader
 * @param {(command: string, data?: any) => Promise<any>} means.request sends a command on behalf of the person
 * @param {import("../../page/pack_manager.js").PackManager} means.manager
 * @param {(data: any) => void} means.publish sends a `node_install` event
 * @param {import("./notice.js").Line} means.notice the line of the notice
 * @param {any} page the window
 */
export function createMissingNodes({ frontend, workflows, state, dialogs, loader, request, manager, publish, notice }, page) {
  /** @type {Set<string>} the dismissed notices */
  const dismissed = new Set();
  let timer = 0;
  let looks = 0;
  // Whether to look once the server is connected.
  let due = false;
  // Whether an installation or a restart has the line.
  let busy = false;

  function lookSoon() {
    page.clearTimeout(timer);
    timer = page.setTimeout(look, LOOK_AFTER);
  }

  /** @returns {boolean} whether the page shows a node that it cannot make */
  function showsUnknown() {
    for (const { node } of walk(frontend.rootGraph())) {
      if (!node.subgraph && !frontend.knowsType(node.type)) return true;
    }
    return false;
  }

  async function look() {
    due = !state.server;
    if (due || busy || frontend.setting(SETTING) === false) return;
    const mine = ++looks;
    if (!showsUnknown()) return notice.hide();
    /** @type {Found} */
    let found;
    try {
      found = await request("missing_nodes", { workflow: frontend.state(), webui: state.clientId() });
    } catch (error) {
      page.console.debug("ComfyUI-uiapi: could not look for the missing nodes of the workflow", error);
      if (mine === looks && !busy) notice.hide();
      return;
    }
    if (mine !== looks || busy) return;
    const key = [workflows.idOf(workflows.active()), ...found.types.map(({ type }) => type)].join("\n");
    if (found.types.length === 0 || dismissed.has(key)) return notice.hide();
    offer(sentenceOf(found.types.map(({ type }) => type ?? t("unknownType"))), found, () => void dismissed.add(key));
  }

  /**
   * @param {string} sentence
   * @param {Found} found
   * @param {() => void} [whenDismissed]
   */
  function offer(sentence, found, whenDismissed = () => {}) {
    notice.show(sentence, [button(t("showNodes"), () => decide(found), { small: true })], whenDismissed);
  }

  /** @param {Found} found */
  async function decide(found) {
    const chosen = await askForNodes(dialogs, found, new AbortController().signal);
    if (chosen && found.manager) await install(chosen.click, found.manager, chosen.wanted, found);
  }

  /**
   * @param {Event} click
   * @param {Kind} kind
   * @param {Wanted[]} wanted
   * @param {Found} found
   */
  async function install(click, kind, wanted, found) {
    const packs = wanted.map(({ pack }) => pack.title);
    const say = (/** @type {string} */ step, /** @type {any} */ more = {}) => publish({ state: step, packs, total: packs.length, by: "person", ...more });
    const show = (/** @type {number} */ done) => notice.show(coming(packs, done), [], () => {});
    busy = true;
    try {
      show(0);
      say("started", { done: 0 });
      const outcomes = await manager.install(click, kind, wanted, (done) => {
        show(done);
        say("progress", { done });
      });
      const bad = outcomes.filter(({ state: end }) => end !== "done");
      const problems = bad.slice(0, PROBLEMS_SHOWN).map(({ pack, reason }) => t("packFailed", { pack: pack.title, reason: reasonOf(reason) })).join(" ");
      for (const { pack, state: end, reason } of bad) say(end, { packs: [pack.title], reason: reasonOf(reason) });
      const done = outcomes.length - bad.length;
      if (done === 0) return offer(problems, found);
      say("done", { done });
      say("restart_needed", { done });
      const again = button(t("restart"), (event) => restart(event, kind, say), { small: true, primary: true });
      notice.show([t("packsInstalled", { count: done }), problems].filter(Boolean).join(" "), [again], () => {});
    } catch (error) {
      say("failed", { reason: words(error) });
      offer(t("installFailed", { problem: words(error) }), found);
    } finally {
      busy = false;
    }
  }

  /**
   * @param {Event} click
   * @param {Kind} kind
   * @param {(step: string, more?: any) => void} say
   */
  async function restart(click, kind, say) {
    busy = true;
    notice.busy(t("restarting"));
    const { losses } = state;
    const until = page.performance.now() + BACK_AT_MOST;
    const watch = page.setInterval(() => {
      if (state.losses > losses && state.server) {
        page.clearInterval(watch);
        page.location.reload();
      } else if (page.performance.now() > until) ended(t("restartLate"));
    }, BACK_EVERY);
    const ended = (/** @type {string} */ sentence) => {
      page.clearInterval(watch);
      page.sessionStorage.removeItem(KEPT);
      busy = false;
      notice.show(sentence, [button(t("restart"), (event) => restart(event, kind, say), { small: true })], () => {});
    };
    keep();
    say("restarting");
    const why = await manager.restart(click, kind).catch(words);
    if (why === null) return;
    const reason = reasonOf(why);
    say("refused", { reason });
    ended(t("restartRefused", { reason }));
  }

  /** Keeps the open workflow, since the page need not. */
  function keep() {
    const kept = { workflow: frontend.state(), name: workflows.active()?.filename ?? null };
    try {
      page.sessionStorage.setItem(KEPT, JSON.stringify(kept));
    } catch (error) {
      // A workflow that is too large for it; the page usually keeps it as well.
      page.console.debug("ComfyUI-uiapi: could not keep the workflow for the restart", error);
    }
  }

  /** Shows the workflow again that was open before the restart, unless the page does so itself. */
  async function showAgain() {
    const text = page.sessionStorage.getItem(KEPT);
    page.sessionStorage.removeItem(KEPT);
    if (text === null) return;
    const { workflow, name } = JSON.parse(text);
    if (nodesOf(workflow) === nodesOf(frontend.state())) return;
    try {
      await loader.load(workflow, name, false, new AbortController().signal);
    } catch (error) {
      frontend.toast("error", t("nodes"), words(error));
    }
  }

  workflows.onLoaded(lookSoon);
  state.onChange(() => {
    if (!state.server) due ||= !busy && notice.shown();
    else if (due) {
      due = false;
      lookSoon();
    }
  });
  showAgain().then(lookSoon);
}

/** @param {string} reason */
const reasonOf = (reason) => (reason === REFUSED ? t("managerRefused") : reason === UNKNOWN ? t("managerSilent") : reason);

/**
 * @param {string[]} packs
 * @param {number} done
 */
const coming = (packs, done) => (packs.length === 1 ? t("packComing", { pack: packs[0] }) : t("packsComing", { count: packs.length, done }));

/**
 * @param {string[]} types
 * @returns {string} a sentence that names the first missing types
 */
export function sentenceOf(types) {
  const first = types.slice(0, TYPES_NAMED).map((type) => beginning(type, LONGEST_TYPE));
  const more = types.length - first.length;
  const names = more > 0 ? t("andMore", { names: first.join(", "), count: more }) : first.join(", ");
  return t("nodesMissing", { count: types.length, names });
}

/** @param {any} workflow */
const nodesOf = ({ nodes }) => JSON.stringify(nodes.map((/** @type {any} */ { id, type }) => [id, type]));
