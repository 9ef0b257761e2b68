/**
 * The dialog for a workflow that a program offers: the changes compared with the open one, and a small picture.
 *
 * Both are compared as JSON of the same format. Nothing is loaded before the person agrees.
 *
 * @typedef {import("../../common/types.js").ApiWorkflow} ApiWorkflow
 * @typedef {import("../../common/types.js").UiWorkflow} UiWorkflow
 *
 * @typedef {object} Item A node to compare.
 * @property {string} key unique among all nodes, including those inside subgraphs
 * @property {string} type
 * @property {string} title
 * @property {Record<string, any>} values by widget
 *
 * @typedef {import("./offer_picture.js").Picture} Picture
 * @typedef {{title: string, what: string, before: unknown, after: unknown}} Line
 * @typedef {{added: Item[], removed: Item[], changed: Set<string>, lines: Line[]}} Difference `changed`: by key
 */

import { changeTable } from "./change_table.js";
import { button, make } from "../dom.js";
import { short } from "../format.js";
import { apiPicture, drawn, isLink, uiPicture } from "./offer_picture.js";
import { formatOf } from "../../page/loader.js";
import { walk } from "../../paths/subgraphs.js";
import { t } from "../texts.js";

/**
 * @param {Pick<import("../../commands.js").Means, "frontend" | "dialogs" | "queueing">} means
 * @param {{workflow: any, program: string, title: string | null, message: string}} offer
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether the person agreed
 */
export async function askForOffer({ frontend, dialogs, queueing }, { workflow, program, title, message }, signal) {
  const ui = formatOf(workflow) === "ui";
  const now = ui ? frontend.state() : (await queueing.alone(frontend.exports.prompt)).output;
  const names = widgetNames(frontend);
  const items = (/** @type {any} */ graph) => (ui ? uiItems(graph, names) : apiItems(graph));
  const [before, after] = [items(now), items(workflow)];
  const difference = compare(before, after);
  const picture = ui ? withRemoved(uiPicture(workflow), uiPicture(now), difference) : apiPicture(workflow);
  const titles = new Map([...before, ...after].map((item) => [item.key, item.title]));
  const answer = await dialogs.show(
    // The name of the program comes first, so that no title can pass for a message of ComfyUI.
    title ? t("offerTitled", { program, title }) : t("offerTitle", { program }),
    (/** @type {(accepted: boolean | null) => void} */ decide) => form(message, difference, after.length, (label) => drawn(picture, titles, partsOf(difference), label), decide),
    signal,
    { wide: true },
  );
  return answer === true;
}

/**
 * @param {Item[]} before
 * @param {Item[]} after
 * @returns {Difference}
 */
export function compare(before, after) {
  const old = new Map(before.map((item) => [item.key, item]));
  /** @type {Difference} */
  const found = { added: [], removed: [], changed: new Set(), lines: [] };
  for (const item of after) {
    const known = old.get(item.key);
    if (!known || known.type !== item.type) {
      found.added.push(item);
      continue;
    }
    old.delete(item.key);
    const lines = found.lines.length;
    if (known.title !== item.title) found.lines.push({ title: known.title, what: t("nodeTitle"), before: known.title, after: item.title });
    for (const [what, value] of Object.entries(item.values)) {
      const held = Object.hasOwn(known.values, what) ? known.values[what] : undefined;
      if (JSON.stringify(held) !== JSON.stringify(value)) found.lines.push({ title: item.title, what, before: held, after: value });
    }
    if (found.lines.length > lines) found.changed.add(item.key);
  }
  found.removed = [...old.values()];
  return found;
}

/**
 * @param {Picture} picture of the offered workflow
 * @param {Picture} now of the open one
 * @param {Difference} difference
 * @returns {Picture} with the nodes that would go, unless others take their places
 */
function withRemoved(picture, now, { removed }) {
  const gone = new Set(removed.map(({ key }) => key));
  const kept = new Set(picture.boxes.map(({ key }) => key));
  return { ...picture, boxes: [...now.boxes.filter(({ key }) => gone.has(key) && !kept.has(key)), ...picture.boxes] };
}

/**
 * @param {Difference} difference
 * @returns {Map<string, import("./offer_picture.js").Part>}
 */
function partsOf({ added, removed, changed }) {
  /** @type {Map<string, import("./offer_picture.js").Part>} */
  const parts = new Map();
  for (const { key } of removed) parts.set(key, "removed");
  for (const key of changed) parts.set(key, "changed");
  for (const { key } of added) parts.set(key, "added");
  return parts;
}

/**
 * @param {import("../../page/frontend.js").Frontend} frontend
 * @returns {Map<string, string[]>} the names of widgets by node type, for the types in the graph
 */
function widgetNames(frontend) {
  const names = new Map();
  for (const { node } of walk(frontend.rootGraph())) {
    names.set(node.type, (node.widgets ?? []).map(({ name }) => name));
  }
  return names;
}

/**
 * @param {UiWorkflow} workflow
 * @param {Map<string, string[]>} names of widgets by type
 * @returns {Item[]}
 */
export function uiItems(workflow, names) {
  const subgraphs = /** @type {any} */ (workflow).definitions?.subgraphs;
  const parts = [{ ...workflow, id: "" }, ...(Array.isArray(subgraphs) ? subgraphs : [])];
  const called = new Map(parts.map(({ id, name }) => [id, typeof name === "string" ? name : ""]));
  return parts.flatMap(({ id, nodes }) =>
    (Array.isArray(nodes) ? nodes : []).map((/** @type {any} */ node) => {
      const own = typeof node.title === "string" && node.title ? node.title : called.get(node.type) || String(node.type);
      return {
        key: `${id}#${node.id}`,
        type: String(node.type),
        title: called.get(id) ? `${called.get(id)}/${own}` : own,
        values: named(node.widgets_values, names.get(node.type) ?? []),
      };
    }),
  );
}

/**
 * @param {unknown} values as in a workflow: a list in the order of the widgets, or by name
 * @param {string[]} names
 * @returns {Record<string, any>}
 */
function named(values, names) {
  if (values === null || typeof values !== "object") return {};
  if (!Array.isArray(values)) return { ...values };
  return Object.fromEntries(values.map((value, at) => [names[at] ?? String(at), value ?? null]));
}

/**
 * @param {ApiWorkflow} workflow
 * @returns {Item[]}
 */
export function apiItems(workflow) {
  return Object.entries(/** @type {Record<string, any>} */ (workflow)).map(([key, { class_type, inputs, _meta }]) => ({
    key,
    type: class_type ?? t("unknownType"),
    title: (typeof _meta?.title === "string" && _meta.title) || class_type || t("unknownType"),
    values: Object.fromEntries(Object.entries(inputs ?? {}).filter(([, value]) => !isLink(value))),
  }));
}

/**
 * @param {string} message
 * @param {Difference} difference
 * @param {number} nodes how many the offered workflow has
 * @param {(label: string) => HTMLElement | false} draw returns the picture
 * @param {(accepted: boolean) => void} decide
 */
function form(message, difference, nodes, draw, decide) {
  const { added, removed, lines } = difference;
  const deny = button(t("deny"), () => decide(false));
  const same = added.length + removed.length + lines.length === 0;
  const counts = {
    added: t("nodesAdded", { count: added.length }),
    removed: t("nodesRemoved", { count: removed.length }),
    changed: t("valuesChanged", { count: lines.length }),
  };
  const label = t("offerPicture", { nodes: t("nodeCount", { count: nodes }), changed: counts.changed });
  const summary = same ? t("offerSame") : t("offerChanges", counts);
  const element = make(
    "div",
    { class: "uiapi-wide" },
    make("p", { text: message }),
    make("p", { class: "uiapi-hint", text: summary }),
    make("div", { class: "uiapi-offer" }, draw(label), !same && table(difference)),
    make("div", { class: "uiapi-actions" }, deny, button(t("openInNewTab"), () => decide(true), { primary: true })),
  );
  // Not the button that agrees: the dialog may open while the person is typing.
  return { element, focus: deny };
}

/** @param {Difference} difference */
function table({ added, removed, lines }) {
  const rows = [
    ...lines.map(({ title, what, before, after }) => [`${title}: ${what}`, short(before), short(after)]),
    ...added.map(({ title, type }) => [title, "", t("added", { what: type })]),
    ...removed.map(({ title, type }) => [title, t("removed", { what: type }), ""]),
  ];
  return changeTable(rows, t("offerTable"));
}
