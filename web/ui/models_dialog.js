/**
 * The dialog about missing models: their directories, where they are used, and a field for the URL of each.
 *
 * @typedef {object} Planned The server's plan for a model; sizes in bytes.
 * @property {"present" | "damaged" | "spelled_differently" | "relink" | "choose" | "download" | "link" | "blocked" | "no_url" | "not_needed"} action
 * @property {string | null} source
 * @property {string | null} [url]
 * @property {number | null} size
 * @property {number | null} [remaining] bytes that are still to be downloaded
 * @property {{code: string, message: string} | null} reason
 *
 * @typedef {{name: string, directory?: string | null, used_by?: {path: string}[], plan?: Planned}} Wanted
 * @typedef {(address: {name: string, directory: string | null, url: string}) => Promise<Planned>} Check
 * @typedef {{model: Wanted, key: string, url: string}[]} Chosen The models to download, each
 *   with the name under which its URL is saved, and the entered URL or ""
 */

import { button, make, set } from "./dom.js";
import { CommandError, words } from "../common/errors.js";
import { size } from "./format.js";
import { texts } from "./texts.js";

// The accepted forms: https, hf://, an AIR, or a repository with a file.
const ADDRESS = /^(https?:\/\/\S+|hf:\/\/\S+|(urn:)?air:\S+|[\w.-]+\/[\w.-]+\/\S+)$/i;
// Milliseconds without typing before the URL is checked.
const TYPING = 400;
const USES_SHOWN = 3;
const GOOD = new Set(["download", "link", "present"]);

/**
 * Asks for the URLs of models in one dialog.
 *
 * @param {import("./dialogs.js").Dialogs} dialogs
 * @param {Wanted[]} models
 * @param {Check} check asks the server about a URL while it is typed
 * @param {AbortSignal} signal
 * @returns {Promise<Record<string, string>>} by key, without skipped models
 * @throws {CommandError} declined if none was entered
 */
export async function askAddresses(dialogs, models, check, signal) {
  const title = models.length === 1 ? texts.modelTitle(models[0].name) : texts.modelsTitle(models.length);
  const chosen = await askForModels(dialogs, models, check, signal, { title, confirm: texts.confirm });
  const given = (chosen ?? []).filter(({ url }) => url);
  if (given.length === 0) {
    throw new CommandError("declined", "The person at the browser entered no URL.", {
      ckpt_names: models.map(({ name }) => name),
    });
  }
  return Object.fromEntries(given.map(({ key, url }) => [key, url]));
}

/**
 * @param {Planned} plan
 * @returns {boolean} whether the model is present or can be obtained; a damaged file is replaced
 */
function canBeHad({ action, url }) {
  return GOOD.has(action) || (action === "damaged" && Boolean(url));
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
 * @param {import("./dialogs.js").Dialogs} dialogs
 * @param {Wanted[]} models
 * @param {Check} check
 * @param {AbortSignal} signal
 * @param {{title: string, confirm: string, free?: number | null}} look `free` is the free space on the disk in bytes, if known
 * @returns {Promise<Chosen | null>} null when the person closed it
 */
export function askForModels(dialogs, models, check, signal, look) {
  return dialogs.show(
    look.title,
    (/** @type {(chosen: Chosen | null) => void} */ answer) => form(models, check, look, answer),
    signal,
    { wide: true },
  );
}

/**
 * @param {Wanted[]} models
 * @param {Check} check
 * @param {{confirm: string, free?: number | null}} look
 * @param {(chosen: Chosen | null) => void} answer
 */
function form(models, check, { confirm, free }, answer) {
  const sum = make("p", { class: "uiapi-grow", role: "status" });
  /** @type {Row[]} */
  const rows = models.map((model) => createRow(model, check, update, (urls, from) => distribute(urls, rows, from)));
  const heads = [texts.model, texts.inFolder, texts.usedBy, texts.address, texts.skip].map((text) => make("th", { scope: "col", text }));
  const table = make(
    "table",
    { class: "uiapi-table uiapi-models" },
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows.map(({ element }) => element)),
  );

  function update() {
    const wanted = rows.filter((row) => !row.skipped());
    const bytes = wanted.reduce((total, row) => total + (row.bytes() ?? 0), 0);
    const short = typeof free === "number" && bytes > free;
    const parts = [texts.modelCount(wanted.length), bytes > 0 && size(bytes), typeof free === "number" && texts.freeOnDisk(size(free))];
    set(sum, { text: parts.filter(Boolean).join(" · "), class: short ? "uiapi-grow uiapi-bad" : "uiapi-grow uiapi-hint" });
  }

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    const wrong = rows.find((row) => !row.skipped() && row.refuses());
    if (wrong) return;
    const wanted = rows.filter((row) => !row.skipped() && (row.url() || row.bytes() !== null || row.known));
    answer(wanted.map(({ model, url }) => ({ model, key: keyOf(model, models), url: url() })));
  }

  update();
  const submitIt = make("button", { class: "uiapi-button uiapi-primary", type: "submit", text: confirm });
  const element = make(
    "form",
    { onsubmit: submit, novalidate: true },
    rows.some((row) => row.field) && make("p", { text: rows.length > 1 ? texts.pasteHint : texts.addressHint }),
    make("div", { class: "uiapi-scroll", tabindex: "0", role: "region", "aria-label": texts.models }, table),
    make("div", { class: "uiapi-actions" }, sum, button(texts.cancel, () => answer(null)), submitIt),
  );
  return { element, focus: rows.find((row) => row.field)?.field ?? submitIt };
}

/** @typedef {ReturnType<typeof createRow>} Row */

/**
 * @param {Wanted} model
 * @param {Check} check
 * @param {() => void} changed
 * @param {(urls: string[], from: HTMLInputElement) => void} pasted called when several URLs were pasted here
 */
function createRow(model, check, changed, pasted) {
  const { name, directory = null, used_by = [], plan } = model;
  const known = plan !== undefined && canBeHad(plan);
  let bytes = known ? (plan?.remaining ?? plan?.size ?? null) : null;
  let looks = 0;
  let timer = 0;
  const said = make("div", { class: "uiapi-hint", "aria-live": "polite" });
  const field = known ? null : make("input", { type: "text", "aria-label": texts.addressOf(name), placeholder: "https://…", spellcheck: "false", autocomplete: "off" });
  const skip = make("input", { type: "checkbox", "aria-label": texts.skipModel(name), onchange: skipped });

  /**
   * @param {string} text
   * @param {boolean} [bad]
   */
  function say(text, bad = false) {
    set(said, { text, class: bad ? "uiapi-bad" : "uiapi-hint" });
    field?.setAttribute("aria-invalid", String(bad));
  }

  function skipped() {
    if (field) field.disabled = skip.checked;
    changed();
  }

  function look() {
    const mine = ++looks;
    const url = field.value.trim();
    clearTimeout(timer);
    bytes = null;
    changed();
    if (!url) return say("");
    if (!ADDRESS.test(url)) return say(texts.noAddress, true);
    say(texts.checkingAt(hostOf(url)));
    timer = setTimeout(async () => {
      const found = await check({ name, directory, url }).catch((error) => words(error));
      if (mine !== looks) return;
      if (typeof found === "string") return say(found, true);
      bytes = canBeHad(found) ? (found.size ?? null) : null;
      say(found.reason?.message ?? [hostOf(url), texts.actions[found.action], bytes !== null && size(bytes)].filter(Boolean).join(" · "), !canBeHad(found));
      changed();
    }, TYPING);
  }

  if (field) {
    field.addEventListener("input", look);
    field.addEventListener("paste", (/** @type {ClipboardEvent} */ event) => {
      const urls = (event.clipboardData?.getData("text") ?? "").split(/\s+/).filter((text) => ADDRESS.test(text));
      if (urls.length < 2) return;
      event.preventDefault();
      pasted(urls, field);
    });
    if (plan?.reason && plan.action !== "no_url") say(plan.reason.message, true);
  } else if (plan) {
    const where = plan.url && ADDRESS.test(plan.url) ? hostOf(plan.url) : texts.sources[plan.source ?? ""];
    say([plan.reason?.message, where, texts.actions[plan.action], bytes !== null && size(bytes)].filter(Boolean).join(" · "));
  }

  const uses = used_by.slice(0, USES_SHOWN).map(({ path }) => path);
  const more = used_by.length - uses.length;
  const element = make(
    "tr",
    {},
    make("th", { scope: "row", text: name }),
    make("td", { text: directory ?? "" }),
    make("td", { text: [...uses, more > 0 && texts.more(more)].filter(Boolean).join(", ") }),
    make("td", {}, field, said),
    make("td", {}, skip),
  );
  return {
    model,
    element,
    field,
    known,
    skipped: () => skip.checked,
    url: () => (field?.value ?? "").trim(),
    bytes: () => bytes,

    /** @param {string} url */
    fill(url) {
      field.value = url;
      look();
    },

    /** @returns {boolean} whether the field has an invalid URL, which is reported and focused */
    refuses() {
      const wrong = Boolean(field?.value.trim()) && !ADDRESS.test(field.value.trim());
      if (wrong) {
        say(texts.noAddress, true);
        field.focus();
      }
      return wrong;
    },
  };
}

/**
 * Assigns pasted URLs to the models whose file names they end with, and the rest to empty fields in order.
 *
 * @param {string[]} urls
 * @param {Row[]} rows
 * @param {HTMLInputElement} from
 */
function distribute(urls, rows, from) {
  const open = rows.filter((row) => row.field && !row.skipped());
  const start = open.findIndex(({ field }) => field === from);
  const free = new Set([...open.slice(start), ...open.slice(0, start)]);
  const left = [];
  for (const url of urls) {
    const row = [...free].find(({ model }) => fileOf(url) === fileOf(model.name));
    if (!row) left.push(url);
    else {
      free.delete(row);
      row.fill(url);
    }
  }
  const empty = [...free].filter((row) => row.field === from || !row.url());
  for (const [index, url] of left.entries()) empty[index]?.fill(url);
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

/**
 * @param {string} address
 * @returns {string} the name of the host to show
 */
function hostOf(address) {
  if (/^(urn:)?air:/i.test(address) || /^https?:\/\/([\w-]+\.)*civitai\.\w+\//i.test(address)) return texts.sources.civitai;
  if (/^https?:\/\/drive\.google\.com\//i.test(address)) return texts.sources.gdrive;
  const url = /^https?:\/\/([^/?#]+)/i.exec(address);
  if (!url || /(^|\.)(huggingface\.co|hf\.co)$/i.test(url[1])) return texts.sources.huggingface;
  return url[1].replace(/^.*@/, "");
}
