/**
 * Counts runs in properties of its node and of a widget, before and after they are queued, and submits both counts.
 */

import { app } from "/scripts/app.js";

app.registerExtension({
  name: "lab.counter",
  nodeCreated(node) {
    if (node.comfyClass !== "LabCounter") return;
    const [begun, ended] = node.widgets;
    begun.beforeQueued = () => {
      node.begun = (node.begun ?? 0) + 1;
      begun.value = node.begun;
    };
    ended.afterQueued = () => {
      ended.seen = (ended.seen ?? 0) + 1;
      ended.value = ended.seen;
    };
  },
});
