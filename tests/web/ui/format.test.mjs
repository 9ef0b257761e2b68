/** Texts for people are shortened without splitting a letter, and sizes are never torn apart. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { beginning, ending, keepSizes, short, size } from "../../../web/ui/format.js";

test("a shortened text splits no letter that is two characters", () => {
  assert.equal(beginning("ab🎨c", 3), "ab…");
  assert.equal(beginning("ab🎨c", 4), "ab🎨…");
  assert.equal(ending("a🎨bc", 3), "…bc");
  assert.equal(beginning("abc", 3), "abc");
  assert.ok(short(`${"x".repeat(59)}🎨 and more`).isWellFormed());
});

test("no line is broken between a number and its unit", () => {
  assert.deepEqual([0, 4e6, 6.9e9].map(size), ["0\u00a0B", "4.0\u00a0MB", "6.9\u00a0GB"]);
  assert.equal(keepSizes("x needs 6.90 GB but the disk has 12 MB free."), "x needs 6.90\u00a0GB but the disk has 12\u00a0MB free.");
});
