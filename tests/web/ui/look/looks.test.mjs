// The looks of the frontend's generations define all that the styles use, and nothing by a colour of their own.

import assert from "node:assert";
import { test } from "node:test";

import { variablesOf } from "../../../../web/ui/look/looks.js";
import { RULES } from "../../../../web/ui/look/styles.js";

const LOOKS = ["primevue", "own"];
const namesIn = (text, pattern) => [...new Set([...text.matchAll(pattern)].map(([, name]) => name))].sort();

for (const look of LOOKS) {
  test(`the styles use only what ${look} defines, and all of it`, () => {
    const used = namesIn(RULES, /var\(--uiapi-([\w-]+)/g);
    assert.deepEqual(namesIn(variablesOf(look), /--uiapi-([\w-]+):/g), used);
  });
}

test("no colour is our own", () => {
  const all = LOOKS.map(variablesOf).join("") + RULES;
  assert.deepEqual(all.match(/#[0-9a-f]{3,8}\b|\b(rgb|hsl|oklch|oklab)a?\(/gi) ?? [], []);
});
