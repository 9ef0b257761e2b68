/**
 * Hides combos by overwriting their type, and shows as many as a number says.
 */

import { app } from "/scripts/app.js";

const HIDDEN = ["labHidden", "tschide", "converted-widget"];

app.registerExtension({
  name: "lab.hidden",
  nodeCreated(node) {
    if (node.comfyClass !== "LabHiddenCombos") return;
    const combos = node.widgets.slice(1);
    const types = combos.map(({ type }) => type);
    const show = (count) => combos.forEach((widget, at) => (widget.type = at < count ? types[at] : HIDDEN[at]));
    const { callback } = node.widgets[0];
    node.widgets[0].callback = function (...all) {
      show(node.widgets[0].value);
      return callback?.apply(this, all);
    };
    show(node.widgets[0].value);
  },
});
