/**
 * The dialog about missing models: their directories, where they are used, and the source of each.
 *
 * @typedef {import("./model_source.js").Candidate} Candidate
 *
 * @typedef {object} Planned The server's plan for a model; sizes in bytes.
 * @property {"present" | "damaged" | "spelled_differently" | "relink" | "choose" | "download" | "link" | "blocked" | "no_url" | "not_needed"} action
 * @property {string | null} source
 * @property {string | null} [url]
 * @property {number | null} size
 * @property {number | null} [remaining] bytes that are still to be downloaded
 * @property {string | null} [sha256]
 * @property {{code: string, message: string} | null} reason
 * @property {Candidate[]} [candidates] what was found for it, the likeliest first
 * @property {import("./model_source.js").Copy[]} [copies] files on the server's computer that may be it
 * @property {string[]} [similar] names like it that ComfyUI lists
 *
 * @typedef {{name: string, directory?: string | null, used_by?: {path: string}[], nodes?: string[], plan?: Planned,
 *   candidates?: Candidate[]}} Wanted `nodes` are the execution ids of the nodes that use it
 * @typedef {((address: {name: string, directory: string | null, url: string}) => Promise<Planned>) & {allowHost?: (host: string) => Promise<unknown>,
 *   folders?: (models: {name: string, fields: string[]}[]) => Promise<{folders: string[], likely: string[][]}>}} Check
 * @typedef {(models: {name: string, directory: string | null, sha256: string | null}[]) =>
 *   Promise<{models: {candidates: Candidate[]}[], search: {failures: {host: string}[], complete: boolean}}>} Find
 *   searches model hosts; what is found is in the order of the models
 * @typedef {{model: Wanted, key: string, url: string, directory: string | null, sha256: string | null, local?: string}[]} Chosen
 *   The models to download, each with the name under which its URL is saved, and the URL or "", or the path of a file to link
 * @typedef {{urls: Record<string, string>, directories: Record<string, string>}} Given The URLs, and the folders that the person chose, by key
 * @typedef {{chosen: Chosen, describe: boolean}} Decision `describe`: the links are to be saved in the workflow too
 *
 * @typedef {object} Look
 * @property {string} title
 * @property {string} confirm
 * @property {number | null} [free] the free space on the disk in bytes, if known
 * @property {Find} [find]
 * @property {boolean} [searches] whether to search at once
 * @property {boolean} [describes] whether links can be saved in the workflow
 * @property {boolean} [places] whether each model needs a folder
 */

import { breakable, button, make, set } from "../dom.js";
import { CommandError, words } from "../../common/errors.js";
import { ending, size } from "../format.js";
import { createFolderChoice } from "./folder_choice.js";
import { createSource } from "./model_source.js";
import { t } from "../texts.js";

const USES_SHOWN = 3;
// As many fields of a model as the server accepts.
const FIELDS_AT_MOST = 20;
// Characters of a name in the title.
const LONGEST_NAME = 80;

/**
 * Asks for the URLs of models in one dialog.
 *
 * @param {import("../dialogs.js").Dialogs} dialogs
 * @param {Wanted[]} models
 * @param {Check} check asks the server about a URL while it is typed
 * @param {AbortSignal} signal
 * @param {{find?: Find, describe?: (chosen: Chosen) => void | Promise<void>, places?: boolean}} [more] `describe` saves links
 *   in the workflow; `places`: whether each model needs a folder
 * @returns {Promise<Given>} without skipped models
 * @throws {CommandError} declined if none was entered
 */
export async function askAddresses(dialogs, models, check, signal, { find, describe, places } = {}) {
  const title = models.length === 1 ? t("modelTitle", { name: ending(models[0].name, LONGEST_NAME) }) : t("modelsTitle", { count: models.length });
  const look = { title, confirm: t("confirm"), find, describes: Boolean(describe), places };
  const decision = await askForModels(dialogs, models, check, signal, look);
  const given = (decision?.chosen ?? []).filter(({ url }) => url);
  if (given.length === 0) {
    throw new CommandError("declined", "The person at the browser entered no URL.", {
      ckpt_names: models.map(({ name }) => name),
    });
  }
  if (decision?.describe) await describe?.(given);
  const placed = given.filter(({ model }) => !model.directory).flatMap(({ key, directory }) => (directory ? [[key, directory]] : []));
  return {
    urls: Object.fromEntries(given.map(({ key, url }) => [key, url])),
    directories: Object.fromEntries(placed),
  };
}

/**
 * Returns the name under which the URL of a model is saved: with its directory if another model has the same name.
 *
 * @param {Wanted} model
 * @param {Wanted[]} models all of them
 * @returns {string}
 */
export function keyOf({ name, directory }, models) {
  const shared = models.filter((other) => other.name === name).length > 1;
  return shared && directory ? `${directory}/${name}` : name;
}

/**
 * @param {import("../dialogs.js").Dialogs} dialogs
 * @param {Wanted[]} models
 * @param {Check} check
 * @param {AbortSignal} signal
 * @param {Look} look
 * @returns {Promise<Decision | null>} null when the person closed it
 */
export function askForModels(dialogs, models, check, signal, look) {
  return dialogs.show(
    look.title,
    (/** @type {(decision: Decision | null) => void} */ answer) => form(models, check, look, answer),
    signal,
    { wide: true },
  );
}

/**
 * @param {Wanted[]} models
 * @param {Check} check
 * @param {Look} look
 * @param {(decision: Decision | null) => void} answer
 */
function form(models, check, { confirm, free, find, searches, describes, places }, answer) {
  const sum = make("p", { class: "uiapi-grow", role: "status" });
  /** @type {Row[]} */
  let rows = [];
  rows = models.map((model) => createRow(model, check, update, (urls, from) => distribute(urls, rows, from)));
  const heads = [t("model"), t("source"), t("skip")].map((text) => make("th", { scope: "col", text }));
  const table = make(
    "table",
    { class: "uiapi-table uiapi-models" },
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows.map(({ element }) => element)),
  );
  const describe = make("input", { type: "checkbox" });

  function update() {
    const wanted = rows.filter((row) => !row.skipped());
    const bytes = wanted.reduce((total, { source }) => total + (source.bytes() ?? 0), 0);
    const short = typeof free === "number" && bytes > free;
    const parts = [t("modelCount", { count: wanted.length }), bytes > 0 && size(bytes), typeof free === "number" && t("freeOnDisk", { free: size(free) })];
    set(sum, { text: parts.filter(Boolean).join(" · "), class: short ? "uiapi-grow uiapi-bad" : "uiapi-grow uiapi-hint" });
  }

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    const wrong = rows.find((row) => !row.skipped() && row.source.refuses());
    if (wrong) return;
    const wanted = rows.filter((row) => !row.skipped() && (row.source.url() || row.source.bytes() !== null || row.source.known));
    const unplaced = places && wanted.find((row) => !row.directory());
    if (unplaced) return unplaced.folder?.refuse();
    const chosen = wanted.map(({ model, source, directory }) => ({
      model,
      key: keyOf(model, models),
      url: source.url(),
      directory: directory(),
      sha256: source.digest(),
      local: source.local(),
    }));
    // A dialog that closes without a word would look like a download that has begun.
    if (chosen.length > 0) return answer({ chosen, describe: describe.checked });
    set(sum, { text: t("nothingEntered"), class: "uiapi-grow uiapi-bad" });
    rows.find((row) => !row.skipped() && row.source.focus())?.source.focus()?.focus();
  }

  const open = rows.filter(({ source }) => source.field && !source.chosen());
  update();
  offerFolders(rows.filter(({ folder }) => folder), check);
  const submitIt = make("button", { class: "uiapi-button uiapi-primary", type: "submit", text: confirm });
  const cancel = button(t("cancel"), () => answer(null));
  const element = make(
    "form",
    { onsubmit: submit, novalidate: true },
    rows.some(({ source }) => source.field) && make("p", { text: rows.length > 1 ? t("pasteHint") : t("addressHint") }),
    make("div", { class: "uiapi-scroll", tabindex: "0", role: "region", "aria-label": t("models") }, table),
    find && open.length > 0 && searchLine(open, find, Boolean(searches)),
    describes && make("label", { class: "uiapi-line" }, describe, make("span", { text: t("describeLinks") })),
    make("div", { class: "uiapi-actions" }, sum, cancel, submitIt),
  );
  // Not the button that downloads: the dialog may open while the person is typing.
  return { element, focus: rows.find(({ source }) => source.field)?.source.focus() ?? cancel };
}

/**
 * @param {Row[]} rows those without a source
 * @param {Find} find
 * @param {boolean} atOnce
 * @returns {HTMLElement} the line with the button that searches, and with what became of it
 */
function searchLine(rows, find, atOnce) {
  const said = make("span", { class: "uiapi-grow uiapi-hint", role: "status" });
  const start = button(t("searchHosts"), search, { small: true });

  async function search() {
    const pressed = document.activeElement === start;
    start.hidden = true;
    if (pressed) rows[0].source.focus()?.focus();
    set(said, { text: t("searching") });
    for (const { source } of rows) source.note(t("searching"));
    const models = rows.map(({ model: { name, directory = null, plan } }) => ({ name, directory, sha256: plan?.sha256 ?? null }));
    const found = await find(models).catch((error) => words(error));
    if (typeof found === "string") {
      for (const { source } of rows) source.note("");
      return void set(said, { text: found, class: "uiapi-grow uiapi-bad" });
    }
    for (const [at, row] of rows.entries()) {
      const candidates = found.models[at]?.candidates ?? [];
      row.source.note(candidates.length > 0 ? "" : t("nothingFound"));
      row.offer(candidates);
    }
    const count = found.models.filter(({ candidates }) => candidates.length > 0).length;
    const hosts = [...new Set(found.search.failures.map(({ host }) => host))];
    const incomplete = hosts.length > 0 ? t("hostsFailed", { hosts: hosts.join(", ") }) : t("searchIncomplete");
    set(said, { text: [t("linksFound", { found: count, count: rows.length }), !found.search.complete && incomplete].filter(Boolean).join(" ") });
  }

  if (atOnce) search();
  return make("div", { class: "uiapi-line" }, start, said);
}

/**
 * Asks the server which folders there are, and offers them for the models whose folder is unknown.
 *
 * @param {Row[]} rows
 * @param {Check} check
 */
async function offerFolders(rows, check) {
  if (rows.length === 0 || !check.folders) return;
  const models = rows.map(({ model: { name, used_by = [] } }) => ({ name, fields: used_by.slice(0, FIELDS_AT_MOST).map(({ path }) => path) }));
  const answer = await check.folders(models).catch(() => null);
  // Without the list, what was found may still name a folder.
  const { folders, likely } = answer ?? { folders: rows.flatMap(foundFolders), likely: [] };
  for (const [at, { folder, model }] of rows.entries()) {
    folder?.offer(folders, [...new Set([...foundFolders({ model }), ...(likely[at] ?? [])])].filter((one) => folders.includes(one)));
  }
}

/**
 * @param {{model: Wanted}} row
 * @returns {string[]} the folders of the files that were found for a model
 */
function foundFolders({ model: { plan, candidates = plan?.candidates ?? [] } }) {
  return [...candidates, ...(plan?.copies ?? [])].flatMap(({ directory }) => directory ?? []);
}

/** @typedef {ReturnType<typeof createRow>} Row */

/**
 * @param {Wanted} model
 * @param {Check} check
 * @param {() => void} changed
 * @param {(urls: string[], from: HTMLInputElement) => void} pasted called when several URLs were pasted here
 */
function createRow(model, check, changed, pasted) {
  const { name, used_by = [] } = model;
  const shown = make("div", { class: "uiapi-hint", text: model.directory ?? "" });
  const choice = model.directory ? null : createFolderChoice(name, placed);
  const skip = make("input", { type: "checkbox", "aria-label": t("skipModel", { name }), onchange: skipped });
  /** @type {import("./model_source.js").Source | null} */
  let made = null;
  const source = createSource(model, check, { directory, changed: updated, pasted });
  made = source;
  const folder = source.field ? choice : null;
  shown.hidden = !model.directory;
  updated();

  /** @returns {string | null} the directory that the workflow names, or that the person chose */
  function directory() {
    return model.directory || choice?.value() || null;
  }

  function updated() {
    choice?.suggest(made?.chosen()?.directory);
    changed();
  }

  /** Checks the URL again, for the folder that was chosen. */
  function placed() {
    source.choose();
    changed();
  }

  function skipped() {
    source.disable(skip.checked);
    folder?.disable(skip.checked);
    changed();
  }

  const uses = used_by.slice(0, USES_SHOWN).map(({ path }) => path);
  const more = used_by.length - uses.length;
  const places = [...uses, more > 0 && t("more", { count: more })].filter(Boolean).join(", ");
  const element = make(
    "tr",
    {},
    make("th", { scope: "row" }, make("div", {}, ...breakable(name)), shown, places && make("div", { class: "uiapi-hint", text: `${t("usedBy")}: ${places}` })),
    make("td", {}, ...source.elements, ...(folder?.elements ?? [])),
    make("td", {}, skip),
  );
  return { model, element, source, folder, directory, offer: source.offer, skipped: () => skip.checked };
}

/**
 * Assigns pasted URLs to the models whose file names they end with, and the rest to empty fields in order.
 *
 * @param {string[]} urls
 * @param {Row[]} rows
 * @param {HTMLInputElement} from
 */
function distribute(urls, rows, from) {
  const open = rows.filter((row) => row.source.field && !row.skipped());
  const start = open.findIndex(({ source }) => source.field === from);
  const free = new Set([...open.slice(start), ...open.slice(0, start)]);
  const left = [];
  for (const url of urls) {
    const row = [...free].find(({ model }) => fileOf(url) === fileOf(model.name));
    if (!row) left.push(url);
    else {
      free.delete(row);
      row.source.fill(url);
    }
  }
  const empty = [...free].filter((row) => row.source.field === from || !row.source.url());
  for (const [index, url] of left.entries()) empty[index]?.source.fill(url);
}

/**
 * @param {string} address a URL or the name of a model
 * @returns {string} its file name in lower case
 */
function fileOf(address) {
  const last = address.replace(/[?#].*$/, "").split(/[\\/]/).pop() ?? "";
  try {
    return decodeURIComponent(last).toLowerCase();
  } catch {
    // Not percent-encoded; a lone "%" stands for itself.
    return last.toLowerCase();
  }
}
