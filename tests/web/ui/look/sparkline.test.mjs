// The line of a rate ends at the right, and its highest value at the top.

import assert from "node:assert";
import { test } from "node:test";

import { pointsOf } from "../../../../web/ui/look/sparkline.js";

test("the latest value is at the right end, the highest at the top, and zero at the bottom", () => {
  const points = pointsOf([0, 5, 10]).split(" ").map((point) => point.split(",").map(Number));
  assert.deepEqual(points[2], [48, 1]);
  assert.equal(points[0][1], 13);
  assert.ok(points[0][0] < points[1][0]);
});

test("rates of zero are a line at the bottom", () => {
  assert.deepEqual(pointsOf([0, 0]).split(" ").map((point) => point.split(",")[1]), ["13.0", "13.0"]);
});
