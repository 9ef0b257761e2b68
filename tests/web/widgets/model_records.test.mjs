/** The records of models in nodes: which nodes get one, what of it is replaced, and the undo step. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { describeModels, describedBy } from "../../../web/widgets/model_widgets.js";
import { graph, node } from "../graphs.mjs";

const URL = "https://huggingface.co/a/b/resolve/main/x.safetensors";
const model = (more = {}) => ({ name: "x.safetensors", url: URL, directory: "vae", sha256: "1".repeat(64), ...more });
const RECORD = { name: "x.safetensors", url: URL, directory: "vae", hash: "1".repeat(64), hash_type: "SHA256" };

/** A page with this graph that counts its undo steps. */
function pageOf(...nodes) {
  const page = { steps: 0, rootGraph: () => root, undoStep: (change) => (page.steps++, change()) };
  const root = graph(...nodes);
  return page;
}

const vae = (id, value = "x.safetensors", properties = undefined) => node("VAE", "VAELoader", { name: value }, { id, properties });

test("the nodes that still name a model get its record, as one undo step", () => {
  const nodes = [vae(1), vae(2), vae(3, "other.safetensors"), vae(4)];
  const page = pageOf(...nodes);
  const paths = describeModels(page, [model({ nodes: ["1", "2", "3", "9"] })]);
  assert.deepEqual(nodes.map(({ properties }) => properties?.models), [[RECORD], [RECORD], undefined, undefined]);
  assert.equal(page.steps, 1);
  assert.equal(paths.length, 2);
});

test("without the ids of nodes all that name it get the record", () => {
  const nodes = [vae(1), vae(2)];
  describeModels(pageOf(...nodes), [model({ sha256: null, directory: null })]);
  const short = { name: "x.safetensors", url: URL };
  assert.deepEqual(nodes.map(({ properties }) => properties.models), [[short], [short]]);
});

test("a record of the same name is replaced, and whatever else the node has is kept", () => {
  const other = { name: "y.safetensors", url: "https://e.com/y" };
  const one = vae(1, "x.safetensors", { cnr_id: "core", models: [{ name: "x.safetensors", url: "old" }, other] });
  describeModels(pageOf(one), [model({ nodes: ["1"] })]);
  assert.deepEqual(one.properties, { cnr_id: "core", models: [other, RECORD] });
});

test("without a node to change there is no undo step", () => {
  const page = pageOf(vae(1, "other.safetensors"));
  assert.deepEqual(describeModels(page, [model()]), []);
  assert.equal(page.steps, 0);
});

test("what was chosen without a URL is not described", () => {
  const chosen = { model: { name: "x.safetensors", nodes: ["1"] }, key: "x", url: URL, directory: "vae", sha256: null };
  assert.deepEqual(describedBy([chosen, { ...chosen, url: "" }]), [{ name: "x.safetensors", nodes: ["1"], url: URL, directory: "vae", sha256: null }]);
});
