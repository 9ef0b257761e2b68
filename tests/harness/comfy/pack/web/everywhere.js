/**
 * Adds links in queued prompts only: the picture of a LabEverywhere goes to every unlinked picture input.
 *
 * Both functions of the page are replaced, as in popular packs, so that a plain export lacks these links.
 */

import { app } from "/scripts/app.js";

let queueing = 0;

/** Adds the missing links to the API-format prompt. */
function spread(output) {
  const from = Object.values(output).find(({ class_type }) => class_type === "LabEverywhere")?.inputs.image;
  if (!from) return;
  for (const [id, { class_type, inputs }] of Object.entries(output)) {
    const node = app.graph.getNodeById(Number(id)) ?? app.graph.getNodeById(id);
    if (class_type === "LabEverywhere" || !node) continue;
    for (const input of node.inputs ?? []) {
      if (input.type === "IMAGE" && !(input.name in inputs)) inputs[input.name] = [...from];
    }
  }
}

app.registerExtension({
  name: "lab.everywhere",
  setup() {
    const { queuePrompt, graphToPrompt } = app;
    app.queuePrompt = async function (...all) {
      queueing += 1;
      try {
        return await queuePrompt.apply(this, all);
      } finally {
        queueing -= 1;
      }
    };
    app.graphToPrompt = async function (...all) {
      const exported = await graphToPrompt.apply(this, all);
      if (queueing > 0) spread(exported.output);
      return exported;
    };
  },
});
