/** Texts for people are shortened without splitting a letter. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { beginning, ending, short } from "../../../web/ui/format.js";

test("a shortened text splits no letter that is two characters", () => {
  assert.equal(beginning("ab🎨c", 3), "ab…");
  assert.equal(beginning("ab🎨c", 4), "ab🎨…");
  assert.equal(ending("a🎨bc", 3), "…bc");
  assert.equal(beginning("abc", 3), "abc");
  assert.ok(short(`${"x".repeat(59)}🎨 and more`).isWellFormed());
});
