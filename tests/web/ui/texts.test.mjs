/** The texts of the user interface: languages, plural forms, parameters, and that every text is used as it is written. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { afterEach, test } from "node:test";

import { language, named, setTexts, t } from "../../../web/ui/texts.js";

const LOCALES = new URL("../../../locales/", import.meta.url);
const WEB = new URL("../../../web/", import.meta.url);
const read = (locale, name = "main") => JSON.parse(readFileSync(new URL(`${locale}/${name}.json`, LOCALES), "utf8"));
const english = read("en");

/** Shows these texts of languages besides English, in one of them. */
const show = (translations, locale) => setTexts({ en: english, ...translations }, locale);
const pack = (uiapi) => ({ uiapi });

afterEach(() => show({}, "en"));

/** The texts of a tree by their path; a plural text is one object. */
function* leaves(tree, path = []) {
  for (const [name, value] of Object.entries(tree)) {
    if (typeof value === "string" || "other" in value) yield [[...path, name].join("."), value];
    else yield* leaves(value, [...path, name]);
  }
}

const forms = (message) => (typeof message === "string" ? [message] : Object.values(message));
const parameters = (form) => new Set([...form.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
const all = (message) => [...new Set(forms(message).flatMap((form) => [...parameters(form)]))].sort();
/** The parameters of a call: a plural text needs the count even if no form spells it. */
const needed = (message) => [...new Set([...all(message), ...(typeof message === "string" ? [] : ["count"])])].sort();

test("a text names its parameters, and nothing that a program sends is replaced in turn", () => {
  assert.equal(t("linked", { from: "{to} $& $1", to: "B" }), "linked {to} $& $1 → B");
});

test("a text from right to left, or one that turns the direction, does not change the order of the words around it", () => {
  assert.equal(t("became", { before: "\u05d0", after: "\u05d1" }), "\u2068\u05d0\u2069 → \u2068\u05d1\u2069");
  assert.equal(t("became", { before: "a\u202e", after: 2 }), "\u2068a\u202e\u2069 → 2");
  assert.equal(t("became", { before: "日本", after: "é🎨" }), "日本 → é🎨");
});

test("a count chooses the plural form of the language", () => {
  assert.equal(t("modelCount", { count: 1 }), "1\u00a0model");
  assert.equal(t("modelCount", { count: 0 }), "0\u00a0models");
  const russian = { one: "{count} модель", few: "{count} модели", many: "{count} моделей", other: "{count} модели" };
  show({ ru: pack({ modelCount: russian }) }, "ru");
  assert.deepEqual([21, 2, 5].map((count) => t("modelCount", { count })), ["21\u00a0модель", "2\u00a0модели", "5\u00a0моделей"]);
});

test("no line is broken between a number and what it counts", () => {
  assert.equal(t("modelCount", { count: 3 }), "3\u00a0models");
  assert.equal(t("sweeping", { program: "render 2", ended: 37, total: 200 }), "render 2: 37\u00a0of\u00a0200");
  assert.equal(t("left", { time: "0:09" }), "0:09\u00a0left");
  show({ de: pack({ left: "noch {time}" }) }, "de");
  assert.equal(t("left", { time: "0:09" }), "noch\u00a00:09");
  // A name keeps its own spaces and those around it.
  assert.equal(t("became", { before: "part 3 of 4", after: "b" }), "part 3 of 4 → b");
});

test("a text that a language lacks is English, with the plural form of English", () => {
  show({ ja: pack({ title: "プログラム" }) }, "ja");
  assert.deepEqual([t("title"), t("modelCount", { count: 1 })], ["プログラム", "1\u00a0model"]);
  assert.equal(named("kinds", "read"), "read");
  show({}, "xx");
  assert.equal(t("title"), "Programs");
});

test("a page that names a language without its region, or with another, shows it", () => {
  const portuguese = { "pt-BR": pack({ title: "Programas" }) };
  for (const wanted of ["pt", "pt-PT", "pt-BR"]) {
    show(portuguese, wanted);
    assert.deepEqual([language(), t("title")], ["pt-BR", "Programas"]);
  }
});

test("a name without a text has none, and texts that are not loaded show their key", () => {
  assert.equal(named("states", "unheard of"), undefined);
  assert.equal(named("states", null), undefined);
  setTexts({}, "en");
  assert.equal(t("title"), "title");
});

for (const locale of readdirSync(LOCALES)) {
  for (const name of ["main", "settings", "commands"]) {
    test(`${locale} has every text of ${name}.json and no other, with the same parameters`, () => {
      const [own, origin] = [new Map(leaves(read(locale, name))), new Map(leaves(read("en", name)))];
      assert.deepEqual([...own.keys()], [...origin.keys()]);
      for (const [key, message] of own) {
        assert.deepEqual(needed(message), needed(origin.get(key)), key);
        for (const form of forms(message)) {
          assert.ok(form.trim() && !/[<>]/.test(form), `${key} is empty or contains markup`);
          // The frontend's own format of messages gives these a meaning.
          assert.ok(!/[|@]/.test(form), `${key} contains | or @`);
        }
      }
    });

    test(`${locale} has the plural forms of ${name}.json that its language needs`, () => {
      const rules = new Intl.PluralRules(locale);
      /** @type {Map<string, number[]>} */
      const counts = new Map([["other", []]]);
      for (let count = 0; count <= 200; count++) {
        const category = rules.select(count);
        counts.set(category, [...(counts.get(category) ?? []), count]);
      }
      for (const [key, message] of leaves(read(locale, name))) {
        if (typeof message === "string") continue;
        assert.deepEqual(Object.keys(message).sort(), [...counts.keys()].sort(), key);
        const named = all(message);
        // A form for one number only may spell it.
        for (const [category, numbers] of counts) {
          const missing = named.filter((name) => !parameters(message[category]).has(name));
          assert.deepEqual(missing, numbers.length === 1 ? missing.filter((name) => name === "count") : [], `${key}.${category}`);
        }
      }
    });
  }
}

/** The texts up to the end of a call's arguments, split at the commas of the outermost level. */
function argumentsOf(source, start) {
  const found = [];
  let [depth, begin, quote] = [0, start, ""];
  for (let at = start; ; at++) {
    const letter = source[at];
    if (quote) {
      if (letter === quote && source[at - 1] !== "\\") quote = "";
    } else if ("\"'`".includes(letter)) quote = letter;
    else if ("([{".includes(letter)) depth++;
    else if ((letter === "," && depth === 0) || (")]}".includes(letter) && depth-- === 0)) {
      found.push(source.slice(begin, at).trim());
      begin = at + 1;
      if (letter !== ",") return found.filter(Boolean);
    }
  }
}

test("every text is used, by calls with exactly its parameters", () => {
  const texts = new Map(leaves(english.uiapi));
  const used = new Set();
  for (const file of readdirSync(WEB, { recursive: true }).map(String).filter((name) => name.endsWith(".js"))) {
    const source = readFileSync(new URL(file, WEB), "utf8");
    for (const call of source.matchAll(/(?<![\w.])t\(/g)) {
      const [key, given] = argumentsOf(source, call.index + 2);
      for (const [, literal] of (key ?? "").matchAll(/"([\w.]+)"/g)) {
        if (!texts.has(literal)) continue;
        used.add(literal);
        // Parameters that are put together elsewhere are not looked at.
        if (given !== undefined && !given.startsWith("{")) continue;
        const names = given ? argumentsOf(source, source.indexOf(given, call.index) + 1).map((part) => /^\w+/.exec(part)?.[0]) : [];
        assert.deepEqual(names.sort(), needed(texts.get(literal)), `${file}: ${literal}`);
      }
    }
    for (const [literal] of source.matchAll(/(?<=")\w+(?=")/g)) if (texts.has(literal)) used.add(literal);
    for (const [, group] of source.matchAll(/(?:\bnamed\("|\bt\(`)(\w+)/g)) for (const key of texts.keys()) if (key.startsWith(`${group}.`)) used.add(key);
  }
  assert.deepEqual([...texts.keys()].filter((key) => !used.has(key)), []);
});
