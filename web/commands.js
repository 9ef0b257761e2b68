/**
 * The commands that a tab carries out, under the names of their declarations in Python.
 *
 * An entry receives the parts of the extension, the data of the request and the call. It returns a result or a promise,
 * and throws a CommandError to report a failure.
 *
 * @typedef {object} Means
 * @property {import("./page/frontend.js").Frontend} frontend
 * @property {import("./page/queueing.js").Queueing} queueing
 * @property {ReturnType<typeof import("./page/run_queue.js").createRuns>} runs
 * @property {import("./ui/dialogs.js").Dialogs} dialogs
 * @property {import("./page/loader.js").Loader} loader
 * @property {import("./page/workflows.js").Workflows} workflows
 * @property {import("./page/revisions.js").Revisions} revisions
 * @property {import("./page/history.js").History} history
 * @property {import("./page/workflow_tabs.js").Tabs} tabs
 * @property {import("./exports/variations.js").Variations} variations
 * @property {import("./ui/models/models_dialog.js").Check} check
 * @property {import("./ui/models/models_dialog.js").Find} find
 *
 * @typedef {import("./common/types.js").Call} Call
 */

import { approve } from "./ui/questions/approval_dialog.js";
import { alone, batch } from "./graph/batch.js";
import { addNode, arrange, convertToSubgraph, disconnect, removeNodes, setNode, unpackSubgraph } from "./graph/editing.js";
import { CommandError } from "./common/errors.js";
import { addGroup, removeGroup, setGroup } from "./graph/groups.js";
import { connect, linked } from "./graph/links.js";
import { indexed } from "./paths/node_lookup.js";
import { clearModels, describedBy, describeModels, directoryOf, lacksChoices, namedUses, relinkModels, usesOf } from "./widgets/model_widgets.js";
import { changedLists, choiceLists } from "./widgets/choice_lists.js";
import { askAddresses } from "./ui/models/models_dialog.js";
import { approveWebApp } from "./ui/panel/web_app_dialog.js";
import { askForOffer } from "./ui/questions/offer_dialog.js";
import { withOffered } from "./widgets/picture_texts.js";
import { resolve } from "./paths/paths.js";
import { query } from "./graph/query.js";
import { screenshot } from "./graph/screenshot.js";
import { withoutGlow } from "./ui/highlight.js";
import { cutWritten } from "./common/shorten.js";
import { ownerOf } from "./paths/subgraphs.js";
import { missesOutputs, targetIds } from "./graph/targets.js";
import { t } from "./ui/texts.js";
import { unlessCancelled } from "./common/waiting.js";
import { setFields } from "./widgets/widgets.js";

/**
 * The synchronous commands that change the graph; each can also be part of a batch.
 *
 * @type {Record<string, import("./graph/batch.js").Edit>}
 */
const edits = {
  set_fields: (frontend, { fields, pictures }) => cutWritten(setFields(frontend, withOffered(fields, pictures))),
  set_connection: (frontend, { field: [from, to] }) => connect(frontend, from, to),
  add_node: addNode,
  remove_node: removeNodes,
  set_node: setNode,
  disconnect,
  add_group: addGroup,
  set_group: setGroup,
  remove_group: removeGroup,
  arrange,
  convert_to_subgraph: convertToSubgraph,
  unpack_subgraph: unpackSubgraph,
};

/** @type {Record<string, (means: Means, data: any, call: Call) => any>} */
export const commands = {
  get_workflow: async ({ frontend, queueing }) => ({ workflow: await queueing.alone(frontend.exports.both) }),

  get_workflow_api: async ({ frontend, queueing }) => ({ output: (await queueing.alone(frontend.exports.prompt)).output }),

  get_fields({ frontend }, { fields }) {
    const root = frontend.rootGraph();
    const valueOf = (/** @type {import("./common/types.js").Field} */ field) =>
      field.widget ? (ownerOf({ ...field, widget: field.widget }).widget.value ?? null) : linked(root, field);
    return indexed(() => Object.fromEntries(fields.map((/** @type {string} */ path) => [path, valueOf(resolve(root, path))])));
  },

  ...Object.fromEntries(
    Object.keys(edits).map((name) => [
      name,
      (/** @type {Means} */ means, /** @type {any} */ data, /** @type {Call} */ call) =>
        write(means, call, () => {
          const answer = alone(means, edits, name, data);
          means.frontend.repaint();
          return answer;
        }),
    ]),
  ),

  batch: (means, data, call) => write(means, call, () => batch(means, edits, { ...data, commands: data.commands.map(stripped) })),

  undo: (means, { steps = 1 }, call) => write(means, call, () => means.history.undo(steps)),

  redo: (means, { steps = 1 }, call) => write(means, call, () => means.history.redo(steps)),

  take_snapshot: ({ history }, { name }) => history.take(name),

  list_snapshots: ({ history }) => history.list(),

  restore_snapshot: (means, { snapshot }, call) => write(means, call, () => means.history.restore(snapshot)),

  compare_snapshots: ({ history }, { a, b }) => history.compare(a, b),

  list_tabs: ({ tabs }) => tabs.list(),

  new_tab: (means, { name }, call) => write(means, call, () => means.tabs.create(name)),

  open_tab: (means, { path }, call) => write(means, call, () => means.tabs.openSaved(path)),

  switch_tab: (means, { tab }, call) => write(means, call, () => means.tabs.switchTo(tab)),

  rename_tab: (means, { tab, name }, call) => write(means, call, () => means.tabs.rename(tab, name)),

  save_tab: (means, { tab, name, overwrite = false }, call) =>
    write(means, call, () => means.tabs.save(tab, name, overwrite)),

  close_tab: (means, { tab, discard = false }, call) => write(means, call, () => means.tabs.close(tab, discard)),

  async execute({ frontend, queueing, runs, revisions, tabs, workflows }, { batch_count = 1, fields, pictures, targets }, call) {
    // Only an export shows what lies behind a node.
    if (targets && missesOutputs(frontend, targets)) targetIds(frontend, targets, (await queueing.alone(frontend.exports.prompt)).output);
    /** @type {Record<string, import("./common/types.js").Written> | undefined} */
    let set;
    /** @type {string[]} */
    let warnings = [];
    const { undoStep, close, takeBack } = workflows.openUndoStep();
    const prepare = () => {
      tabs.require(call.workflow_tab);
      revisions.require(call.if_revision);
      // No repaint: the page repaints after queueing a run, and an earlier one would only delay it.
      if (fields) set = cutWritten(setFields({ ...frontend, undoStep }, withOffered(fields, pictures)));
    };
    const by = { program: call.by ?? null, request: call.id };
    const needed = fields || call.if_revision || call.workflow_tab ? prepare : undefined;
    const limit = targets ? () => targetIds(frontend, targets) : undefined;
    const part = (/** @type {string[]} */ leftOut) => {
      close();
      warnings = leftOut;
      return { ...(set ? { set } : {}), ...(warnings.length > 0 ? { warnings } : {}) };
    };
    try {
      const queued = await revisions.caused(by, () => runs.queue({ count: batch_count, prepare: needed, targets: limit, part }, call));
      return { ...queued, ...part(warnings) };
    } catch (error) {
      // No run has used the fields of this one.
      if (error instanceof CommandError && error.details.step === "export") await takeBack();
      throw error;
    } finally {
      close();
    }
  },

  export_prompts: ({ variations }, data, call) => variations.exportPrompts(data, call),

  query_fields: ({ frontend }, filters) => query(frontend.rootGraph(), filters),

  screenshot: ({ frontend }, data) => screenshot(frontend, window, data, withoutGlow),

  load_workflow: (means, { workflow, name }, call) =>
    write(means, call, () => means.loader.load(workflow, name ?? null, false, call.signal)),

  async send_workflow(means, { workflow, message, title }, call) {
    const offer = { workflow, program: call.by || t("unnamedProgram"), title: title || null, message: message || t("offerMessage") };
    const accepted = await askForOffer(means, offer, call.signal);
    if (!accepted) return { accepted, message: "The person at the browser declined the workflow." };
    const loaded = await write(means, call, () => means.loader.load(workflow, fileName(title), true, call.signal));
    return { accepted, message: loaded.message };
  },

  clear_nonexistant_models: (means, { missing }, call) =>
    write(means, call, () => {
      const cleared_fields = clearModels(means.frontend, missing);
      means.frontend.repaint();
      const count = cleared_fields.length;
      const message = `Cleared ${count} ${count === 1 ? "field" : "fields"} whose model is missing.`;
      return { message, cleared_count: count, cleared_fields };
    }),

  async relink_models(means, { links, dry_run = false }, call) {
    if (!dry_run && lacksChoices(means.frontend, links)) await means.frontend.refreshModels();
    const relink = () => {
      const answer = relinkModels(means.frontend, links, dry_run);
      means.frontend.repaint();
      return answer;
    };
    return dry_run ? relink() : write(means, call, relink);
  },

  async get_model_url(means, { ckpt_name, ckpt_names, models }, call) {
    const { frontend, dialogs, check, find } = means;
    const root = frontend.rootGraph();
    const names = ckpt_names ?? [ckpt_name];
    const known = (/** @type {string} */ name) => ({ name, directory: directoryOf(root, name), used_by: usesOf(root, name) });
    const idsOf = (/** @type {{id?: string}[]} */ uses = []) => uses.map(({ id }) => id).filter((id) => id !== undefined);
    const listed = models?.map((/** @type {any} */ model) => ({ ...model, used_by: namedUses(root, model.used_by), nodes: idsOf(model.used_by) }));
    const wanted = listed ?? names.map(known);
    const describe = (/** @type {import("./ui/models/models_dialog.js").Chosen} */ chosen) => void write(means, call, () => describeModels(frontend, describedBy(chosen)));
    // A download, which names the models itself, can't do without a folder; a program may have asked for URLs only.
    const { urls, directories } = await askAddresses(dialogs, wanted, check, call.signal, { find, describe, places: Boolean(models) });
    const placed = Object.keys(directories).length > 0 ? { directories } : {};
    return ckpt_names ? { urls, ...placed } : { url: urls[ckpt_name], model_type: wanted[0].directory ?? directories[ckpt_name], ...placed };
  },

  approve: ({ frontend, dialogs }, request, { signal }) => approve(frontend, dialogs, request, signal),

  approve_web_app: ({ dialogs }, { origin }, { signal }) => approveWebApp(dialogs, origin, signal),

  page_types: ({ frontend }, { types }) => ({ types: types.filter(frontend.makesType) }),

  async refresh_models({ frontend }) {
    const before = choiceLists(frontend);
    await frontend.refreshModels();
    return { refreshed: true, changed: changedLists(before, choiceLists(frontend)) };
  },
};

/**
 * Makes a change on behalf of a program, once no run is being queued and no workflow is being loaded, and only if the
 * graph has the revision and workflow tab that the program expects.
 *
 * @template T
 * @param {Means} means
 * @param {Call} call
 * @param {() => T | Promise<T>} change
 * @returns {T | Promise<T>}
 */
export function write(means, call, change) {
  const carryOut = () => {
    means.tabs.require(call.workflow_tab);
    means.revisions.require(call.if_revision);
    return means.revisions.caused({ program: call.by ?? null, request: call.id }, change);
  };
  const busy = means.runs.held() ?? means.workflows.loading();
  // Another run or load may have begun meanwhile.
  return busy ? unlessCancelled(busy, call.signal).then(() => write(means, call, change)) : carryOut();
}

/**
 * @param {string | null | undefined} title that a program gives a workflow
 * @returns {string | null} the name of its tab, which may become the name of a file
 */
const fileName = (title) => (title ?? "").replace(/[\\/:*?"<>|\p{Cc}]/gu, " ").replace(/\s+/g, " ").trim().replace(/^\.+/, "").slice(0, 80).trim() || null;

/** @param {{command: string, data?: any}} part of a batch */
const stripped = ({ command, data }) => ({ command, data: given(data ?? {}) });

/**
 * Removes null values from the data of a request, where they mean "not given"; except for colours, which null removes.
 *
 * @param {Record<string, any>} data
 * @returns {Record<string, any>}
 */
export function given(data) {
  if (!Object.values(data).includes(null)) return data;
  return Object.fromEntries(Object.entries(data).filter(([name, value]) => value !== null || name === "color"));
}
