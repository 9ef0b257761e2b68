/**
 * Writes widgets as the page does for a person: values are checked first and read back afterwards.
 *
 * @typedef {import("../common/types.js").Field} Field
 * @typedef {import("./node_memory.js").Memory} Memory
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Owner} Owner
 * @typedef {import("../common/types.js").Widget} Widget
 * @typedef {import("../common/types.js").Written} Written
 *
 * @typedef {object} Plan A checked write.
 * @property {string} path
 * @property {any} requested
 * @property {any} value
 * @property {boolean} adds
 * @property {Owner} owner
 *
 * @typedef {object} Page The parts of the frontend that a write needs; page/frontend.js provides them.
 * @property {() => Graph} rootGraph
 * @property {() => any} canvas
 * @property {<T>(change: () => T, putsBack?: boolean) => T} undoStep
 * @property {(key: string) => unknown} setting
 * @property {import("./seed_controls.js").WrittenValues} [written]
 * @property {() => any} [litegraph]
 * @property {(type: string) => boolean} [knowsType]
 * @property {(list: any[], value: any) => void} [choiceAdded] called with a choice that was added to a combo
 * @property {boolean} [isTrial] see widget_change.js
 */

import { change } from "./widget_change.js";
import { mismatches } from "../common/compare.js";
import { controlOf } from "./seed_controls.js";
import { CommandError, words } from "../common/errors.js";
import { forget, indexed } from "../paths/node_lookup.js";
import { createMemory } from "./node_memory.js";
import { fieldsAt, resolve } from "../paths/paths.js";
import { addRow } from "./dynamic_rows.js";
import { named } from "../common/shorten.js";
import { isStored } from "./input_kinds.js";
import { rewriteWarning } from "./text_rewrites.js";
import { inputOf, linkInto, ownerOf, walk } from "../paths/subgraphs.js";
import { accepted } from "./widget_values.js";

const MUTED = 2;
const BYPASSED = 4;
const KEYS_SHOWN = 5;

/**
 * Sets fields in the given order, all or none, as one undo step. Each path is resolved in the graph as the previous
 * writes left it, and all values are read back at the end.
 *
 * @param {Page} page
 * @param {[string, any][]} fields paths with their new values; the last one of a repeated path wins
 * @param {object} [options]
 * @param {boolean} [options.once] whether different values for the same field, by two paths, are an error
 * @returns {Record<string, Written>} by path as given
 * @throws {CommandError} after everything was restored
 */
export function setFields(page, fields, { once = false } = {}) {
  const root = page.rootGraph();
  return indexed(() =>
    inOrder(page, {
      steps: fields,
      remember: ([path], memory) => {
        const found = typeof path === "string" ? fieldsAt(root, path) : [];
        if (found.length === 1 && found[0].widget) memory.keep(ownerOf({ ...found[0], widget: found[0].widget }).node);
      },
      plan: ([path, requested], memory) => plan(page, root, path, requested, memory),
      over: (plans) => {
        const last = lastWrites(plans);
        if (once) requireEach(plans, last);
        return Object.fromEntries(plans.map((done) => [done.path, written(page, root, done, plans, last)]));
      },
    }),
  );
}

/**
 * Returns the last write of each widget.
 *
 * @param {Plan[]} plans
 * @returns {Map<Widget, Plan>}
 */
function lastWrites(plans) {
  return new Map(plans.map((done) => [done.owner.widget, done]));
}

/**
 * Returns another path by which the same widget was set to another value later, such as that of a widget that its
 * subgraph shows as well.
 *
 * @param {Plan} done
 * @param {Map<Widget, Plan>} last
 * @returns {string | null}
 */
function replacedBy({ path, value, owner }, last) {
  const other = last.get(owner.widget);
  return !other || other.path === path || mismatches(value, other.value).length === 0 ? null : other.path;
}

/**
 * @param {Plan[]} plans
 * @param {Map<Widget, Plan>} last
 * @throws {CommandError} invalid
 */
function requireEach(plans, last) {
  for (const done of plans) {
    const other = replacedBy(done, last);
    if (!other) continue;
    const sentence = `${done.path} and ${other} are the same field, which can't have two values; name it once.`;
    throw new CommandError("invalid", sentence, { path: other, same: done.path });
  }
}

/**
 * Writes values without checking choices and ranges, as one undo step.
 *
 * @param {Page} page
 * @param {Pick<Plan, "path" | "value" | "adds" | "owner">[]} plans
 * @throws {CommandError} tab_failed when a widget's callback throws; everything is restored then
 */
export function write(page, plans) {
  inOrder(page, {
    steps: plans,
    remember: ({ owner }, memory) => memory.keep(owner.node),
    plan: (step) => ({ ...step, owner: live(step.owner) ?? step.owner, requested: step.value }),
    over: () => undefined,
  });
}

/**
 * @template Step, Answer
 * @param {Page} page
 * @param {object} work
 * @param {Step[]} work.steps
 * @param {(step: Step, memory: Memory) => void} work.remember saves the state that the step changes; called for all steps before the first write
 * @param {(step: Step, memory: Memory) => Plan} work.plan resolves and checks a step
 * @param {(plans: Plan[]) => Answer} work.over reads back the written values
 * @returns {Answer}
 */
function inOrder(page, { steps, remember, plan: next, over }) {
  if (steps.length === 0) return over([]);
  return page.undoStep(() => {
    const memory = createMemory(page);
    // A callback of one step may change the target of a later one.
    if (steps.length > 1) for (const step of steps) remember(step, memory);
    /** @type {Plan[]} */
    const done = [];
    try {
      for (const step of steps) {
        const made = next(step, memory);
        memory.keep(made.owner.node);
        done.push(made);
        apply(page, made, memory);
      }
      return over(done);
    } catch (error) {
      const left = memory.putBack();
      forget();
      throw refusal(page, error, done, left);
    }
  }, true);
}

/**
 * @param {Page} page
 * @param {unknown} error
 * @param {Plan[]} done
 * @param {string[]} left what could not be restored
 * @returns {CommandError}
 */
function refusal(page, error, done, left) {
  const last = done[done.length - 1]?.path;
  const reason = words(error).replace(/\.$/, "");
  if (left.length > 0) {
    const paths = left.slice(0, 5).join(", ");
    return new CommandError("tab_failed", `${reason}; the page did not restore ${paths}.`, { path: last, left });
  }
  if (!(error instanceof CommandError)) {
    return new CommandError("tab_failed", `Setting ${last} failed in the page, and nothing was changed: ${reason}.`, { path: last });
  }
  const path = error.details.path;
  if (error.code !== "unknown_path" || done.length === 0 || typeof path !== "string") return error;
  // Everything is restored, so this shows whether the field existed before.
  return fieldsAt(page.rootGraph(), path).length === 0 ? error : vanished(path, done.map((one) => one.path));
}

/**
 * @param {string} path
 * @param {string[]} set
 * @returns {CommandError}
 */
function vanished(path, set) {
  const others = [...new Set(set)].filter((other) => other !== path);
  const after = others.slice(0, 3).join(", ") + (others.length > 3 ? ", …" : "");
  return new CommandError("unknown_path", `${path} no longer exists once ${after} is set, and nothing was changed; leave one of them out.`, {
    path,
    set: others,
  });
}

/**
 * @param {Page} page
 * @param {Graph} root
 * @param {string} path
 * @param {any} requested
 * @param {Memory} memory
 * @returns {Plan}
 */
function plan(page, root, path, requested, memory) {
  const field = target(page, root, path, memory);
  if (!field.widget) {
    throw new CommandError("invalid", `${path} is an ${field.kind}; link it with set_connection.`, { path });
  }
  const owner = ownerOf({ ...field, widget: field.widget });
  const missing = missingType(page, owner.node);
  if (missing !== null) {
    const sentence = `The node type ${JSON.stringify(missing)} is not installed, so ${path} can't be set; install its node pack.`;
    throw new CommandError("unknown_node_type", sentence, { path, type: missing });
  }
  return { path, requested, owner, ...accepted(path, owner, requested) };
}

/**
 * Returns the type of a node if it is not installed. The page shows the node with made-up widgets, and saves it
 * unchanged.
 *
 * @param {Page} page
 * @param {any} node
 * @returns {string | null}
 */
export function missingType(page, node) {
  if (!node.last_serialization || node.subgraph) return null;
  const type = String(node.last_serialization.type ?? node.type);
  return page.knowsType?.(type) === false ? type : null;
}

/**
 * @param {Page} page
 * @param {Graph} root
 * @param {string} path
 * @param {Memory} memory
 * @returns {Field}
 */
function target(page, root, path, memory) {
  if (typeof path !== "string") return resolve(root, path);
  const found = fieldsAt(root, path);
  if (found.length === 1) return found[0];
  if (found.length === 0) {
    // A callback may have renamed the node.
    forget();
    if (fieldsAt(root, path).length === 0) addRow(page, root, path, memory);
  }
  return resolve(root, path);
}

/**
 * Returns the widget that holds a written value: a callback may have replaced the original.
 *
 * @param {Owner} owner
 * @returns {Owner | null}
 */
function live(owner) {
  const { node, widget } = owner;
  if (!node.widgets || node.widgets.includes(widget)) return owner;
  const now = node.widgets.find(({ name }) => name === widget.name);
  return now ? { ...owner, widget: now } : null;
}

/**
 * @param {Page} page
 * @param {Graph} root
 * @param {Plan} done
 * @param {Plan[]} all
 * @param {Map<Widget, Plan>} last
 * @returns {Written}
 */
function written(page, root, done, all, last) {
  const owner = live(done.owner);
  if (!owner || owner.node.graph === null) {
    throw vanished(done.path, all.slice(all.indexOf(done) + 1).map(({ path }) => path));
  }
  const value = owner.widget.value ?? null;
  const other = replacedBy(done, last);
  const said = other ? [`${other} is the same field and was set to another value later.`] : warnings(page, root, { ...done, owner });
  return { requested: done.requested, value, warnings: said };
}

/**
 * @param {Page} page
 * @param {Plan} step
 * @param {Memory} memory
 */
function apply(page, { value, adds, owner: { node, widget } }, memory) {
  const list = widget.options?.values;
  if (adds && Array.isArray(list) && !list.includes(value)) {
    list.push(value);
    memory.also(() => void (list[list.length - 1] === value && list.pop()));
    page.choiceAdded?.(list, value);
  }
  const { title } = node;
  change(page, node, widget, value);
  if (node.title !== title) forget();
}

/**
 * Returns warnings about a value that was set.
 *
 * @param {Page} page
 * @param {Graph} root
 * @param {Plan} written
 * @returns {string[]}
 */
function warnings(page, root, { requested, value, adds, owner }) {
  const { node, hosts, widget } = owner;
  const said = [];
  if (adds && !isStored(requested)) {
    said.push(`The page does not list ${named(requested)}; a run fails unless it is in ComfyUI's input folder.`);
  }
  // An object was merged into the widget's.
  const wrong = difference(widget, typeof requested === "object" && requested !== null ? value : requested);
  if (wrong) said.push(wrong);
  if (Number.isInteger(requested) && !Number.isSafeInteger(requested)) {
    said.push("Numbers beyond 9007199254740991 are not exact in the browser.");
  }
  const slot = inputOf(node, widget);
  const link = slot < 0 ? undefined : linkInto(node, slot);
  if (link) said.push("Its input is linked, so this value is not used.");
  const rewritten = link ? null : rewriteWarning(owner);
  if (rewritten) said.push(rewritten);
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
 * @param {Widget} widget
 * @param {any} asked
 * @returns {string} the difference to the widget's value, or ""
 */
function difference(widget, asked) {
  const found = mismatches(asked, widget.value);
  if (found.length === 0) return "";
  const each = found.slice(0, KEYS_SHOWN).map(({ key, asked: wanted, held }) => {
    const counts = Array.isArray(wanted) && Array.isArray(held);
    const [has, not] = counts ? [`${held.length} items`, `${wanted.length}`] : [named(held), named(wanted)];
    if (key === "") return `${has} instead of ${not}${range(widget)}`;
    return held === undefined ? `no ${key}` : `${key} ${has} instead of ${not}`;
  });
  const more = found.length > KEYS_SHOWN ? `, and ${found.length - KEYS_SHOWN} more differ` : "";
  return `The widget holds ${each.join(", ")}${more}.`;
}
