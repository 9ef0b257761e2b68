/**
 * Writing widgets honestly: what the page would do for a person's change, checked before and read back after.
 *
 * @typedef {import("./types.js").Field} Field
 * @typedef {import("./types.js").Graph} Graph
 * @typedef {import("./types.js").GraphNode} GraphNode
 * @typedef {import("./types.js").Owner} Owner
 * @typedef {import("./types.js").Widget} Widget
 * @typedef {import("./types.js").Written} Written
 *
 * @typedef {object} Plan A checked write.
 * @property {string} path
 * @property {any} requested
 * @property {any} value
 * @property {boolean} adds
 * @property {Owner} owner
 *
 * @typedef {object} Page What a write needs of the page; frontend.js provides it.
 * @property {() => Graph} rootGraph
 * @property {() => any} canvas
 * @property {<T>(change: () => T) => T} undoStep
 * @property {(key: string) => unknown} setting
 * @property {import("./controls.js").WrittenValues} [written]
 * @property {(list: any[], value: any) => void} [choiceAdded] hears of a choice that a combo did not have before
 */

import { controlOf } from "./controls.js";
import { CommandError, words } from "./errors.js";
import { resolve } from "./paths.js";
import { named } from "./shown.js";
import { inputOf, keepPromoted, linkInto, ownerOf, walk } from "./subgraphs.js";
import { accepted } from "./values.js";

const MUTED = 2;
const BYPASSED = 4;
// A picture that the server has stored for this very write; bridge/picture_store.py has the same pattern.
const STORED = /^INPUT_.*_[0-9a-f]{16}(-\d+)?\.png$/s;

/**
 * Set fields, all or none, as one undo step.
 *
 * @param {Page} page
 * @param {[string, any][]} fields paths with the values they shall hold
 * @returns {Record<string, Written>} by path as it was given
 * @throws {CommandError} before anything changed, or after everything was put back
 */
export function setFields(page, fields) {
  const root = page.rootGraph();
  const plans = fields.map(([path, requested]) => plan(root, path, requested));
  write(page, plans);
  return Object.fromEntries(
    plans.map(({ path, requested, adds, owner }) => [
      path,
      { requested, value: owner.widget.value ?? null, warnings: warnings(page, root, { requested, adds, owner }) },
    ]),
  );
}

/**
 * Write values that need no check against choices and ranges, as one undo step.
 *
 * @param {Page} page
 * @param {Pick<Plan, "path" | "value" | "adds" | "owner">[]} plans
 * @throws {CommandError} tab_failed when a widget's callback throws; everything was put back then
 */
export function write(page, plans) {
  if (plans.length === 0) return;
  page.undoStep(() => {
    const before = [...new Set(plans.map(({ owner }) => owner.node))].map(remember);
    /** @type {typeof plans} */
    const done = [];
    for (const step of plans) {
      done.push(step);
      try {
        apply(page, step);
      } catch (error) {
        undo(page, done, before);
        throw new CommandError(
          "tab_failed",
          `Setting ${step.path} failed in the page, and nothing was changed: ${words(error)}.`,
          { path: step.path },
        );
      }
    }
  });
}

/**
 * @param {Graph} root
 * @param {string} path
 * @param {any} requested
 * @returns {Plan}
 */
function plan(root, path, requested) {
  const field = resolve(root, path);
  if (!field.widget) {
    throw new CommandError("invalid", `${path} is an ${field.kind}; link it with set_connection.`, { path });
  }
  const owner = ownerOf({ ...field, widget: field.widget });
  return { path, requested, owner, ...accepted(path, owner, requested) };
}

/**
 * @param {Page} page
 * @param {Pick<Plan, "value" | "adds" | "owner">} step
 */
function apply(page, { value, adds, owner: { node, widget } }) {
  const list = widget.options?.values;
  if (adds && Array.isArray(list)) {
    list.push(value);
    page.choiceAdded?.(list, value);
  }
  change(page, node, widget, value);
}

/**
 * What LiteGraph does when a person changes a widget. The callback is called for an unchanged value too: an image
 * that was written over under its old name has to be shown anew.
 *
 * @param {Pick<Page, "canvas" | "written">} page
 * @param {GraphNode} node
 * @param {Widget} widget
 * @param {any} value
 */
export function change(page, node, widget, value) {
  const canvas = page.canvas();
  const previous = widget.value;
  widget.value = value;
  if (node.subgraph) keepPromoted(node, widget, value);
  const property = widget.options?.property;
  if (property && node.properties?.[property] !== undefined) node.setProperty?.(property, value);
  widget.callback?.(widget.value, canvas, node, canvas?.graph_mouse);
  node.onWidgetChanged?.(widget.name, value, previous, widget);
  page.written?.set(widget, { node, value: widget.value });
  const graph = node.graph;
  if (graph?.incrementVersion) graph.incrementVersion();
  else if (graph?._version !== undefined) graph._version++;
}

/**
 * @param {GraphNode} node
 */
function remember(node) {
  return {
    node,
    values: (node.widgets ?? []).map((widget) => ({ widget, value: widget.value })),
    properties: { ...node.properties },
  };
}

/**
 * Put everything back: the written widgets by the same way, whatever else their callbacks changed by value.
 *
 * @param {Page} page
 * @param {Pick<Plan, "value" | "adds" | "owner">[]} done
 * @param {ReturnType<typeof remember>[]} before
 */
function undo(page, done, before) {
  for (const { value, adds, owner } of [...done].reverse()) {
    const { node, widget } = owner;
    const list = widget.options?.values;
    if (adds && Array.isArray(list) && list[list.length - 1] === value) list.pop();
    const old = before.find((memory) => memory.node === node)?.values.find((kept) => kept.widget === widget);
    try {
      change(page, node, widget, old?.value);
    } catch {
      // The callback that has just failed may fail again; the value itself is set by now.
    }
  }
  for (const { node, values, properties } of before) {
    for (const { widget: kept, value } of values) {
      // A callback may have put others in their place.
      const widget = node.widgets?.includes(kept) ? kept : node.widgets?.find(({ name }) => name === kept.name);
      if (widget && widget.value !== value) widget.value = value;
    }
    Object.assign(node.properties ?? {}, properties);
  }
}

/**
 * What a caller should know about a value that was set.
 *
 * @param {Page} page
 * @param {Graph} root
 * @param {Pick<Plan, "requested" | "adds" | "owner">} written
 * @returns {string[]}
 */
function warnings(page, root, { requested, adds, owner }) {
  const { node, hosts, widget } = owner;
  const said = [];
  if (adds && !STORED.test(requested)) {
    said.push(`The page does not list ${named(requested)}; a run fails unless ComfyUI's input folder holds it.`);
  }
  if (!same(widget.value, requested)) {
    said.push(`The widget holds ${named(widget.value)} instead of ${named(requested)}${range(widget)}.`);
  }
  if (Number.isInteger(requested) && !Number.isSafeInteger(requested)) {
    said.push("Numbers beyond 9007199254740991 are not exact in the browser.");
  }
  const slot = inputOf(node, widget);
  const link = slot < 0 ? undefined : linkInto(node, slot);
  if (link) said.push("Its input is linked, so this value is not used.");
  const control = controlOf(owner);
  if (control && control.value !== "fixed" && !link) {
    const when =
      page.setting("Comfy.WidgetControlMode") === "before"
        ? "replaces the value before the run after the next one"
        : "replaces the value after the next run";
    said.push(`Its ${control.name} is "${control.value}", which ${when}; set that to "fixed" to keep the value.`);
  }
  const silent = [node, ...hosts].find(({ mode }) => mode === MUTED || mode === BYPASSED);
  if (silent) said.push(`Node "${silent.title}" is ${silent.mode === MUTED ? "muted" : "bypassed"} and does not run.`);
  const inside = hosts[hosts.length - 1]?.subgraph;
  if (inside) {
    const users = [...walk(root)].filter((place) => place.node.subgraph === inside).length;
    if (users > 1) said.push(`${users} nodes share this subgraph; the value changed in all of them.`);
  }
  return said;
}

/**
 * @param {Widget} widget
 * @returns {string}
 */
function range({ type, options }) {
  const { min, max } = options ?? {};
  if (type === "combo" || (min === undefined && max === undefined)) return "";
  return ` (it allows ${min ?? "any"} to ${max ?? "any"})`;
}

/**
 * @param {any} a
 * @param {any} b
 * @returns {boolean}
 */
function same(a, b) {
  return a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));
}
