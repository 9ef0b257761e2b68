/** The lines that a person copies for their programs. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { graph, node } from "../graphs.mjs";
import { curlOf, fieldsOf, pythonOf } from "../../../web/graph/snippets.js";

const URL = "http://127.0.0.1:8188";

test("the fields of a node have the paths and values that a program uses", () => {
  const sampler = node("Sampler", "KSampler", { seed: 5, cfg: 7.5 });
  const root = graph(sampler, node("Sampler", "KSampler", { seed: 1 }));
  const paths = fieldsOf(root, sampler).map(({ path }) => path);
  assert.deepEqual(paths, [`#${sampler.id}.seed`, `#${sampler.id}.cfg`]);
  assert.deepEqual(fieldsOf(root, sampler, sampler.widgets[1]), [{ path: `#${sampler.id}.cfg`, value: 7.5 }]);
  assert.deepEqual(fieldsOf(root, node("Other", "KSampler", { seed: 1 })), []);
});

test("Python gets its own words for values", () => {
  const value = { on: true, off: [false, null], text: 'a "b"\n' };
  assert.equal(
    pythonOf(URL, [{ path: "A.b", value }]),
    `from uiapi import Client\n\nwith Client("${URL}") as client:\n    client["A.b"] = {"on": True, "off": [False, None], "text": "a \\"b\\"\\n"}\n`,
  );
  assert.match(pythonOf(URL, [{ path: "A.b", value: 1 }, { path: 'A "c".d', value: 2 }]), /client\.set\(\{\n {8}"A\.b": 1,\n {8}"A \\"c\\"\.d": 2,\n {4}\}\)\n$/);
});

test("no value of a field ends the quotes of the shell", () => {
  const line = curlOf(URL, [{ path: "A.b", value: "it's $HOME `id`" }], false);
  assert.equal(line, `curl ${URL}/uiapi/set_fields --json '{"fields":[["A.b","it'\\''s $HOME \`id\`"]]}'\n`);
  assert.match(curlOf(URL, [{ path: "A.b", value: 1 }], true), / -H "Authorization: Bearer \$UIAPI_TOKEN" --json /);
});
