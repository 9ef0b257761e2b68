/**
 * The dialog for a workflow that a program offers: the changes compared with the open one, and a small picture.
 *
 * Both are compared as JSON of the same format. Nothing is loaded before the person agrees.
 *
 * @typedef {import("../common/types.js").ApiWorkflow} ApiWorkflow
 * @typedef {import("../common/types.js").UiWorkflow} UiWorkflow
 *
 * @typedef {object} Item A node to compare.
 * @property {string} key unique among all nodes, including those inside subgraphs
 * @property {string} type
 * @property {string} title
 * @property {Record<string, any>} values by widget
 *
 * @typedef {{title: string, what: string, before: unknown, after: unknown}} Line
 * @typedef {{added: Item[], removed: Item[], lines: Line[]}} Difference
 * @typedef {{key: string, x: number, y: number, width: number, height: number}} Box in the graph's units
 */

import { changeTable } from "./change_table.js";
import { button, make, set } from "./dom.js";
import { short } from "./format.js";
import { formatOf } from "../page/loader.js";
import { walk } from "../paths/subgraphs.js";
import { t } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
// The most that is drawn; the table is complete.
const BOXES_DRAWN = 500;
const LINKS_DRAWN = 2000;
const MARGIN = 40;
// The layout of API-format workflows, which have no positions.
const COLUMN = 300;
const ROW = 140;
const SIZE = { width: 210, height: 90 };

/**
 * @param {Pick<import("../commands.js").Means, "frontend" | "dialogs" | "queueing">} means
 * @param {{workflow: any, program: string, title: string | null, message: string}} offer
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether the person agreed
 */
export async function askForOffer({ frontend, dialogs, queueing }, { workflow, program, title, message }, signal) {
  const ui = formatOf(workflow) === "ui";
  const now = ui ? frontend.state() : (await queueing.alone(frontend.exports.prompt)).output;
  const names = widgetNames(frontend);
  const items = (/** @type {any} */ graph) => (ui ? uiItems(graph, names) : apiItems(graph));
  const difference = compare(items(now), items(workflow));
  const picture = ui ? uiPicture(workflow) : apiPicture(workflow);
  const answer = await dialogs.show(
    // The name of the program comes first, so that no title can pass for a message of ComfyUI.
    title ? t("offerTitled", { program, title }) : t("offerTitle", { program }),
    (/** @type {(accepted: boolean | null) => void} */ decide) => form(message, difference, picture, decide),
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
  const found = { added: [], removed: [], lines: [] };
  for (const item of after) {
    const known = old.get(item.key);
    if (!known || known.type !== item.type) {
      found.added.push(item);
      continue;
    }
    old.delete(item.key);
    if (known.title !== item.title) found.lines.push({ title: known.title, what: t("nodeTitle"), before: known.title, after: item.title });
    for (const [what, value] of Object.entries(item.values)) {
      const held = Object.hasOwn(known.values, what) ? known.values[what] : undefined;
      if (JSON.stringify(held) !== JSON.stringify(value)) found.lines.push({ title: item.title, what, before: held, after: value });
    }
  }
  found.removed = [...old.values()];
  return found;
}

/**
 * @param {import("../page/frontend.js").Frontend} frontend
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
 * @param {unknown} value of an input in API format
 * @returns {value is [string, number]}
 */
function isLink(value) {
  return Array.isArray(value) && value.length === 2 && typeof value[1] === "number";
}

/**
 * @param {any} workflow in UI format
 * @returns {{boxes: Box[], links: [string, string][]}}
 */
export function uiPicture({ nodes, links }) {
  const boxes = nodes.slice(0, BOXES_DRAWN).map((/** @type {any} */ { id, pos, size }) => ({
    key: `#${id}`,
    x: number(pos?.[0]),
    y: number(pos?.[1]),
    width: Math.max(20, number(size?.[0] ?? SIZE.width)),
    height: Math.max(20, number(size?.[1] ?? SIZE.height)),
  }));
  const ends = (Array.isArray(links) ? links : []).slice(0, LINKS_DRAWN).map((/** @type {any} */ link) =>
    Array.isArray(link) ? [link[1], link[3]] : [link?.origin_id, link?.target_id],
  );
  return { boxes, links: ends.map(([from, to]) => [`#${from}`, `#${to}`]) };
}

/** @param {unknown} value */
function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

/**
 * Arranges nodes in columns by their distance from nodes without inputs.
 *
 * @param {ApiWorkflow} workflow
 * @returns {{boxes: Box[], links: [string, string][]}}
 */
export function apiPicture(workflow) {
  const ids = Object.keys(workflow).slice(0, BOXES_DRAWN);
  const inputs = (/** @type {string} */ id) => Object.values(workflow[id].inputs ?? {}).filter(isLink).map(([from]) => String(from));
  /** @type {[string, string][]} */
  const all = ids.flatMap((id) => inputs(id).map((from) => /** @type {[string, string]} */ ([from, id])));
  const links = all.slice(0, LINKS_DRAWN);
  const columns = new Map(ids.map((id) => [id, 0]));
  // As many rounds as the longest chain can have, which also ends cycles.
  for (let round = 0; round < ids.length; round++) {
    let moved = false;
    for (const [from, to] of links) {
      const needed = (columns.get(from) ?? -1) + 1;
      if (needed <= (columns.get(to) ?? 0) || needed >= ids.length) continue;
      columns.set(to, needed);
      moved = true;
    }
    if (!moved) break;
  }
  /** @type {Map<number, number>} */
  const rows = new Map();
  const boxes = ids.map((key) => {
    const column = columns.get(key) ?? 0;
    const row = rows.get(column) ?? 0;
    rows.set(column, row + 1);
    return { key, x: column * COLUMN, y: row * ROW, ...SIZE };
  });
  return { boxes, links };
}

/**
 * @param {string} message
 * @param {Difference} difference
 * @param {{boxes: Box[], links: [string, string][]}} picture
 * @param {(accepted: boolean) => void} decide
 */
function form(message, difference, picture, decide) {
  const { added, removed, lines } = difference;
  const refuse = button(t("cancel"), () => decide(false));
  const same = added.length + removed.length + lines.length === 0;
  const counts = {
    added: t("nodesAdded", { count: added.length }),
    removed: t("nodesRemoved", { count: removed.length }),
    changed: t("valuesChanged", { count: lines.length }),
  };
  const summary = same ? t("offerSame") : t("offerChanges", counts);
  const element = make(
    "div",
    { class: "uiapi-wide" },
    make("p", { text: message }),
    make("p", { class: "uiapi-hint", text: summary }),
    make("div", { class: "uiapi-offer" }, drawn(picture, difference), !same && table(difference)),
    make("div", { class: "uiapi-actions" }, refuse, button(t("confirm"), () => decide(true), { primary: true })),
  );
  // Not "Confirm": the dialog may open while the person is typing.
  return { element, focus: refuse };
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

/**
 * @param {{boxes: Box[], links: [string, string][]}} picture
 * @param {Difference} difference
 * @returns {Element | false}
 */
function drawn({ boxes, links }, { added, lines }) {
  if (boxes.length === 0) return false;
  const left = Math.min(...boxes.map(({ x }) => x)) - MARGIN;
  const top = Math.min(...boxes.map(({ y }) => y)) - MARGIN;
  const width = Math.max(...boxes.map((box) => box.x + box.width)) + MARGIN - left;
  const height = Math.max(...boxes.map((box) => box.y + box.height)) + MARGIN - top;
  const fresh = new Set(added.map(({ key }) => key));
  const places = new Map(boxes.map((box) => [box.key, box]));
  const label = t("offerPicture", { nodes: t("nodeCount", { count: boxes.length }), changed: t("valuesChanged", { count: lines.length }) });
  const picture = shape("svg", { class: "uiapi-picture", viewBox: `${left} ${top} ${width} ${height}`, role: "img", "aria-label": label });
  for (const [from, to] of links) {
    const [origin, target] = [places.get(from), places.get(to)];
    if (!origin || !target) continue;
    const ends = { x1: origin.x + origin.width, y1: origin.y + origin.height / 2, x2: target.x, y2: target.y + target.height / 2 };
    picture.append(shape("line", ends));
  }
  for (const { key, x, y, width: wide, height: high } of boxes) {
    picture.append(shape("rect", { class: fresh.has(key) ? "uiapi-fresh" : "uiapi-node", x, y, width: wide, height: high, rx: 8 }));
  }
  return picture;
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} facts attributes
 */
function shape(tag, { class: look, ...facts }) {
  const element = document.createElementNS(SVG, tag);
  set(element, facts);
  if (look) element.setAttribute("class", String(look));
  return element;
}
