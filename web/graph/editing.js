/**
 * Edits the graph as a person would: adds, removes, changes and arranges nodes, removes links, converts subgraphs.
 *
 * Every function is synchronous and one undo step. If it throws, batch.js rolls back what it has done.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 * @typedef {import("../paths/node_paths.js").Place} Place
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 */

import { CommandError } from "../common/errors.js";
import { bothEnds, ends } from "./links.js";
import { nearestNames } from "../paths/suggestions.js";
import { brief } from "./nodes.js";
import { commonGraph, resolveNode, resolveNodes } from "../paths/node_paths.js";
import { withOffered } from "../widgets/picture_texts.js";
import { resolve } from "../paths/paths.js";
import { enquote } from "../paths/path_grammar.js";
import { cutWritten } from "../common/shorten.js";
import { executionId, inputOf, linkInto, linksOutOf, walk } from "../paths/subgraphs.js";
import { setFields } from "../widgets/widgets.js";

/** @type {Record<string, number>} */
const MODES = { always: 0, muted: 2, bypassed: 4 };
const GAP = 60;

/**
 * @param {Frontend} frontend
 * @param {{type: string, title?: string, pos?: [number, number], size?: [number, number], fields?: [string, any][],
 *   mode?: string, subgraph?: string, pictures?: Record<string, string>}} data
 */
export function addNode(frontend, data) {
  const root = frontend.rootGraph();
  const host = data.subgraph === undefined ? null : resolveNode(root, data.subgraph);
  if (host && !host.node.subgraph) {
    throw new CommandError("invalid", `${data.subgraph} is not a subgraph; leave subgraph out to add to the whole workflow.`, {
      node: data.subgraph,
    });
  }
  /** @type {any} */
  const graph = host?.node.subgraph ?? root;
  const hosts = host ? [...host.hosts, host.node] : [];
  return frontend.undoStep(() => {
    const node = made(frontend, data.type);
    const at = data.pos ?? freePlace(graph);
    node.pos = [...at];
    try {
      graph.add(node);
      const place = { node, hosts };
      change(frontend, node, { title: data.title, size: data.size, mode: data.mode });
      const fields = withOffered(data.fields ?? [], data.pictures);
      const set = cutWritten(setFields(frontend, fields.map(([name, value]) => [`#${executionId(place)}.${enquote(name)}`, value])));
      const made = { node: brief(root, place) };
      // By the names of the request.
      return fields.length === 0 ? made : { ...made, set: named(fields, set) };
    } catch (error) {
      graph.remove(node);
      throw error;
    }
  });
}

/**
 * @param {[string, any][]} fields
 * @param {Record<string, import("../common/types.js").Written>} set by path, in the same order
 */
function named(fields, set) {
  const names = [...new Set(fields.map(([name]) => name))];
  return Object.fromEntries(Object.values(set).map((written, at) => [names[at], written]));
}

/**
 * @param {Frontend} frontend
 * @param {string} type
 * @returns {any}
 */
function made(frontend, type) {
  const types = frontend.litegraph().registered_node_types;
  const node = Object.hasOwn(types, type) ? frontend.litegraph().createNode(type) : null;
  if (node) return node;
  const near = nearestNames(type, Object.keys(types));
  throw new CommandError("unknown_node_type", `This page does not know the node type ${JSON.stringify(type)}; the nearest are ${near.join(", ")}.`, {
    type,
    nearest: near,
  });
}

/**
 * @param {any} graph
 * @returns {[number, number]} to the right of all nodes
 */
function freePlace(graph) {
  if (graph.nodes.length === 0) return [100, 130];
  const right = Math.max(...graph.nodes.map((/** @type {any} */ { pos, size }) => pos[0] + size[0]));
  const top = Math.min(...graph.nodes.map((/** @type {any} */ { pos }) => pos[1]));
  return [right + GAP, top];
}

/**
 * @param {Frontend} frontend
 * @param {{nodes: string[]}} data
 */
export function removeNodes(frontend, { nodes }) {
  const places = resolveNodes(frontend.rootGraph(), nodes);
  const fixed = places.find(({ node }) => /** @type {any} */ (node).ignore_remove);
  if (fixed) {
    throw new CommandError("invalid", `Node #${executionId(fixed)} can't be removed.`, { node: executionId(fixed) });
  }
  return frontend.undoStep(() => {
    const removed = places.map((place) => ({ id: executionId(place), type: place.node.type, title: place.node.title ?? "" }));
    // Inner nodes first, since they go with their subgraph.
    for (const { node } of [...places].sort((a, b) => b.hosts.length - a.hosts.length)) /** @type {any} */ (node.graph)?.remove(node);
    return { removed };
  });
}

/**
 * @param {Frontend} frontend
 * @param {any} data
 */
export function setNode(frontend, data) {
  const root = frontend.rootGraph();
  const place = resolveNode(root, data.node);
  return frontend.undoStep(() => {
    change(frontend, place.node, data);
    return { node: brief(root, place) };
  });
}

/**
 * @param {Frontend} frontend
 * @param {any} node
 * @param {{title?: string, pos?: [number, number], size?: [number, number], mode?: string, collapsed?: boolean,
 *   pinned?: boolean, color?: string | null}} facts what to change
 */
export function change(frontend, node, { title, pos, size, mode, collapsed, pinned, color }) {
  const colors = color === undefined ? undefined : nodeColors(frontend, color);
  if (mode !== undefined && !Object.hasOwn(MODES, mode)) {
    throw new CommandError("invalid", `The mode of a node has to be always, muted or bypassed, not ${JSON.stringify(mode)}.`, { mode });
  }
  if (title !== undefined) node.title = title;
  if (pos) node.pos = [...pos];
  if (size) {
    const least = node.computeSize();
    node.setSize([Math.max(size[0], least[0]), Math.max(size[1], least[1])]);
  }
  if (mode !== undefined) node.mode = MODES[mode];
  if (collapsed !== undefined && collapsed !== Boolean(node.flags.collapsed)) node.collapse(true);
  if (pinned !== undefined && pinned !== Boolean(node.flags.pinned)) node.pin(pinned);
  if (colors) {
    node.color = colors.color;
    node.bgcolor = colors.bgcolor;
  }
  changed(node.graph);
}

/** @param {any} graph */
function changed(graph) {
  if (graph?.incrementVersion) graph.incrementVersion();
  else if (graph?._version !== undefined) graph._version++;
}

/**
 * @param {Frontend} frontend
 * @param {string | null} color
 * @returns {{color?: string, bgcolor?: string, groupcolor?: string}}
 */
export function nodeColors(frontend, color) {
  if (color === null) return {};
  if (/^#([0-9a-f]{3}|[0-9a-f]{6})$/i.test(color)) return { color: color, bgcolor: color, groupcolor: color };
  const known = frontend.canvas().constructor.node_colors ?? {};
  if (Object.hasOwn(known, color)) return known[color];
  const names = Object.keys(known);
  throw new CommandError("invalid", `A colour has to be #rrggbb, null or one of ${names.join(", ")}.`, { color, options: names });
}

/**
 * @param {Frontend} frontend
 * @param {{field: string | {from: string, to: string}}} data an input, an output, or both ends of one link
 */
export function disconnect(frontend, { field }) {
  const root = frontend.rootGraph();
  const found = (typeof field === "string" ? linksAt(root, field) : [linkBetween(root, field)]).map((link) => ({ link, ...ends(root, link.place, link.link) }));
  return frontend.undoStep(() => {
    for (const { link } of found) /** @type {any} */ (link.target).disconnectInput(link.link.target_slot);
    return { removed: found.map(({ from, to }) => ({ from, to })) };
  });
}

/**
 * @param {import("../common/types.js").Graph} root
 * @param {string} path
 */
function linksAt(root, path) {
  const field = tried(() => resolve(root, path, "inputs")) ?? resolve(root, path, "outputs");
  const slot = field.widget ? inputOf(field.node, field.widget) : (field.slot ?? 0);
  if (field.kind === "output") return linksOutOf(field.node, slot).map((link) => placed(field, link));
  const link = linkInto(field.node, slot);
  if (link) return [placed(field, link)];
  throw new CommandError("invalid", `${path} is not linked.`, { path });
}

/**
 * @param {import("../common/types.js").Graph} root
 * @param {{from: string, to: string}} ends
 */
function linkBetween(root, { from, to }) {
  const { from: origin, to: target } = bothEnds(root, from, to);
  const link = linkInto(target.node, target.slot ?? 0);
  const fits = link && String(link.origin_id) === String(origin.node.id) && link.origin_slot === origin.slot;
  if (link && fits) return placed(target, link);
  throw new CommandError("invalid", `${from} is not linked to ${to}.`, { paths: [from, to] });
}

/**
 * @param {import("../common/types.js").Field} field
 * @param {import("../common/types.js").Link} link
 */
function placed(field, link) {
  const { node, hosts } = field;
  const target = node.graph?.nodes.find(({ id }) => String(id) === String(link.target_id));
  if (!target) {
    throw new CommandError("invalid", "This link leaves the subgraph; disconnect it at the output of the subgraph node.", {
      node: executionId({ node, hosts }),
    });
  }
  return { link, place: { node, hosts }, target };
}

/**
 * @template T
 * @param {() => T} look
 * @returns {T | null}
 */
function tried(look) {
  try {
    return look();
  } catch (error) {
    if (error instanceof CommandError && error.code === "unknown_path") return null;
    throw error;
  }
}

/**
 * @param {Frontend} frontend
 * @param {{nodes?: string[]}} data nodes of one graph; all nodes of the workflow by default
 */
export function arrange(frontend, { nodes }) {
  const root = frontend.rootGraph();
  if (!nodes) {
    const before = root.nodes.map(({ pos }) => [...Array.from(pos ?? [])]);
    frontend.undoStep(() => /** @type {any} */ (root).arrange());
    return { moved: root.nodes.filter(({ pos }, at) => pos?.[0] !== before[at][0] || pos?.[1] !== before[at][1]).length };
  }
  const places = resolveNodes(root, nodes);
  commonGraph(places);
  return { moved: frontend.undoStep(() => inColumns(places.map(({ node }) => node))) };
}

/**
 * Arranges nodes in columns from left to right, each to the right of its inputs, starting at the position of the first.
 *
 * @param {any[]} nodes
 * @returns {number} the number of moved nodes
 */
function inColumns(nodes) {
  const chosen = new Set(nodes.map(({ id }) => String(id)));
  const feeds = [...(nodes[0]?.graph.links.values() ?? [])].filter(
    ({ origin_id, target_id }) => chosen.has(String(origin_id)) && chosen.has(String(target_id)),
  );
  /** @type {Map<string, number>} */
  const column = new Map([...chosen].map((id) => [id, 0]));
  // As many rounds as the longest chain can have, which also ends cycles.
  for (let round = 0, moved = true; moved && round < nodes.length; round++) {
    moved = false;
    for (const { origin_id, target_id } of feeds) {
      const least = (column.get(String(origin_id)) ?? 0) + 1;
      if ((column.get(String(target_id)) ?? 0) >= least) continue;
      column.set(String(target_id), least);
      moved = true;
    }
  }
  let x = Math.min(...nodes.map(({ pos }) => pos[0]));
  const top = Math.min(...nodes.map(({ pos }) => pos[1]));
  let moved = 0;
  for (let at = 0; at <= Math.max(0, ...column.values()); at++) {
    let y = top;
    let width = 0;
    for (const node of nodes.filter(({ id }) => column.get(String(id)) === at)) {
      if (node.pos[0] !== x || node.pos[1] !== y) moved++;
      node.pos = [x, y];
      y += node.size[1] + GAP + 30;
      width = Math.max(width, node.size[0]);
    }
    if (width > 0) x += width + GAP;
  }
  return moved;
}

/**
 * @param {Frontend} frontend
 * @param {{nodes: string[], title?: string}} data
 */
export function convertToSubgraph(frontend, { nodes, title }) {
  const root = frontend.rootGraph();
  const places = resolveNodes(root, nodes);
  const graph = commonGraph(places);
  return frontend.undoStep(() => {
    const { node, subgraph } = graph.convertToSubgraph(new Set(places.map((place) => place.node)));
    if (title !== undefined) {
      node.title = title;
      subgraph.name = title;
    }
    return { node: brief(root, { node, hosts: places[0].hosts }) };
  });
}

/**
 * @param {Frontend} frontend
 * @param {{node: string}} data
 */
export function unpackSubgraph(frontend, data) {
  const root = frontend.rootGraph();
  const { node, hosts } = resolveNode(root, data.node);
  /** @type {any} */
  const graph = node.graph;
  if (!node.subgraph) throw new CommandError("invalid", `${data.node} is not a subgraph.`, { node: data.node });
  const before = new Set(graph.nodes);
  return frontend.undoStep(() => {
    if (graph.unpackSubgraph(node) === false) {
      throw new CommandError("tab_failed", `The page could not unpack ${data.node}.`, { node: data.node });
    }
    const fresh = [...walk(root)].filter((place) => place.node.graph === graph && place.hosts.length === hosts.length);
    return { nodes: fresh.filter((place) => !before.has(place.node)).map((place) => brief(root, place)) };
  });
}

