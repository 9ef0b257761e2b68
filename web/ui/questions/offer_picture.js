/**
 * The small picture of an offered workflow: its nodes with their titles and links, what is new, changed and removed, and a
 * legend. Each differs by its line and a sign as well, not only by colour.
 *
 * @typedef {import("../../common/types.js").ApiWorkflow} ApiWorkflow
 * @typedef {{key: string, x: number, y: number, width: number, height: number}} Box in the graph's units
 * @typedef {{boxes: Box[], links: [string, string][]}} Picture
 * @typedef {"added" | "changed" | "removed" | "same"} Part
 */

import { make, set } from "../dom.js";
import { beginning } from "../format.js";
import { t } from "../texts.js";

const SVG = "http://www.w3.org/2000/svg";
// The most that is drawn; the table is complete.
const BOXES_DRAWN = 500;
const LINKS_DRAWN = 2000;
const MARGIN = 40;
// The layout of API-format workflows, which have no positions.
const COLUMN = 300;
const ROW = 140;
const SIZE = { width: 210, height: 90 };
// The height of a title, and its average width of a letter in heights; in a large graph, titles are larger than the rest.
const LETTER = 20;
const LETTERS_ACROSS = 90;
const LETTERS_DOWN = 22;
const ASPECT = 0.6;
const SIGNS = /** @type {Record<Part, string>} */ ({ added: "+ ", changed: "~ ", removed: "− ", same: "" });
const LEGEND = /** @type {Exclude<Part, "same">[]} */ (["added", "changed", "removed"]);

/**
 * @param {any} workflow in UI format
 * @returns {Picture}
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
 * @param {unknown} value of an input in API format
 * @returns {value is [string, number]}
 */
export function isLink(value) {
  return Array.isArray(value) && value.length === 2 && typeof value[1] === "number";
}

/**
 * Arranges nodes in columns by their distance from nodes without inputs.
 *
 * @param {ApiWorkflow} workflow
 * @returns {Picture}
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
 * @param {Picture} picture
 * @param {Map<string, string>} titles by key
 * @param {Map<string, Part>} parts by key; the others are the same as before
 * @param {string} label for screen readers
 * @returns {HTMLElement | false} the picture with its legend
 */
export function drawn({ boxes, links }, titles, parts, label) {
  if (boxes.length === 0) return false;
  const left = Math.min(...boxes.map(({ x }) => x)) - MARGIN;
  const top = Math.min(...boxes.map(({ y }) => y)) - MARGIN;
  const width = Math.max(...boxes.map((box) => box.x + box.width)) + MARGIN - left;
  const height = Math.max(...boxes.map((box) => box.y + box.height)) + MARGIN - top;
  const letter = Math.max(LETTER, width / LETTERS_ACROSS, height / LETTERS_DOWN);
  const places = new Map(boxes.map((box) => [box.key, box]));
  const picture = shape("svg", { class: "uiapi-picture", viewBox: `${left} ${top} ${width} ${height}`, role: "img", "aria-label": label });
  for (const [from, to] of links) {
    const [origin, target] = [places.get(from), places.get(to)];
    if (!origin || !target) continue;
    const ends = { x1: origin.x + origin.width, y1: origin.y + origin.height / 2, x2: target.x, y2: target.y + target.height / 2 };
    picture.append(shape("line", ends));
  }
  for (const box of boxes) {
    const part = parts.get(box.key) ?? "same";
    picture.append(boxOf(box, part, SIGNS[part] + (titles.get(box.key) ?? ""), letter));
  }
  const shown = LEGEND.filter((part) => boxes.some(({ key }) => parts.get(key) === part));
  const legend = make("ul", { class: "uiapi-legend" }, ...shown.map((part) => make("li", { class: `uiapi-${part}` }, make("span", { text: `${SIGNS[part]}${t(`offerParts.${part}`)}` }))));
  return make("div", {}, picture, shown.length > 0 && legend);
}

/**
 * @param {Box} box
 * @param {Part} part
 * @param {string} title
 * @param {number} letter the height of a letter
 */
function boxOf({ x, y, width, height }, part, title, letter) {
  const room = Math.max(1, Math.floor((width - letter) / (letter * ASPECT)));
  const whole = shape("title", {});
  whole.textContent = title;
  const name = shape("text", { x: x + letter / 2, y: y + letter * 1.25, "font-size": letter });
  name.textContent = title.length > room ? beginning(title, room - 1) : title;
  const group = shape("g", { class: `uiapi-${part}` });
  group.append(whole, shape("rect", { x, y, width, height, rx: 8 }), name);
  return group;
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
