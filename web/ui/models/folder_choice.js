/**
 * The choice of a model's folder in the dialog about missing models, for a model whose folder is unknown.
 *
 * @typedef {import("./models_dialog.js").Wanted} Wanted
 */

import { make, set } from "../dom.js";
import { t } from "../texts.js";

/** @typedef {ReturnType<typeof createFolderChoice>} FolderChoice */

/**
 * @param {string} name of the model
 * @param {() => void} changed called when the person chooses a folder
 */
export function createFolderChoice(name, changed) {
  /** @type {string[]} */
  let folders = [];
  /** @type {string[]} */
  let likely = [];
  // The folder of the chosen file, which the person may replace by another.
  let suggested = "";
  const said = make("div", { class: "uiapi-bad", "aria-live": "polite", hidden: true });
  const select = make("select", { "aria-label": t("folderOf", { name }), onchange: chosen });
  show();

  function chosen() {
    say("");
    changed();
  }

  /** @param {string} text */
  function say(text) {
    set(said, { text });
    said.hidden = text === "";
    select.setAttribute("aria-invalid", String(text !== ""));
  }

  /** Lists the folders again, and keeps the chosen one. */
  function show() {
    const { value } = select;
    const first = [...new Set(suggested ? [suggested, ...likely] : likely)];
    const rest = folders.filter((folder) => !first.includes(folder));
    const none = make("option", { value: "", text: t("chooseFolder") });
    select.replaceChildren(none, ...(first.length > 0 ? [group(t("likelyFolders"), first), group(t("otherFolders"), rest)] : options(rest)));
    select.value = [...first, ...rest].includes(value) ? value : "";
  }

  return {
    elements: [make("label", { class: "uiapi-line uiapi-folder" }, make("span", { class: "uiapi-hint", text: t("inFolder") }), select), said],

    /**
     * @param {string[]} all the folders of ComfyUI
     * @param {string[]} probable those that the model probably belongs to, the likeliest first
     */
    offer(all, probable) {
      folders = all;
      likely = probable;
      show();
    },

    /** @param {string | null | undefined} folder of the file that is chosen for the model */
    suggest(folder) {
      if ((folder ?? "") === suggested) return;
      // Another file's folder is not the person's choice.
      const own = select.value !== suggested;
      suggested = folder ?? "";
      show();
      if (!own) select.value = suggested;
      if (select.value) say("");
    },

    /** @returns {string | null} */
    value: () => select.value || null,

    /** @param {boolean} off */
    disable: (off) => void (select.disabled = off),

    /** Says that a folder is needed, and moves the focus to the choice. */
    refuse() {
      say(t("folderNeeded"));
      select.focus();
    },
  };
}

/** @param {string[]} folders */
const options = (folders) => folders.map((folder) => make("option", { value: folder, text: folder }));

/**
 * @param {string} label
 * @param {string[]} folders
 */
const group = (label, folders) => make("optgroup", { label }, ...options(folders));
