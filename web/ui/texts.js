/**
 * The texts of the user interface in the person's language. English and the translations are in `locales/`, which ComfyUI
 * serves to the page; a text that a language lacks is shown in English.
 *
 * @typedef {typeof import("../../locales/en/main.json")["uiapi"]} English
 */

/**
 * @template T
 * @typedef {{[K in keyof T]: T[K] extends string | {other: string} ? K : never}[keyof T] & string} TextsOf
 */

/** @typedef {Exclude<keyof English, TextsOf<English>>} Group texts that are chosen by a name, such as a state */
/** @typedef {TextsOf<English> | {[G in Group]: `${G}.${keyof English[G] & string}`}[Group]} Key */
/** @typedef {string | Record<string, string>} Message a text, or one for each plural category */

/** @type {Record<string, any>} of all languages */
let translations = {};
/** @type {() => string} */
let chosen = () => "en";
/** @type {Map<string, Intl.PluralRules>} */
const plurals = new Map();

/**
 * @param {Record<string, any>} served the texts of all packs by language, as ComfyUI serves them
 * @param {() => string} locale returns the language that the person has chosen
 */
export function setTexts(served, locale) {
  translations = served;
  chosen = locale;
}

/** @returns {string} the language of the texts that are shown */
export function language() {
  const wanted = chosen();
  if (translations[wanted]?.uiapi) return wanted;
  // A page may know a language without its region, such as pt, and the other way round.
  const base = (/** @type {string} */ code) => code.split("-")[0];
  return Object.keys(translations).find((code) => base(code) === base(wanted) && translations[code].uiapi) ?? "en";
}

/**
 * @param {string} id of a command of the frontend
 * @returns {string} its name
 */
export function labelOf(id) {
  const key = id.replace(/\./g, "_");
  return translations[language()]?.commands?.[key]?.label ?? translations.en?.commands?.[key]?.label ?? id;
}

/**
 * @param {string} key
 * @returns {{message: Message, locale: string} | undefined}
 */
function find(key) {
  const [first, second] = key.split(".");
  for (const locale of [language(), "en"]) {
    const found = translations[locale]?.uiapi?.[first];
    const message = second === undefined ? found : found?.[second];
    if (message) return { message, locale };
  }
}

/**
 * @param {Key} key
 * @param {Record<string, string | number>} [parameters] replace their names in braces; `count` chooses the plural form
 * @returns {string}
 */
export function t(key, parameters = {}) {
  const found = find(key);
  if (!found) return key;
  const { message, locale } = found;
  const form = typeof message === "string" ? message : (message[category(locale, Number(parameters.count))] ?? message.other);
  return form.replace(/\{(\w+)\}/g, (whole, name) => String(parameters[name] ?? whole));
}

/**
 * @param {Group} group
 * @param {string | null | undefined} name
 * @returns {string | undefined} the text that the group has for a name, if any
 */
export function named(group, name) {
  const message = name ? find(`${group}.${name}`)?.message : undefined;
  return typeof message === "string" ? message : undefined;
}

/**
 * @param {string} locale
 * @param {number} count
 * @returns {string}
 */
function category(locale, count) {
  let rules = plurals.get(locale);
  if (!rules) plurals.set(locale, (rules = new Intl.PluralRules(locale)));
  return rules.select(count);
}
