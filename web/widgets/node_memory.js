/**
 * Remembers nodes before a write and restores them: values, and also widgets that were added or removed.
 *
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Widget} Widget
 *
 * @typedef {object} Kept
 * @property {{widget: Widget, name: string, value: any}[]} widgets
 * @property {Record<string, any>} properties
 * @property {string} title
 * @property {number[] | null} size
 */

import { change } from "./widget_change.js";
import { copied, mismatches } from "../common/compare.js";
import { words } from "../common/errors.js";

/**
 * @param {import("./widget_change.js").Changing} page
 */
export function createMemory(page) {
  /** @type {Map<GraphNode, Kept>} */
  const nodes = new Map();
  /** @type {(() => void)[]} */
  const more = [];

  return {
    /** @param {GraphNode} node saved as it is at the first call */
    keep(node) {
      if (nodes.has(node)) return;
      const { properties, size } = node;
      nodes.set(node, {
        widgets: (node.widgets ?? []).map((widget) => ({ widget, name: widget.name, value: copied(valueOf(widget)) })),
        properties: { ...properties },
        title: node.title,
        size: size ? [size[0], size[1]] : null,
      });
    },

    /** @returns {{node: GraphNode, widget: Widget, value: any}[]} the widgets that have another value by now */
    changed() {
      return [...nodes].flatMap(([node, { widgets }]) =>
        widgets.flatMap((kept) => {
          const widget = liveOf(node, widgets, kept);
          if (!widget || equal(kept.value, valueOf(widget))) return [];
          return [{ node, widget, value: copied(valueOf(widget)) }];
        }),
      );
    },

    /** @param {() => void} putBack restores state outside of nodes */
    also: (putBack) => void more.push(putBack),

    /**
     * Restores everything, including effects of callbacks on other widgets of a node. A callback that throws does not
     * prevent the rest.
     *
     * @returns {string[]} what could not be restored, as `#id.name`
     */
    putBack() {
      for (const [node, { widgets }] of nodes) {
        for (const kept of widgets) {
          const widget = liveOf(node, widgets, kept);
          if (!widget || equal(kept.value, valueOf(widget))) continue;
          quietly(() => change(page, node, widget, copied(kept.value)));
        }
      }
      for (const [node, kept] of nodes) quietly(() => reshape(node, kept));
      for (const putBack of more.reverse()) putBack();
      for (const [node, kept] of nodes) settle(node, kept);
      return [...nodes].flatMap(([node, { widgets }]) =>
        widgets
          .filter((kept) => {
            const widget = liveOf(node, widgets, kept);
            return !widget || !equal(kept.value, valueOf(widget));
          })
          .map(({ name }) => `#${node.id}.${name}`),
      );
    },
  };
}

/** @typedef {ReturnType<typeof createMemory>} Memory */

/**
 * @param {() => void} work
 */
function quietly(work) {
  try {
    work();
  } catch {
    // A failing callback must not prevent the rest; what could not be restored shows when the values are read back.
  }
}

/**
 * Returns the widget in the place of a remembered one: itself, or one of the same name that a callback created.
 *
 * @param {GraphNode} node
 * @param {Kept["widgets"]} all
 * @param {Kept["widgets"][number]} kept
 * @returns {Widget | undefined}
 */
function liveOf(node, all, kept) {
  const live = node.widgets ?? [];
  if (live.includes(kept.widget)) return kept.widget;
  const before = all.slice(0, all.indexOf(kept)).filter(({ name }) => name === kept.name).length;
  return live.filter(({ name }) => name === kept.name)[before];
}

/**
 * Removes widgets that were added, and brings back those that were removed.
 *
 * @param {any} node
 * @param {Kept} kept
 */
function reshape(node, kept) {
  const present = () => new Set(kept.widgets.map((one) => liveOf(node, kept.widgets, one)));
  const known = present();
  for (const widget of [...(node.widgets ?? [])]) if (!known.has(widget)) remove(node, widget);
  if (!known.has(undefined)) return;
  // As the page restores a saved node; packs that save values by name have no list.
  if (typeof node.serialize === "function" && typeof node.configure === "function") {
    const info = node.serialize();
    const values = kept.widgets.map(({ value }) => value);
    if (Array.isArray(info.widgets_values ?? [])) info.widgets_values = values;
    else for (const { name, value } of kept.widgets) info.widgets_values[name] = value;
    quietly(() => node.configure(info));
  }
  if (!present().has(undefined)) return;
  for (const [at, one] of kept.widgets.entries()) if (!liveOf(node, kept.widgets, one)) node.widgets.splice(at, 0, one.widget);
}

/**
 * @param {any} node
 * @param {Widget} widget
 */
function remove(node, widget) {
  if (typeof node.removeWidget === "function") quietly(() => node.removeWidget(widget));
  const at = node.widgets.indexOf(widget);
  if (at >= 0) node.widgets.splice(at, 1);
}

/**
 * @param {any} node
 * @param {Kept} kept
 */
function settle(node, { widgets, properties, title, size }) {
  for (const kept of widgets) {
    const widget = liveOf(node, widgets, kept);
    if (widget && !equal(kept.value, valueOf(widget))) quietly(() => void (widget.value = copied(kept.value)));
  }
  for (const name of Object.keys(node.properties ?? {})) if (!Object.hasOwn(properties, name)) delete node.properties[name];
  Object.assign(node.properties ?? {}, properties);
  if (node.title !== title) node.title = title;
  if (size && (node.size[0] !== size[0] || node.size[1] !== size[1])) {
    if (typeof node.setSize === "function") quietly(() => node.setSize(size));
    else node.size = size;
  }
}

/**
 * @param {Widget} widget
 * @returns {any} the error, if reading it throws
 */
function valueOf(widget) {
  try {
    return widget.value;
  } catch (error) {
    return words(error);
  }
}

/**
 * @param {any} a
 * @param {any} b
 * @returns {boolean}
 */
function equal(a, b) {
  return a === b || (mismatches(a, b).length === 0 && mismatches(b, a).length === 0);
}
