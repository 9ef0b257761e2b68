/**
 * What the person can set in ComfyUI's settings dialog. The rules for programs are the server's; it shows and changes those.
 */

import { SETTING } from "./missing_models_notice.js";
import { texts } from "./texts.js";

const KINDS = ["read", "change", "run", "download", "load"];
const RULES = ["allow", "once", "always", "refuse"];

/** @param {string} kind */
const idOf = (kind) => `uiapi.rules.${kind}`;

/**
 * @param {(rules: Record<string, string>) => void} decide called with what the person has chosen
 */
export function createSettings(decide) {
  /** @type {Record<string, string> | null} what the server says; until then nothing here is the person's choice */
  let known = null;
  let connected = false;
  /** @type {Record<string, string>} what the person has chosen while the server was not there */
  let waiting = {};

  return {
    /** As ComfyUI's extensions declare them. */
    declared: [
      { id: SETTING, category: [texts.title, texts.models, SETTING], name: texts.missingSetting, type: "boolean", defaultValue: true },
      ...KINDS.map((kind) => ({
        id: idOf(kind),
        category: [texts.title, texts.settingsCategory, idOf(kind)],
        name: texts.settingNames[kind],
        type: "combo",
        defaultValue: "allow",
        options: RULES.map((value) => ({ value, text: texts.ruleNames[value] })),
        onChange(/** @type {string} */ value) {
          if (known === null || known[kind] === value || !RULES.includes(value)) return;
          known = { ...known, [kind]: value };
          if (connected) decide({ [kind]: value });
          else waiting[kind] = value;
        },
      })),
    ],

    /**
     * Show the server's rules, once it has heard what was chosen without it.
     *
     * @param {Record<string, string> | undefined} rules undefined while it is not there
     * @param {import("../page/frontend.js").Frontend} frontend
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
