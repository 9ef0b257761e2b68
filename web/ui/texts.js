/**
 * The texts of the user interface in the person's language. English and the translations are in `locales/`, which ComfyUI
 * serves to the page; a text that a language lacks is shown in English.
 *
 * @typedef {typeof import("../../locales/en/main.json")["uiapi"]} English
 */

import { UNBROKEN } from "./format.js";

/**
 * @template T
 * @typedef {{[K in keyof T]: T[K] extends string | {other: string} ? K : never}[keyof T] & string} TextsOf
 */

/** @typedef {Exclude<keyof English, TextsOf<English>>} Group texts that are chosen by a name, such as a state */
/** @typedef {TextsOf<English> | {[G in Group]: `${G}.${keyof English[G] & string}`}[Group]} Key */
/** @typedef {string | Record<string, string>} Message a text, or one for each plural category */

/** @type {Map<string, {message: Message, locale: string}>} texts by key, with those of their group after a dot */
let texts = new Map();
/** @type {Map<string, string>} names of commands by id */
let labels = new Map();
let shown = "en";
// Letters of scripts from right to left, and marks that change the direction of what follows.
const OTHER_DIRECTION = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/;
// A count, an amount or a time.
const NUMBER = /^[\d.,:]+$/;
/** @type {Map<string, Intl.PluralRules>} */
const plurals = new Map();

/**
 * Shows the texts in a language from now on.
 *
 * @param {Record<string, any>} served the texts of all packs by language, as ComfyUI serves them
 * @param {string} wanted the language that the person has chosen
 */
export function setTexts(served, wanted) {
  // A page may know a language without its region, such as pt, and the other way round.
  const base = (/** @type {string} */ code) => code.split("-")[0];
  const known = Object.keys(served).filter((code) => served[code].uiapi);
  shown = known.includes(wanted) ? wanted : (known.find((code) => base(code) === base(wanted)) ?? "en");
  texts = new Map();
  labels = new Map();
  for (const locale of ["en", shown]) {
    for (const [key, message] of leaves(served[locale]?.uiapi ?? {})) texts.set(key, { message, locale });
    for (const [id, { label }] of Object.entries(served[locale]?.commands ?? {})) labels.set(id, label);
  }
}

/**
 * @param {Record<string, any>} tree
 * @returns {[string, Message][]}
 */
function leaves(tree) {
  return Object.entries(tree).flatMap(([key, value]) => {
    const group = typeof value !== "string" && !("other" in value);
    /** @type {[string, Message][]} */
    const found = group ? Object.entries(value).map(([name, message]) => [`${key}.${name}`, message]) : [[key, value]];
    return found;
  });
}

/** @returns {string} the language of the texts that are shown */
export const language = () => shown;

/**
 * @param {string} id of a command of the frontend
 * @returns {string} its name
 */
export const labelOf = (id) => labels.get(id.replace(/\./g, "_")) ?? id;

/**
 * @param {Key} key
 * @param {Record<string, string | number>} [parameters] replace their names in braces; `count` chooses the plural form
 * @returns {string}
 */
export function t(key, parameters = {}) {
  const found = texts.get(key);
  if (!found) return key;
  const { message, locale } = found;
  const form = typeof message === "string" ? message : (message[category(locale, Number(parameters.count))] ?? message.other);
  return keepNumbers(form, parameters).replace(/\{(\w+)\}/g, (whole, name) => isolated(String(parameters[name] ?? whole)));
}

/**
 * @param {string} form of a text
 * @param {Record<string, string | number>} parameters
 * @returns {string} the same, where no line is broken between a number and what it counts, nor within "3 of 4"
 */
function keepNumbers(form, parameters) {
  const isNumber = (/** @type {string} */ name) => NUMBER.test(String(parameters[name]));
  if (!Object.keys(parameters).some(isNumber)) return form;
  return form
    .replace(/\{(\w+)\} (?=[\p{L}/])/gu, (whole, name) => (isNumber(name) ? `{${name}}${UNBROKEN}` : whole))
    .replace(/(?<=\}\u00a0[\p{L}/]+) \{(\w+)\}/gu, (whole, name) => (isNumber(name) ? `${UNBROKEN}{${name}}` : whole))
    .replace(/(?<=\p{L}) \{(\w+)\}$/u, (whole, name) => (isNumber(name) ? `${UNBROKEN}{${name}}` : whole));
}

/**
 * @param {string} text
 * @returns {string} the same text, which does not change the order of the words around it
 */
const isolated = (text) => (OTHER_DIRECTION.test(text) ? `\u2068${text}\u2069` : text);

/**
 * @param {Group} group
 * @param {string | null | undefined} name
 * @returns {string | undefined} the text that the group has for a name, if any
 */
export function named(group, name) {
  const message = name ? texts.get(`${group}.${name}`)?.message : undefined;
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
