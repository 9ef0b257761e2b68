/** Copies of the graph are sent in the background after changes, without side effects. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createLastSeen } from "../../../web/page/graph_snapshots.js";
import { graph, node } from "../graphs.mjs";

/** The copies that are sent of a graph, and the number of exports. */
async function snapshotOf(root) {
  const sent = [];
  let sendEvent;
  const first = new Promise((resume) => (sendEvent = (event, data) => resume(sent.push(data))));
  let exports = 0;
  const exported = async () => {
    exports++;
    return { workflow: { nodes: [] }, output: { exported: true } };
  };
  const frontend = { rootGraph: () => root, info: () => ({ workflow_name: "one" }), state: () => ({ nodes: ["all"] }), exports: { both: exported } };
  const queueing = { alone: (work) => work() };
  const revisions = { revision: () => "r-1", activeTab: () => "tab-1", onChange() {}, onInput() {} };
  const page = { performance: { now: () => 0 }, setTimeout: (action) => setImmediate(action), clearTimeout() {}, console };
  const lastSeen = createLastSeen({ frontend, workflows: { loading: () => null }, queueing, revisions, sendEvent }, page);
  lastSeen.anew();
  await first;
  assert.equal(sent.length, 1);
  const [{ workflow, output, nodes }] = sent;
  return { workflow: JSON.parse(workflow), output: JSON.parse(output), nodes: JSON.parse(nodes), exports };
}

const asked = () => assert.fail("asked for what it has for a run");

test("no camera, recorder or drawing is triggered: such a graph is sent without its API format", async () => {
  const camera = node("Camera", "WebcamCapture", { width: 1, image: "" });
  camera.widgets[1].serializeValue = asked;
  for (const root of [graph(camera), graph(node("Outer", "uuid", {}, { subgraph: graph(camera) }))]) {
    const { workflow, output, nodes, exports } = await snapshotOf(root);
    assert.deepEqual([workflow, output, exports], [{ nodes: ["all"] }, {}, 0]);
    assert.equal(nodes.at(-1).title, "Camera");
  }
});

test("values that the frontend's own widgets compute for a run are included", async () => {
  const prompt = node("Prompt", "CLIPTextEncode", { text: "{a|b}" });
  Object.assign(prompt.widgets[0], { dynamicPrompts: true, serializeValue: asked });
  const save = node("Save", "SaveImage", { filename_prefix: "%date%", upload: "x" });
  for (const widget of save.widgets) widget.serializeValue = asked;
  save.widgets[1].type = "button";
  const inherited = node("Text", "T");
  inherited.widgets.push(Object.assign(Object.create({ serializeValue: asked }), { name: "w", type: "custom", value: 1 }));
  const { output, exports } = await snapshotOf(graph(prompt, save, inherited));
  assert.deepEqual([output, exports], [{ exported: true }, 1]);
});
