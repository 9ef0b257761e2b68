/** The table of missing models, as far as it needs no page. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { keyOf } from "../../../../web/ui/models/models_dialog.js";

test("models of one file name are distinguished by directory, and a single one only has its name", () => {
  const models = [{ name: "a", directory: "vae" }, { name: "a", directory: "loras" }, { name: "b", directory: "vae" }, { name: "a" }];
  assert.deepEqual(models.map((model) => keyOf(model, models)), ["vae/a", "loras/a", "b", "a"]);
});
