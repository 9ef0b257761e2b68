/**
 * Adds, changes and removes groups, the titled frames on the canvas of the workflow.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 */

import { nodeColors } from "./editing.js";
import { CommandError } from "../common/errors.js";
import { nearestNames } from "../paths/suggestions.js";
import { commonGraph, resolveNodes } from "../paths/node_paths.js";
import { groupFacts } from "./diff.js";

const PADDING = 10;
const TITLE_HEIGHT = 30;

/**
 * @param {Frontend} frontend
 * @param {{title: string, nodes?: string[], bounding?: number[], color?: string | null}} data
 */
export function addGroup(frontend, { title, nodes, bounding, color }) {
  const places = nodes?.length ? resolveNodes(frontend.rootGraph(), nodes) : [];
  /** @type {any} */
  const graph = places.length > 0 ? commonGraph(places) : frontend.rootGraph();
  const group = new (frontend.litegraph().LGraphGroup)(title);
  const colors = color === undefined ? undefined : nodeColors(frontend, color);
  return frontend.undoStep(() => {
    graph.add(group);
    group.title = title;
    if (colors) group.color = colors.groupcolor;
    if (bounding) place(group, bounding);
    else if (places.length > 0) place(group, around(places.map(({ node }) => node), group.titleHeight));
    return { group: described(group) };
  });
}

/**
 * @param {Frontend} frontend
 * @param {{group: string, title?: string, pos?: number[], size?: number[], bounding?: number[], color?: string | null}} data
 */
export function setGroup(frontend, { group: name, title, pos, size, bounding, color }) {
  const group = find(frontend, name);
  const colors = color === undefined ? undefined : nodeColors(frontend, color);
  return frontend.undoStep(() => {
    if (title !== undefined) group.title = title;
    if (pos) {
      // As when a person drags it, its contents move along.
      const [x, y] = [pos[0] - group.pos[0], pos[1] - group.pos[1]];
      for (const item of [...nodesIn(group), ...groupsIn(group)]) item.move(x, y, true);
      place(group, [pos[0], pos[1], group.size[0], group.size[1]]);
    }
    if (size) group.resize(size[0], size[1]);
    if (bounding) place(group, bounding);
    if (colors) group.color = colors.groupcolor;
    return { group: described(group) };
  });
}

/**
 * @param {Frontend} frontend
 * @param {{group: string}} data
 */
export function removeGroup(frontend, { group: name }) {
  const group = find(frontend, name);
  const removed = described(group);
  frontend.undoStep(() => group.graph.remove(group));
  return { removed };
}

/**
 * @param {any} group
 * @param {number[]} bounding
 */
function place(group, bounding) {
  group.pos = bounding.slice(0, 2);
  group.size = bounding.slice(2, 4);
}

/**
 * Returns the frame around nodes. The page's own function only works for nodes that were drawn, unlike new ones.
 *
 * @param {any[]} nodes
 * @param {number} titleHeight of the group
 */
function around(nodes, titleHeight) {
  const left = Math.min(...nodes.map(({ pos }) => pos[0])) - PADDING;
  const top = Math.min(...nodes.map(({ pos }) => pos[1])) - TITLE_HEIGHT - PADDING - titleHeight;
  const right = Math.max(...nodes.map(({ pos, size }) => pos[0] + size[0])) + PADDING;
  const bottom = Math.max(...nodes.map(({ pos, size }) => pos[1] + size[1])) + PADDING;
  return [left, top, right - left, bottom - top];
}

/**
 * @param {any} group
 * @returns {any[]} the nodes whose centre is in it
 */
function nodesIn(group) {
  const [left, top, width, height] = groupFacts(group).bounding;
  return group.graph.nodes.filter((/** @type {any} */ { pos, size }) => {
    const [x, y] = [pos[0] + size[0] / 2, pos[1] + (size[1] - TITLE_HEIGHT) / 2];
    return x >= left && x <= left + width && y >= top && y <= top + height;
  });
}

/**
 * @param {any} group
 * @returns {any[]} the groups that are entirely in it
 */
function groupsIn(group) {
  const [left, top, width, height] = groupFacts(group).bounding;
  return group.graph.groups.filter((/** @type {any} */ other) => {
    const [x, y, w, h] = groupFacts(other).bounding;
    return other !== group && x >= left && y >= top && x + w <= left + width && y + h <= top + height;
  });
}

/** @param {any} group */
function described(group) {
  const { title, bounding, color } = groupFacts(group);
  return { id: String(group.id), title, bounding, color, nodes: nodesIn(group).map((/** @type {any} */ { id }) => String(id)) };
}

/**
 * @param {Frontend} frontend
 * @param {string} name a title, or #id
 * @returns {any}
 */
function find(frontend, name) {
  /** @type {any} */
  const root = frontend.rootGraph();
  const all = [root, ...(root.subgraphs?.values() ?? [])].flatMap(({ groups }) => [...groups]);
  const byId = name.startsWith("#") ? all.filter(({ id }) => `#${id}` === name) : [];
  const found = byId.length > 0 ? byId : all.filter(({ title }) => String(title).toLowerCase() === name.toLowerCase());
  if (found.length === 1) return found[0];
  if (found.length > 1) {
    const candidates = found.map(({ id }) => `#${id}`);
    throw new CommandError("ambiguous_path", `${found.length} groups are called ${JSON.stringify(name)}: ${candidates.join(", ")}.`, {
      path: name,
      candidates,
    });
  }
  const near = nearestNames(name, all.map(({ title }) => title));
  const hint = near.length > 0 ? `the nearest are ${near.join(", ")}` : "it has no groups";
  throw new CommandError("unknown_group", `The open workflow has no group ${JSON.stringify(name)}; ${hint}.`, { group: name, nearest: near });
}
