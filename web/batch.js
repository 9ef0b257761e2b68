/**
 * Several commands as one: all or none of them, as one undo step, or only the difference they would make.
 *
 * There is no second graph to try things on: the page keeps widget values and subgraphs by the ids of the one that is
 * open. So a dry run makes the changes, looks at the difference and puts everything back before the page is drawn
 * again. Where only values and looks were changed, they are put back by the same way as they came; otherwise the page
 * restores the state before it as it does for Undo. A widget's callback is called in a dry run as well, since what it
 * does to other widgets is part of the difference.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 * @typedef {import("./workflows.js").Workflows} Workflows
 * @typedef {(frontend: Frontend, data: any) => any} Edit does its work at once
 */

import { change as changeNode } from "./editing.js";
import { CommandError, words } from "./errors.js";
import { differences, modeName, takePicture } from "./picture.js";
import { walk } from "./subgraphs.js";
import { change as changeWidget } from "./widgets.js";

// What these change can be put back piece by piece.
const IN_PLACE = new Set(["set_fields", "set_node"]);

/**
 * @param {{frontend: Frontend, workflows: Workflows}} means
 * @param {Record<string, Edit>} edits what may be in a batch, by command
 * @param {{commands: {command: string, data?: any}[], dry_run?: boolean}} data
 */
export function batch(means, edits, { commands, dry_run = false }) {
  const { frontend, workflows } = means;
  for (const [index, { command }] of commands.entries()) {
    if (Object.hasOwn(edits, command)) continue;
    const sentence = `${JSON.stringify(command)} can't be part of a batch; use ${Object.keys(edits).join(", ")}.`;
    throw new CommandError("invalid", sentence, { index, command });
  }
  const history = workflows.tracker();
  if (!history) throw new CommandError("tab_failed", "The page has no workflow tab open; open one first.");
  // What the person did up to now stays a step of its own.
  workflows.capture();
  const before = takePicture(frontend.rootGraph());
  const putBack = commands.every(({ command }) => IN_PLACE.has(command)) ? inPlace(frontend) : byState(means);
  history.beforeChange();
  /** @type {any[]} */
  const results = [];
  let failure = null;
  for (const [index, { command, data }] of commands.entries()) {
    try {
      results.push(edits[command](frontend, data ?? {}));
    } catch (error) {
      failure = refusal(error, index, command);
      break;
    }
  }
  if (!failure && !dry_run) {
    frontend.noteStep(history);
    frontend.repaint();
    return { results, applied: true, changes: differences(before, takePicture(frontend.rootGraph())) };
  }
  const answer = { results, applied: false, changes: failure ? [] : differences(before, takePicture(frontend.rootGraph())) };
  const done = () => {
    // No afterChange: nothing is to be noticed.
    history.changeCount--;
    frontend.repaint();
    if (failure) throw failure;
    return answer;
  };
  return putBack()?.then(done) ?? done();
}

/**
 * @param {unknown} error
 * @param {number} index
 * @param {string} command
 * @returns {CommandError}
 */
function refusal(error, index, command) {
  const known = error instanceof CommandError;
  const said = `Command ${index} (${command}) of the batch failed, and nothing was changed: ${words(error)}`;
  return new CommandError(known ? error.code : "tab_failed", said, { ...(known ? error.details : {}), index, command });
}

/**
 * Remember every node's values and looks.
 *
 * @param {Frontend} frontend
 * @returns {() => null} puts them back
 */
function inPlace(frontend) {
  const memories = [...walk(frontend.rootGraph())].map((place) => {
    /** @type {any} */
    const node = place.node;
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
      properties: { ...node.properties },
      widgets: (node.widgets ?? []).map((/** @type {any} */ widget) => ({ widget, value: widget.value })),
    };
  });
  return () => {
    for (const { node, widgets } of memories) {
      for (const { widget, value } of widgets) {
        if (widget.value === value) continue;
        try {
          changeWidget(frontend, node, widget, value);
        } catch {
          // A callback that fails must not keep the rest from being put back; the value itself is set by now.
        }
      }
    }
    for (const { node, looks, size, flags, colors, properties, widgets } of memories) {
      for (const { widget, value } of widgets) if (widget.value !== value) widget.value = value;
      Object.assign(node.properties ?? {}, properties);
      const { mode, ...rest } = looks;
      changeNode(frontend, node, Object.hasOwn({ always: 0, muted: 0, bypassed: 0 }, mode) ? looks : rest);
      Object.assign(node, colors);
      for (const flag of Object.keys(node.flags ?? {})) if (!flags.has(flag)) delete node.flags[flag];
      if (node.size[0] !== size[0] || node.size[1] !== size[1]) node.setSize(size);
    }
    return null;
  };
}

/**
 * @param {{frontend: Frontend, workflows: Workflows}} means
 * @returns {() => Promise<void>} has the page restore the graph as it is now, and what it shows of it
 */
function byState({ frontend, workflows }) {
  const state = workflows.state();
  const canvas = frontend.canvas();
  const { scale, offset } = canvas.ds;
  const view = { scale, offset: [offset[0], offset[1]] };
  const inside = canvas.subgraph?.id;
  const selected = new Set([...(canvas.selectedItems ?? [])].map(({ id }) => String(id)));
  return async () => {
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
