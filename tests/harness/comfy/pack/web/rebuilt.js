/**
 * Rebuilds widgets in the callback of another one, as video savers and typed primitives do.
 */

import { app } from "/scripts/app.js";

const FORMATS = {
  h264: { crf: 19, pix_fmt: "yuv420p" },
  h265: { crf: 22, pix_fmt: "yuv420p10le", preset: "slow" },
  gif: { loop: true },
};
const TYPES = { STRING: ["text", ""], INT: ["number", 0], BOOLEAN: ["toggle", false] };

/** Replaces all widgets after the first one. */
function rebuild(node, wanted) {
  for (const widget of node.widgets.splice(1)) widget.onRemove?.();
  for (const [name, [type, value]] of Object.entries(wanted)) node.addWidget(type, name, value, () => {}, {});
  node.setSize?.(node.computeSize());
}

const kind = (value) => [{ number: "number", boolean: "toggle" }[typeof value] ?? "text", value];

/** Rebuilds the other widgets now and in the callback of the first one. */
function follow(node, wanted) {
  const [first] = node.widgets;
  const { callback } = first;
  first.callback = function (...all) {
    rebuild(node, wanted(first.value));
    return callback?.apply(this, all);
  };
  rebuild(node, wanted(first.value));
}

app.registerExtension({
  name: "lab.rebuilt",
  nodeCreated(node) {
    if (node.comfyClass === "LabRebuilt") {
      follow(node, (format) => Object.fromEntries(Object.entries(FORMATS[format] ?? {}).map(([k, v]) => [k, kind(v)])));
    }
    if (node.comfyClass === "LabRetyped") follow(node, (type) => ({ value: TYPES[type] ?? TYPES.STRING }));
  },
});
