/**
 * The notice over the canvas about missing models of the open workflow.
 *
 * It shows what is missing, then the progress of the download, then that the workflow can be run. Nothing is downloaded
 * before the person has seen the plan. It also reports models that are present under another path, and can set the
 * widgets to it.
 */

import { button } from "../dom.js";
import { words } from "../../common/errors.js";
import { size } from "../format.js";
import { askForCopies } from "../copies_dialog.js";
import { describedBy, describeModels, lacksChoices, namedUses, relinkModels } from "../../widgets/model_widgets.js";
import { askForModels } from "../models/models_dialog.js";
import { SETTING } from "../controls/settings.js";
import { t } from "../texts.js";

// Milliseconds after a load, since workflows are often loaded in quick succession.
const LOOK_AFTER = 500;
// The planned actions without a download.
const SETTLED = new Set(["present", "spelled_differently", "relink", "choose", "not_needed"]);
// The states of a model that is present under another path.
const ELSEWHERE = new Set(["spelled_differently", "relink", "choose"]);

/**
 * @param {object} means
 * @param {import("../../page/frontend.js").Frontend} means.frontend
 * @param {import("../../page/workflows.js").Workflows} means.workflows
 * @param {import("../panel/state.js").State} means.state
 * @param {import("../dialogs.js").Dialogs} means.dialogs
 * @param {ReturnType<typeof import("../../page/run_queue.js").createRuns>} means.runs
 * @param {(command: string, data?: any) => Promise<any>} means.request sends a command on behalf of the person
 * @param {import("../models/models_dialog.js").Check} means.check
 * @param {import("../models/models_dialog.js").Find} means.find
 * @param {() => void} means.openPanel
 * @param {import("./notice.js").Line} means.notice the line of the notice
 * @param {any} page the window
 */
export function createMissing({ frontend, workflows, state, dialogs, runs, request, check, find, openPanel, notice }, page) {
  /** @type {Set<string>} the dismissed notices */
  const dismissed = new Set();
  let timer = 0;
  let looks = 0;
  // Whether to analyze the workflow once the server is connected.
  let due = false;
  /** @type {string | null} the download that was started here */
  let download = null;

  function lookSoon() {
    page.clearTimeout(timer);
    timer = page.setTimeout(look, LOOK_AFTER);
  }

  /** @returns {Promise<any[]>} the models that a run needs and does not find by name */
  async function unfound() {
    const { models } = await request("analyze_workflow", { workflow: frontend.state() });
    return models.filter((/** @type {any} */ model) => !model.exists && model.needed);
  }

  /** @param {any} model */
  const isElsewhere = ({ state }) => ELSEWHERE.has(state);

  /** @param {any} model */
  const isToChoose = ({ state }) => state === "choose";

  /** @returns {Promise<any[]>} those that are missing under any name */
  const missing = async () => (await unfound()).filter((model) => !isElsewhere(model));

  async function look() {
    due = !state.server;
    if (due || download !== null || frontend.setting(SETTING) === false) return;
    const mine = ++looks;
    let models;
    try {
      models = await unfound();
    } catch (error) {
      page.console.debug("ComfyUI-uiapi: could not analyze the models of the workflow", error);
      // The notice was about the previous workflow.
      if (mine === looks && download === null) notice.hide();
      return;
    }
    if (mine !== looks || download !== null) return;
    const key = keyOf(models);
    if (models.length === 0 || dismissed.has(key)) return notice.hide();
    const dismiss = () => void dismissed.add(key);
    const elsewhere = models.filter(isElsewhere);
    const damaged = models.filter(({ damage }) => damage).length;
    const absent = models.length - elsewhere.length;
    const lack = damaged === 0 ? "modelsMissing" : damaged === absent ? "modelsDamaged" : "modelsMissingOrDamaged";
    const said = [absent > 0 && t(lack, { count: absent }), elsewhere.length > 0 && t("modelsElsewhere", { count: elsewhere.length })];
    const use = t(elsewhere.some(isToChoose) ? "chooseThem" : "useThem", { count: elsewhere.length });
    const actions = [
      ...(absent > 0 ? [button(t("showMissing"), decide, { small: true })] : []),
      ...(elsewhere.length > 0 ? [button(use, relink, { small: true })] : []),
    ];
    notice.show(said.filter(Boolean).join(" "), actions, dismiss);
  }

  /** Sets the widgets whose model is present under another path to that path, and asks where there are several. */
  async function relink() {
    try {
      let models = (await unfound()).filter(isElsewhere);
      const only = models.filter(isToChoose).map(({ name, directory }) => (directory ? `${directory}/${name}` : name));
      if (only.length > 0) {
        // The plan compares files of equal size by their content, which the analysis does not do.
        await request("plan_downloads", { workflow: frontend.state(), only });
        models = (await unfound()).filter(isElsewhere);
      }
      const asked = models.filter(isToChoose).map((model) => ({ ...model, used_by: namedUses(frontend.rootGraph(), model.nodes) }));
      const chosen = asked.length > 0 ? await askForCopies(dialogs, asked, new AbortController().signal) : [];
      if (!chosen) return;
      const files = new Map(asked.map(({ nodes }, index) => [nodes, chosen[index]]));
      const links = models.flatMap(({ nodes }) =>
        nodes
          .filter((/** @type {any} */ { state, widget }) => ELSEWHERE.has(state) && widget !== null)
          .map((/** @type {any} */ { id, widget, value, listed, state }) => ({ node: id, widget, value, listed: listed ?? files.get(nodes), reason: state }))
          .filter((/** @type {any} */ { listed }) => Boolean(listed)),
      );
      if (lacksChoices(frontend, links)) await frontend.refreshModels();
      await (runs.held() ?? workflows.loading());
      relinkModels(frontend, links, false);
      frontend.repaint();
    } catch (error) {
      frontend.toast("error", t("models"), words(error));
    }
    lookSoon();
  }

  /** @param {any[]} models */
  const keyOf = (models) => [workflows.idOf(workflows.active()), ...models.map(({ name }) => name)].join("\n");

  /** Shows the plan, and downloads the selected models. */
  async function decide() {
    const workflow = frontend.state();
    notice.busy(t("planning"));
    try {
      const [plan, { models }] = await Promise.all([request("plan_downloads", { workflow }), request("analyze_workflow", { workflow })]);
      const usesOf = (/** @type {any} */ planned) =>
        models.find((/** @type {any} */ { name, directory }) => name === planned.name && directory === planned.directory)?.nodes;
      const wanted = plan.models
        .filter((/** @type {any} */ { action }) => !SETTLED.has(action))
        .map((/** @type {any} */ planned) => ({
          name: planned.name,
          directory: planned.directory,
          used_by: namedUses(frontend.rootGraph(), usesOf(planned)),
          nodes: (usesOf(planned) ?? []).map((/** @type {any} */ { id }) => id),
          plan: planned,
        }));
      const free = plan.disks.length > 0 ? Math.min(...plan.disks.map((/** @type {any} */ disk) => disk.free)) : null;
      const look = { title: t("planTitle", { count: wanted.length }), confirm: t("downloadThem"), free, find, searches: true, describes: true, places: true };
      const decision = await askForModels(dialogs, wanted, check, new AbortController().signal, look);
      const chosen = decision?.chosen ?? [];
      if (chosen.length === 0) return void lookSoon();
      for (const { key, url, directory, sha256 } of chosen) {
        if (url) await request("add_model_url", { model_name: key, url, model_type: directory, sha256 });
      }
      if (decision?.describe) {
        await (runs.held() ?? workflows.loading());
        describeModels(frontend, describedBy(chosen));
      }
      await state.listen();
      const only = chosen.map(({ key }) => key);
      // The dialog has shown which damaged files are replaced.
      const overwrite = chosen.some(({ model }) => model.plan?.action === "damaged");
      const links = chosen.filter(({ local }) => local).map(({ key, local, directory }) => [key, { local, directory }]);
      const table = Object.fromEntries(links);
      download = (await request("download_models", { workflow, only, overwrite, download_table: table })).download_id;
      followed();
    } catch (error) {
      frontend.toast("error", t("models"), words(error));
      lookSoon();
    }
  }

  /** Shows the progress of the download that was started here. */
  function followed() {
    const entry = download === null ? undefined : state.downloads.get(download);
    const parts = Object.values(entry?.progress ?? {}).filter(({ model_number }) => model_number !== "existing");
    const done = parts.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
    const total = parts.reduce((sum, part) => sum + (part.total ?? part.bytes ?? 0), 0);
    if (entry?.completed) return void ended(parts.filter(({ status }) => status !== "success").length);
    const sentence = total > 0 ? t("modelsComing", { amount: `${size(done)} / ${size(total)}` }) : t("modelsStarting");
    const leave = () => void (download = null);
    notice.show(sentence, [button(t("showDownloads"), openPanel, { small: true })], leave);
  }

  /** @param {number} failed */
  async function ended(failed) {
    download = null;
    let left = failed;
    try {
      left ||= (await missing()).length;
    } catch (error) {
      // The state is unknown; the next load or reconnect analyzes the workflow again.
      frontend.toast("error", t("models"), words(error));
      return notice.hide();
    }
    if (left > 0) {
      const again = button(t("showMissing"), decide, { small: true });
      notice.show(t("modelsFailed", { count: left }), [button(t("showDownloads"), openPanel, { small: true }), again], () => {});
      return;
    }
    // The server refreshes every tab as well, but maybe only after the button is pressed.
    await frontend.refreshModels();
    const run = () => {
      notice.hide();
      frontend.run();
    };
    notice.show(t("modelsHere"), [button(t("runIt"), run, { small: true, primary: true })], () => {});
  }

  workflows.onLoaded(lookSoon);
  state.onChange(() => {
    if (!state.server) {
      // After a reconnect the server reports downloads in progress again.
      if (download !== null) notice.hide();
      due ||= download !== null;
      download = null;
    } else if (due) {
      // Only once: with frequent updates, a delayed analysis would never take place.
      due = false;
      lookSoon();
    } else if (download !== null) followed();
  });
  lookSoon();
}
