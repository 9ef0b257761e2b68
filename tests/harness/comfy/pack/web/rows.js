/**
 * Rows that the pack draws itself, with objects as values, below a header and a divider and above a button.
 */

import { app } from "/scripts/app.js";

const EMPTY = { on: true, lora: null, strength: 1, strengthTwo: null };

class Row {
  type = "custom";
  options = { serialize: true };
  y = 0;
  #value = { ...EMPTY };

  constructor(name) {
    this.name = name;
  }

  get value() {
    return this.#value;
  }

  /** Anything but an object silently becomes an empty row. */
  set value(value) {
    this.#value = typeof value === "object" && value !== null ? value : { ...EMPTY };
  }

  draw() {}

  computeSize(width) {
    return [width, 20];
  }

  serializeValue() {
    const { strengthTwo, ...value } = this.#value;
    return strengthTwo === null ? value : { ...value, strengthTwo };
  }
}

class Header extends Row {
  value = { type: "LabHeader" };
}

class Divider extends Row {
  value = {};
}

function addRow(node, value) {
  node.rows += 1;
  const row = node.addCustomWidget(new Row(`lora_${node.rows}`));
  if (value) row.value = { ...EMPTY, ...value };
  // Above the button.
  node.widgets.splice(node.widgets.indexOf(row), 1);
  node.widgets.splice(node.widgets.length - 1, 0, row);
  return row;
}

app.registerExtension({
  name: "lab.rows",
  beforeRegisterNodeDef(type, { name }) {
    if (name !== "LabRows") return;
    const { onNodeCreated, configure } = type.prototype;
    type.prototype.onNodeCreated = function (...all) {
      onNodeCreated?.apply(this, all);
      this.serialize_widgets = true;
      this.rows = 0;
      this.addCustomWidget(new Header("LabHeader"));
      this.addCustomWidget(new Divider("divider"));
      this.addWidget("button", "Add row", "", () => addRow(this));
    };
    type.prototype.configure = function (info) {
      for (const value of info.widgets_values ?? []) {
        if (value && typeof value === "object" && "lora" in value) addRow(this, value);
      }
      const { widgets_values, ...others } = info;
      configure.call(this, others);
    };
    type.prototype.addNewLoraWidget = function (lora) {
      return addRow(this, lora ? { lora } : undefined);
    };
  },
});
