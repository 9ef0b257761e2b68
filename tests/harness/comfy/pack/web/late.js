/**
 * Adds widgets to a node a moment after it was created.
 */

import { app } from "/scripts/app.js";

app.registerExtension({
  name: "lab.late",
  nodeCreated(node) {
    if (node.comfyClass !== "LabLate") return;
    setTimeout(() => {
      node.addWidget("toggle", "group_mode", true, () => {}, {});
      node.addWidget("text", "note", "late", () => {}, {});
      node.graph?.change?.();
    }, 100);
  },
});
