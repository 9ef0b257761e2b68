/**
 * Removes the frontend's control of a seed and adds buttons instead.
 */

import { app } from "/scripts/app.js";

app.registerExtension({
  name: "lab.seed",
  nodeCreated(node) {
    if (node.comfyClass !== "LabSeed") return;
    const at = node.widgets.findIndex(({ name }) => name === "control_after_generate");
    if (at >= 0) node.widgets.splice(at, 1);
    node.addWidget("button", "New seed", "", () => {});
  },
});
