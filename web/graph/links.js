/**
 * Links outputs to inputs, and finds what an input or output is linked to.
 *
 * @typedef {import("../common/types.js").Field} Field
 * @typedef {import("../common/types.js").Graph} Graph
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 *
 * @typedef {{node: string, title: string, slot: number, name: string, path: string}} End One end of a link; `node` is
 *   its execution id.
 */

import { CommandError, words } from "../common/errors.js";
import { pathOf, resolve } from "../paths/paths.js";
import { executionId, inputOf, linkInto, linksOutOf } from "../paths/subgraphs.js";

/**
 * Returns the source of an input (or null), or the targets of an output.
 *
 * @param {Graph} root
 * @param {Field} field of kind input or output
 * @returns {End | null | End[]}
 */
export function linked(root, { kind, node, hosts, slot = 0 }) {
  if (kind === "input") {
    const link = linkInto(node, slot);
    return link ? outer(root, node, hosts, "output", link.origin_id, link.origin_slot) : null;
  }
  return linksOutOf(node, slot).flatMap(
    (link) => outer(root, node, hosts, "input", link.target_id, link.target_slot) ?? [],
  );
}

/**
 * Links an output to an input, as one undo step; an existing link is replaced.
 *
 * @param {Pick<import("../page/frontend.js").Frontend, "rootGraph" | "undoStep" | "litegraph">} page
 * @param {string} fromPath `Title.outputs[0]`, `Title.NAME`, or `Title` with a single output
 * @param {string} toPath `Title.inputs[0]`, `Title.name`, or a widget's path
 * @returns {{link_id: number, from: End, to: End, type: string | number}}
 * @throws {CommandError}
 */
export function connect(page, fromPath, toPath) {
  const root = page.rootGraph();
  const { from, to } = bothEnds(root, fromPath, toPath);
  if (from.node.graph !== to.node.graph) {
    throw new CommandError("invalid", `${fromPath} and ${toPath} are not in the same graph and can't be linked.`, {
      paths: [fromPath, toPath],
    });
  }
  const [outSlot, inSlot] = [from.slot ?? 0, to.slot ?? 0];
  const paths = [fromPath, toPath];
  const types = [from.node.outputs?.[outSlot]?.type, to.node.inputs?.[inSlot]?.type];
  let link;
  try {
    link = page.undoStep(() => from.node.connect?.(outSlot, to.node, inSlot) ?? null);
  } catch (error) {
    const reason = words(error);
    const sentence = `Linking ${fromPath} to ${toPath} failed in the page, and nothing was changed: ${reason.replace(/\.$/, "")}.`;
    throw new CommandError("tab_failed", sentence, { paths, types, reason });
  }
  const made = linkInto(to.node, inSlot);
  if (!link || !made || made.id !== link.id) {
    const [gives, takes] = types;
    const sentence = page.litegraph().isValidConnection(gives, takes)
      ? `One of the two nodes refuses a link from ${fromPath} to ${toPath}; nothing was changed.`
      : `${fromPath} (${gives}) does not fit ${toPath} (${takes}); nothing was changed.`;
    throw new CommandError("invalid", sentence, { paths, types });
  }
  return { link_id: made.id, from: end(root, from), to: end(root, to), type: made.type };
}

/**
 * @param {Graph} root
 * @param {string} fromPath
 * @param {string} toPath
 * @returns {{from: Field, to: Field}} an output and an input
 * @throws {CommandError}
 */
export function bothEnds(root, fromPath, toPath) {
  const from = resolve(root, fromPath, "outputs");
  const to = asInput(resolve(root, toPath, "inputs"));
  if (from.kind !== "output") {
    throw new CommandError("invalid", `${fromPath} is not an output; give the output first, then the input.`, { path: fromPath });
  }
  if (to.kind !== "input") {
    throw new CommandError("invalid", `${toPath} is not an input; give the output first, then the input.`, { path: toPath });
  }
  return { from, to };
}

/**
 * Returns both ends of a link.
 *
 * @param {Graph} root
 * @param {{node: GraphNode, hosts: GraphNode[]}} place a node of the link's graph
 * @param {import("../common/types.js").Link} link
 * @returns {{from: End | null, to: End | null}}
 */
export function ends(root, { node, hosts }, { origin_id, origin_slot, target_id, target_slot }) {
  return {
    from: outer(root, node, hosts, "output", origin_id, origin_slot),
    to: outer(root, node, hosts, "input", target_id, target_slot),
  };
}

/**
 * Returns the input that can replace a widget.
 *
 * @param {Field} field
 * @returns {Field}
 */
function asInput(field) {
  const slot = field.widget ? inputOf(field.node, field.widget) : -1;
  return slot < 0 ? field : { kind: "input", node: field.node, hosts: field.hosts, slot };
}

/**
 * Returns the node at the other end of a link. Links to the boundary of a subgraph end at the subgraph node.
 *
 * @param {Graph} root
 * @param {GraphNode} node
 * @param {GraphNode[]} hosts
 * @param {"input" | "output"} kind
 * @param {import("../common/types.js").NodeId} id
 * @param {number} slot
 * @returns {End | null}
 */
function outer(root, node, hosts, kind, id, slot) {
  const other = node.graph?.nodes.find((candidate) => String(candidate.id) === String(id));
  if (other) return end(root, { kind, node: other, hosts, slot });
  const host = hosts[hosts.length - 1];
  return host ? end(root, { kind: kind === "output" ? "input" : "output", node: host, hosts: hosts.slice(0, -1), slot }) : null;
}

/**
 * @param {Graph} root
 * @param {Field} field
 * @returns {End}
 */
function end(root, field) {
  const slot = field.slot ?? 0;
  const name = field.node[`${field.kind === "input" ? "inputs" : "outputs"}`]?.[slot]?.name ?? "";
  return { node: executionId(field), title: field.node.title, slot, name, path: pathOf(root, field) };
}
