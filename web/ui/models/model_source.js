/**
 * The source of one model in the dialog about missing models: what the server plans, a choice of what was found, or a
 * field for a URL.
 *
 * @typedef {import("./models_dialog.js").Wanted} Wanted
 * @typedef {import("./models_dialog.js").Planned} Planned
 * @typedef {import("./models_dialog.js").Check} Check
 *
 * @typedef {object} Candidate A file that was found for a model.
 * @property {string} name
 * @property {string} url
 * @property {string} why
 * @property {string | null} [directory]
 * @property {number | null} [size] in bytes
 * @property {string | null} [sha256]
 * @property {boolean | null} [gated]
 * @property {string | null} [licence]
 * @property {string | null} [date]
 * @property {number | null} [downloads]
 * @property {string | null} [base_model]
 * @property {string} [local] the path of a file on the server's computer instead of a URL
 *
 * @typedef {object} Copy A file on the server's computer that may be the model.
 * @property {string | null} directory
 * @property {string} name as ComfyUI lists it
 * @property {string} path
 * @property {number} size
 * @property {boolean} here whether a widget that names the model lists it
 * @property {string | null} damage
 */

import { button, make, set } from "../dom.js";
import { words } from "../../common/errors.js";
import { size } from "../format.js";
import { named, t } from "../texts.js";

// The accepted forms: https, hf://, an AIR, or a repository with a file.
export const ADDRESS = /^(https?:\/\/\S+|hf:\/\/\S+|(urn:)?air:\S+|[\w.-]+\/[\w.-]+\/\S+)$/i;
// Milliseconds without typing before the URL is checked.
const TYPING = 400;
const GOOD = new Set(["download", "link", "present"]);
// Where the person can search by hand.
const SEARCHES = [
  ["Hugging Face", "https://huggingface.co/models?search="],
  ["CivitAI", "https://civitai.com/models?query="],
];
// The choice of a URL of one's own.
const OWN = "own";

/** @typedef {ReturnType<typeof createSource>} Source */

/**
 * @param {Wanted} model
 * @param {Check} check
 * @param {object} means
 * @param {() => string | null} means.directory returns the directory of the model as far as it is known by now
 * @param {() => void} means.changed
 * @param {(urls: string[], from: HTMLInputElement) => void} means.pasted called when several URLs were pasted here
 */
export function createSource({ name, plan, candidates: given }, check, { directory, changed, pasted }) {
  const known = plan !== undefined && canBeHad(plan);
  let bytes = known ? (plan?.remaining ?? plan?.size ?? null) : null;
  /** @type {string | null} */
  let digest = known ? (plan?.sha256 ?? null) : null;
  /** @type {Candidate[]} */
  let candidates = [];
  let looks = 0;
  let timer = 0;
  const said = make("div", { class: "uiapi-hint", "aria-live": "polite" });
  const elsewhere = (plan?.copies ?? []).filter(({ here, damage }) => !here && damage === null);
  const near = make("div", { class: "uiapi-hint", text: nearby(known ? elsewhere : [], plan?.similar ?? []) });
  const field = known ? null : make("input", { type: "text", "aria-label": t("addressOf", { name }), placeholder: "https://…", spellcheck: "false", autocomplete: "off" });
  const allow = make("div", { class: "uiapi-fixes", hidden: true });
  const links = field && make("div", { class: "uiapi-links" }, ...SEARCHES.map(([host, url]) => make("a", { href: url + encodeURIComponent(stemOf(name)), target: "_blank", rel: "noopener noreferrer", text: t("searchAt", { host }) })));
  const choice = make("select", { "aria-label": t("sourceOf", { name }), onchange: choose });
  choice.hidden = true;

  /**
   * @param {string} text
   * @param {boolean} [bad]
   */
  function say(text, bad = false) {
    set(said, { text, class: bad ? "uiapi-bad" : "uiapi-hint" });
    field?.setAttribute("aria-invalid", String(bad));
    allow.hidden = true;
  }

  /** @returns {Candidate | null} the chosen one */
  const chosen = () => (choice.hidden || choice.value === OWN ? null : candidates[Number(choice.value)]);

  function choose() {
    const candidate = chosen();
    set(choice, { title: choice.selectedOptions[0]?.text });
    field.hidden = candidate !== null;
    if (!candidate) return look();
    looks++;
    clearTimeout(timer);
    bytes = candidate.size ?? null;
    say(factsOf(candidate, candidates));
    changed();
  }

  function look() {
    const mine = ++looks;
    const url = field.value.trim();
    clearTimeout(timer);
    bytes = digest = null;
    changed();
    if (!url) return say("");
    if (!ADDRESS.test(url)) return say(t("noAddress"), true);
    say(t("checkingAt", { host: hostOf(url) }));
    timer = setTimeout(async () => {
      const found = await check({ name, directory: directory(), url }).catch((error) => words(error));
      if (mine !== looks) return;
      if (typeof found === "string") return say(found, true);
      if (lacksFolder(found)) return say(t("folderNeeded"));
      bytes = canBeHad(found) ? (found.size ?? null) : null;
      digest = found.sha256 ?? null;
      const refused = found.reason?.code === "host_refused" ? hostIn(url) : null;
      say(found.reason?.message ?? [hostOf(url), named("actions", found.action), bytes !== null && size(bytes)].filter(Boolean).join(" · "), !canBeHad(found));
      if (refused && check.allowHost) offerHost(refused);
      changed();
    }, TYPING);
  }

  /** @param {Planned} planned */
  function lacksFolder(planned) {
    return planned.reason?.code === "unknown_folder" && !directory();
  }

  /** @param {string} host that is not on the list */
  function offerHost(host) {
    const act = () => {
      // The button, which has the focus, goes away.
      field.focus();
      return check.allowHost?.(host).then(look, (error) => say(words(error), true));
    };
    allow.replaceChildren(button(t("allowHost", { host }), act, { small: true }));
    allow.hidden = false;
  }

  /**
   * Offers what was found, the likeliest first; a URL that the person has typed stays chosen.
   *
   * @param {Candidate[]} found
   */
  function offer(found) {
    if (!field || found.length === 0) return;
    const typing = document.activeElement === field;
    candidates = [...candidates.filter(({ local }) => local && !found.some((one) => one.local === local)), ...found];
    const options = candidates.map((candidate, at) => make("option", { value: at, text: labelOf(candidate) }));
    choice.replaceChildren(...options, make("option", { value: OWN, text: t("anotherAddress") }));
    choice.hidden = false;
    choice.value = field.value.trim() ? OWN : "0";
    choose();
    // The field, which had the focus, is hidden now.
    if (typing && field.hidden) choice.focus();
  }

  if (field) {
    field.addEventListener("input", look);
    field.addEventListener("paste", (/** @type {ClipboardEvent} */ event) => {
      const urls = (event.clipboardData?.getData("text") ?? "").split(/\s+/).filter((text) => ADDRESS.test(text));
      if (urls.length < 2) return;
      event.preventDefault();
      pasted(urls, field);
    });
    const unplaced = plan !== undefined && lacksFolder(plan);
    if (unplaced) field.value = plan.url ?? "";
    if (plan?.reason && plan.action !== "no_url") say(unplaced ? t("folderNeeded") : plan.reason.message, !unplaced);
    const refused = plan?.action === "no_url" || unplaced ? null : plan?.url;
    offer([...elsewhere.map(linked), ...(given ?? plan?.candidates ?? []).filter(({ url }) => url !== refused)]);
  } else if (plan) {
    const where = plan.url && ADDRESS.test(plan.url) ? hostOf(plan.url) : named("sources", plan.source ?? "");
    say([plan.reason?.message, where, named("actions", plan.action), bytes !== null && size(bytes)].filter(Boolean).join(" · "));
  }

  return {
    elements: [choice, field, said, allow, near, links],
    field,
    known,
    offer,
    choose,
    chosen,
    bytes: () => bytes,
    url: () => chosen()?.url ?? (field?.value ?? "").trim(),
    /** @returns {string | undefined} the path of a file to link instead of a URL */
    local: () => chosen()?.local,
    digest: () => chosen()?.sha256 ?? digest,

    /** @returns {HTMLElement | null} where the person goes on */
    focus: () => (choice.hidden ? field : choice),

    /** @param {boolean} off */
    disable(off) {
      choice.disabled = off;
      if (field) field.disabled = off;
    },

    /**
     * Says how a search for it is going, unless there is something to choose from already.
     *
     * @param {string} text
     */
    note(text) {
      if (choice.hidden && field && !field.value.trim()) say(text);
    },

    /** @param {string} url */
    fill(url) {
      field.value = url;
      if (choice.hidden) return look();
      choice.value = OWN;
      choose();
    },

    /** @returns {boolean} whether the field has an invalid URL, which is reported and focused */
    refuses() {
      const wrong = !chosen() && Boolean(field?.value.trim()) && !ADDRESS.test(field.value.trim());
      if (wrong) {
        say(t("noAddress"), true);
        field.focus();
      }
      return wrong;
    },
  };
}

/**
 * @param {Planned} plan
 * @returns {boolean} whether the model is present or can be obtained; a damaged file is replaced
 */
function canBeHad({ action, url }) {
  return GOOD.has(action) || (action === "damaged" && Boolean(url));
}

/**
 * @param {Copy} copy
 * @returns {string} its name with its directory
 */
const placeOf = ({ directory, name }) => (directory ? `${directory}/${name}` : name);

/**
 * @param {Copy} copy of a model, in another directory than the model's
 * @returns {Candidate}
 */
function linked(copy) {
  return { name: placeOf(copy), url: "", why: t("linkedCopy"), local: copy.path, size: copy.size };
}

/**
 * @param {Copy[]} copies
 * @param {string[]} similar
 * @returns {string} what the server's computer has that may be the model
 */
function nearby(copies, similar) {
  const shown = [copies.length > 0 && t("alsoIn", { places: copies.map(placeOf).join(", ") }), similar.length > 0 && t("similarTo", { names: similar.join(", ") })];
  return shown.filter(Boolean).join(" ");
}

/**
 * @param {Candidate} candidate
 * @returns {string} where it is, and how large
 */
function labelOf({ name, url, local, size: bytes, base_model }) {
  if (local) return t("onThisComputer", { name });
  const repository = /^https?:\/\/[^/]+\/([^/]+\/[^/]+)\/(resolve|blob|raw)\//.exec(url)?.[1];
  const where = repository ? decodeURIComponent(repository) : hostOf(url);
  return [where, !repository && base_model, typeof bytes === "number" && size(bytes)].filter(Boolean).join(" · ");
}

/**
 * @param {Candidate} candidate
 * @param {Candidate[]} all
 * @returns {string} what speaks for and against it
 */
function factsOf({ url, local, why, gated, licence, date, downloads, base_model }, all) {
  const different = new Set(all.map(({ sha256, local, url }) => sha256 ?? local ?? url)).size;
  const facts = [
    !local && hostOf(url),
    base_model,
    licence && t("licence", { name: licence }),
    date,
    typeof downloads === "number" && t("timesDownloaded", { count: downloads }),
    gated && t("needsAccount"),
  ];
  const choose = different > 1 && t("differentFiles", { count: different });
  return [facts.filter(Boolean).join(" · "), why, choose].filter(Boolean).join("\n");
}

/**
 * @param {string} name of a model
 * @returns {string} without its folder and ending, to be searched for
 */
const stemOf = (name) => (name.split(/[\\/]/).pop() ?? name).replace(/\.\w+$/, "");

/**
 * @param {string} url
 * @returns {string | null} the host to allow, with its port
 */
function hostIn(url) {
  return URL.canParse(url) ? new URL(url).host : null;
}

/**
 * @param {string} address
 * @returns {string} the name of the host to show
 */
export function hostOf(address) {
  if (/^(urn:)?air:/i.test(address) || /^https?:\/\/([\w-]+\.)*civitai\.\w+\//i.test(address)) return t("sources.civitai");
  if (/^https?:\/\/drive\.google\.com\//i.test(address)) return t("sources.gdrive");
  const url = /^https?:\/\/([^/?#]+)/i.exec(address);
  if (!url || /(^|\.)(huggingface\.co|hf\.co)$/i.test(url[1])) return t("sources.huggingface");
  return url[1].replace(/^.*@/, "");
}
