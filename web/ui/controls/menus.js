/**
 * The entries of this extension in ComfyUI's own menus: commands with their keys, entries in the menus of nodes, and the
 * badge of the About page. ComfyUI takes the names of commands from `locales/<language>/commands.json`, and those of menus
 * from `main.json` next to it, by the English words here.
 *
 * @typedef {import("../../graph/snippets.js").FieldNow} FieldNow
 */

import { curlOf, fieldsOf, pythonOf } from "../../graph/snippets.js";
import { words } from "../../common/errors.js";
import { short } from "../format.js";
import { labelOf, t } from "../texts.js";

const MENU = "Programs";

/**
 * @typedef {object} Acts What the commands do once the page is connected.
 * @property {() => void} showPanel
 * @property {() => void} showRules
 * @property {() => Promise<unknown>} pause pauses or resumes programs
 * @property {() => string | null} version of the server
 */

/**
 * @param {import("../../page/frontend.js").Frontend} frontend
 * @param {() => Acts | null} acts returns null until the page is ready
 * @param {() => string | null} token
 */
export function createMenus(frontend, acts, token) {
  /** @param {(acts: Acts) => unknown} act */
  const ready = (act) => async () => {
    const now = acts();
    if (!now) return frontend.toast("warn", t("title"), t("disconnected"));
    try {
      await act(now);
    } catch (error) {
      frontend.toast("error", t("title"), words(error));
    }
  };

  /**
   * @param {string} text
   * @param {string} about what was copied, in words
   */
  async function copy(text, about) {
    if (await frontend.copy(text)) frontend.toast("info", t("copied"), short(about));
    else frontend.toast("warn", t("title"), t("cantCopy"));
  }

  /** @param {(fields: FieldNow[]) => unknown} act */
  const withFields = (act) => () => {
    const fields = chosen();
    if (fields.length === 0) frontend.toast("warn", t("title"), t("nothingChosen"));
    else act(fields);
  };

  /** @param {{path: string}[]} fields */
  const pathsOf = (fields) => fields.map(({ path }) => path);
  const copyPaths = (/** @type {FieldNow[]} */ fields) => copy(pathsOf(fields).join("\n"), pathsOf(fields).join(", "));
  const copyPython = (/** @type {FieldNow[]} */ fields) => copy(pythonOf(frontend.url(), fields), pathsOf(fields).join(", "));
  const copyCurl = (/** @type {FieldNow[]} */ fields) => copy(curlOf(frontend.url(), fields, token() !== null), pathsOf(fields).join(", "));

  /** @returns {FieldNow[]} the widget under the pointer or with the focus, or else all fields of the selected nodes */
  function chosen() {
    const root = frontend.rootGraph();
    const pointed = frontend.pointedWidget();
    const fields = pointed ? fieldsOf(root, pointed.node, pointed.widget) : [];
    return fields.length > 0 ? fields : frontend.selectedNodes().flatMap((node) => fieldsOf(root, node));
  }

  const entries = [
    { id: "uiapi.panel", icon: "pi pi-sliders-h", word: "Show the panel of programs", act: ready((now) => now.showPanel()) },
    { id: "uiapi.pause", icon: "pi pi-pause", word: "Pause or resume programs", act: ready((now) => now.pause()) },
    { id: "uiapi.rules", icon: "pi pi-cog", word: "Decide what programs may do", act: ready((now) => now.showRules()) },
    { id: "uiapi.copyPath", icon: "pi pi-copy", word: "Copy the path of the field", act: withFields(copyPaths) },
    { id: "uiapi.copyPython", icon: "pi pi-copy", word: "Copy as Python", act: withFields(copyPython) },
    { id: "uiapi.copyCurl", icon: "pi pi-copy", word: "Copy as curl", act: withFields(copyCurl) },
  ];

  /**
   * @param {any} node
   * @returns {any[]} entries for the menu of a node
   */
  function nodeItems(node) {
    const root = frontend.rootGraph();
    const all = fieldsOf(root, node);
    if (all.length === 0) return [];
    const pointed = frontend.pointedWidget();
    const one = pointed && pointed.node === node ? fieldsOf(root, node, pointed.widget) : [];
    const fields = one.length > 0 ? one : all;
    const options = [
      ...(one.length > 0 ? one : all).map((field) => ({ content: t("copyPath", { path: field.path }), callback: () => copyPaths([field]) })),
      { content: t("copyPython"), callback: () => copyPython(fields) },
      { content: t("copyCurl"), callback: () => copyCurl(fields) },
    ];
    return [null, { content: t("title"), has_submenu: true, submenu: { options } }];
  }

  return {
    commands: entries.map(({ id, icon, word, act }) => ({ id, icon, label: () => labelOf(id), menubarLabel: word, function: act })),
    menuCommands: [{ path: [MENU], commands: entries.map(({ id }) => id) }],
    keybindings: [
      { commandId: "uiapi.panel", combo: { key: "p", shift: true } },
      { commandId: "uiapi.pause", combo: { key: "p", alt: true } },
      // macOS types this letter for the same keys.
      { commandId: "uiapi.pause", combo: { key: "π", alt: true } },
      { commandId: "uiapi.copyPath", combo: { key: "c", shift: true } },
    ],
    aboutPageBadges: [
      {
        get label() {
          const version = acts()?.version();
          return version ? `ComfyUI-uiapi v${version}` : "ComfyUI-uiapi";
        },
        url: frontend.docsUrl(),
        icon: "pi pi-sliders-h",
      },
    ],
    getNodeMenuItems: nodeItems,
  };
}
