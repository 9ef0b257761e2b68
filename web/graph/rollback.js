/**
 * Restores the open graph after a failed or tried edit: values and appearance directly, everything else by loading a
 * saved state into the page, as Undo does.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 * @typedef {import("../page/workflows.js").Workflows} Workflows
 * @typedef {import("./diff.js").Change} Change
 * @typedef {import("./diff.js").Picture} Picture
 *
 * @typedef {{clause: string, changes: Change[]}} Left What could not be restored, as a clause and as changes.
 */

import { change as changeNode } from "./editing.js";
import { words } from "../common/errors.js";
import { createMemory } from "../widgets/node_memory.js";
import { differences, modeName, takePicture } from "./diff.js";
import { byExecutionId, walk } from "../paths/subgraphs.js";

// The changes of these commands can be restored one by one.
const IN_PLACE = new Set(["set_fields", "set_node"]);
const NAMED = 5;

/**
 * Remembers the graph before commands change it.
 *
 * @param {{frontend: Frontend, workflows: Workflows}} means
 * @param {string[]} commands
 * @param {any} [noted] the graph's state, if the undo history has just captured it
 * @returns {{picture: Picture, putBack: () => Promise<Left | null>}}
 */
export function remember(means, commands, noted) {
  const { frontend, workflows } = means;
  const picture = takePicture(frontend.rootGraph());
  const piecewise = commands.every((command) => IN_PLACE.has(command));
  const restore = piecewise ? inPlace(frontend) : byState(means);
  // The page changes sizes by itself.
  const left = () =>
    differences(picture, takePicture(frontend.rootGraph()), false).filter((change) => isSaved(frontend, change));

  async function putBack() {
    let reason = "";
    try {
      await restore();
    } catch (error) {
      reason = `: ${words(error)}`;
    }
    // That does not restore everything, such as changes of other nodes by a callback.
    if (noted && piecewise && left().length > 0) await byState(means, noted)();
    const changes = left();
    if (changes.length === 0) return null;
    const paths = [...new Set(changes.map(({ path, node }) => path ?? `#${node}`))];
    const more = paths.length > NAMED ? ` and ${paths.length - NAMED} more` : "";
    return { changes, clause: `the page did not restore ${paths.slice(0, NAMED).join(", ")}${more}${reason}` };
  }

  return { picture, putBack: () => workflows.undisturbed(putBack) };
}

/**
 * Whether a difference is only in what a saved workflow lacks, such as a text that shows a result; Undo loses it too.
 *
 * @param {Frontend} frontend
 * @param {Change} change
 * @returns {boolean}
 */
function isSaved(frontend, { kind, node, what }) {
  if (kind !== "widget_changed") return true;
  const widgets = byExecutionId(frontend.rootGraph(), String(node))?.node.widgets;
  /** @type {any} */
  const widget = widgets?.find(({ name }) => name === what);
  return widget?.serialize !== false;
}

/**
 * Remembers the values and appearance of every node.
 *
 * @param {Frontend} frontend
 * @returns {() => void} restores them
 */
function inPlace(frontend) {
  const memory = createMemory(frontend);
  const memories = [...walk(frontend.rootGraph())].map((place) => {
    /** @type {any} */
    const node = place.node;
    memory.keep(node);
    const { title, color, bgcolor } = node;
    return {
      node,
      looks: {
        title,
        pos: /** @type {[number, number]} */ ([node.pos[0], node.pos[1]]),
        mode: modeName(node.mode),
        collapsed: Boolean(node.flags?.collapsed),
        pinned: Boolean(node.flags?.pinned),
      },
      size: [node.size[0], node.size[1]],
      flags: new Set(Object.keys(node.flags ?? {})),
      colors: { color, bgcolor },
    };
  });
  return () => {
    memory.putBack();
    for (const { node, looks, size, flags, colors } of memories) {
      const { mode, ...rest } = looks;
      changeNode(frontend, node, Object.hasOwn({ always: 0, muted: 0, bypassed: 0 }, mode) ? looks : rest);
      Object.assign(node, colors);
      for (const flag of Object.keys(node.flags ?? {})) if (!flags.has(flag)) delete node.flags[flag];
      if (node.size[0] !== size[0] || node.size[1] !== size[1]) node.setSize(size);
    }
  };
}

/**
 * @param {{frontend: Frontend, workflows: Workflows}} means
 * @param {any} [noted]
 * @returns {() => Promise<void>} has the page restore the present graph and view
 */
export function byState({ frontend, workflows }, noted) {
  const state = noted ?? workflows.state();
  const canvas = frontend.canvas();
  const { scale, offset } = canvas.ds;
  const view = { scale, offset: [offset[0], offset[1]] };
  const inside = canvas.subgraph?.id;
  const selected = new Set([...(canvas.selectedItems ?? [])].map(({ id }) => String(id)));
  return async () => {
    if (workflows.same(state, workflows.state())) return;
    canvas.pause_rendering = true;
    try {
      await workflows.restore(state, []);
      /** @type {any} */
      const root = frontend.rootGraph();
      const graph = (inside && root.subgraphs?.get(inside)) || root;
      if (canvas.graph !== graph) canvas.setGraph(graph);
      canvas.ds.scale = view.scale;
      canvas.ds.offset[0] = view.offset[0];
      canvas.ds.offset[1] = view.offset[1];
      const items = [...graph.nodes, ...graph.groups].filter(({ id }) => selected.has(String(id)));
      if (items.length > 0) canvas.selectItems(items);
    } finally {
      canvas.pause_rendering = false;
    }
  };
}
