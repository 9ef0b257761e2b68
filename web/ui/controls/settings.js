/**
 * The entries in ComfyUI's settings. The rules for programs are kept by the server; the entries show and change them.
 * ComfyUI takes their names from `locales/<language>/settings.json`, and those of the categories from `main.json` next to it.
 */

export const CATEGORY = "Programs";
export const KINDS = ["read", "change", "run", "download", "load"];
// Whether the notice about missing models and nodes is shown.
export const SETTING = "uiapi.missingModels";
export const RULES = ["allow", "once", "always", "refuse"];

/** @param {string} kind */
const idOf = (kind) => `uiapi.rules.${kind}`;

/**
 * @param {(rules: Record<string, string>) => void} decide called with rules that the person has changed
 */
export function createSettings(decide) {
  /** @type {Record<string, string> | null} the server's rules; changes before they are known are not by the person */
  let known = null;
  let connected = false;
  /** @type {Record<string, string>} rules that were changed while disconnected */
  let waiting = {};

  return {
    /** The declarations for ComfyUI. */
    declared: [
      ...KINDS.map((kind, at) => ({
        id: idOf(kind),
        category: [CATEGORY, "What programs may do", idOf(kind)],
        // The frontend shows the highest first.
        sortOrder: 100 - at,
        name: idOf(kind),
        tooltip: idOf(kind),
        type: "combo",
        defaultValue: "allow",
        options: RULES.map((value) => ({ value, text: value })),
        onChange(/** @type {string} */ value) {
          if (known === null || known[kind] === value || !RULES.includes(value)) return;
          known = { ...known, [kind]: value };
          if (connected) decide({ [kind]: value });
          else waiting[kind] = value;
        },
      })),
      { id: SETTING, category: [CATEGORY, "Missing models and nodes", SETTING], name: SETTING, tooltip: SETTING, type: "boolean", defaultValue: true },
    ],

    /**
     * Shows the server's rules, after sending it those that were changed while disconnected.
     *
     * @param {Record<string, string> | undefined} rules undefined while disconnected
     * @param {import("../../page/frontend.js").Frontend} frontend
     */
    show(rules, frontend) {
      connected = rules !== undefined;
      if (!rules) return;
      known = { ...rules, ...waiting };
      if (Object.keys(waiting).length > 0) decide(waiting);
      waiting = {};
      for (const kind of KINDS) if (frontend.setting(idOf(kind)) !== known[kind]) frontend.setSetting(idOf(kind), known[kind]);
    },
  };
}
