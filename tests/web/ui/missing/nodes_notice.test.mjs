/** The texts of the notice about missing nodes, and that no command leads to an installation. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { sentenceOf } from "../../../../web/ui/missing/nodes_notice.js";

const WEB = new URL("../../../../web/", import.meta.url);

test("the notice names the first missing types and counts the rest", () => {
  assert.equal(sentenceOf(["A"]), "1\u00a0node type is missing: A.");
  assert.equal(sentenceOf(["A", "B", "C", "D", "E"]), "5\u00a0node types are missing: A, B, C and 2\u00a0more.");
  assert.ok(sentenceOf(["x".repeat(1000)]).length < 100);
});

test("only the notice can install packs or restart ComfyUI, and no command reaches it", () => {
  const files = readdirSync(WEB, { recursive: true }).map(String).filter((name) => name.endsWith(".js"));
  const text = (name) => readFileSync(new URL(name, WEB), "utf8");
  const importing = files.filter((name) => /^import .*pack_manager\.js/m.test(text(name)));
  assert.deepEqual(importing.sort(), ["ui/missing/nodes_notice.js", "uiapi.js"]);
  const routes = files.filter((name) => /manager\/(queue|reboot)/.test(text(name)));
  assert.deepEqual(routes, ["page/pack_manager.js"]);
  // The parts that commands get do not include it.
  const means = /const means = \{(.*?)\n  \};/s.exec(text("uiapi.js"));
  assert.ok(means && !/[mM]anager/.test(means[1]));
});
