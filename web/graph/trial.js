/**
 * Changes the graph for the moment of an export, and restores it before the page is drawn.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 * @typedef {import("../page/workflows.js").Workflows} Workflows
 * @typedef {import("../common/types.js").GraphNode} GraphNode
 * @typedef {import("../common/types.js").Widget} Widget
 * @typedef {{values: {node: GraphNode, widget: Widget, value: any}[], queue: import("../widgets/queue_state.js").QueueState}}
 *   Carried what differs after a run: values of widgets, and what the page and packs note about runs
 */

import { CommandError } from "../common/errors.js";
import { later, nextTask } from "../common/waiting.js";
import { walk } from "../paths/subgraphs.js";
import { createMemory } from "../widgets/node_memory.js";
import { rememberQueueState, repeatQueueState } from "../widgets/queue_state.js";
import { change } from "../widgets/widget_change.js";
import { byState } from "./rollback.js";

// Milliseconds after which a page that could have been left is taken to stay: the next page was not loaded by then, or the
// person has chosen to stay.
const LEAVING = 5000;

/**
 * Begins trials, each of which may change the graph until it is put back.
 *
 * To save a graph costs as much as its export, so a saved state serves all trials of one task, in which nothing else can
 * change the graph, and is compared with the graph after the first of them and in `check`. After the others, what a
 * trial does not restore by itself shows in the shape of the graph.
 *
 * If the person does something while a pack still prepares the run, the graph is put back before the page handles that,
 * so that it happens to their own graph, and the trial has to be repeated. A page that is left saves its graph at the end,
 * so the same happens when it may be left, and no trial begins for a while. What the page may have saved during a trial
 * by itself is saved again after it.
 *
 * @param {object} means
 * @param {Frontend} means.frontend
 * @param {Workflows} means.workflows
 * @param {Pick<import("../page/revisions.js").Revisions, "onInput">} means.revisions
 */
export function createTrials({ frontend, workflows, revisions }) {
  let before = "";
  let isSaved = false;
  let isCompared = false;
  // Milliseconds for saving the graph before the first trial of a task, and for comparing it afterwards, the last time.
  let saving = 0;
  // Whether a trial has lasted longer than its task, so that the page may have saved the graph with its values.
  let hasLasted = false;
  /** @type {Promise<void> | null} while the page may be about to be left */
  let leaving = null;
  /** @type {(() => void) | null} */
  let interrupt = null;
  // What the page and packs dispatch themselves is no input.
  revisions.onInput((event) => void (event.isTrusted && interrupt?.()));
  frontend.onLeave(() => {
    interrupt?.();
    saveAgain();
    const stays = later(LEAVING).then(() => {
      if (leaving === stays) leaving = null;
    });
    leaving = stays;
  });

  function saveAgain() {
    if (hasLasted) frontend.saveAgain();
    hasLasted = false;
  }

  /** @param {string} after */
  function differs(after) {
    return after !== before && !workflows.same(settled(before), settled(after));
  }

  function save() {
    before = frontend.stateText();
    isSaved = true;
    nextTask().then(() => (isSaved = false));
  }

  async function restore() {
    await workflows.undisturbed(byState({ frontend, workflows }, JSON.parse(before)));
    if (!differs(frontend.stateText())) return;
    throw notRestored();
  }

  /** Remembers the values of all nodes. */
  function rememberNodes() {
    const memory = createMemory({ canvas: frontend.canvas, isTrial: true });
    const nodes = [...walk(frontend.rootGraph())].map(({ node }) => node);
    for (const node of nodes) memory.keep(node);
    return { memory, nodes };
  }

  /**
   * Remembers the graph for the follow-up work of a run, for which the page waits for nothing.
   *
   * @returns {() => void} restores it
   */
  function rememberRest() {
    const { memory, nodes } = rememberNodes();
    const queue = rememberQueueState(nodes);
    return () => {
      queue.putBack();
      memory.putBack();
    };
  }

  return {
    /** @returns {Promise<void> | null} while no trial may begin, since the page may be about to be left; then null again */
    leaving: () => leaving,

    /** Whether there is a saved state for the next trial. */
    isSaved: () => isSaved,

    /** Milliseconds by which the first trial of a task takes longer than the others, which use its saved state. */
    saving: () => saving,

    /**
     * To be called after the last trial of a task: restores what trials have left, by loading the saved state.
     *
     * @throws {CommandError} tab_failed
     */
    async check() {
      if (isSaved && !isCompared && differs(frontend.stateText())) await restore();
    },

    /** To be called after the last trial: has the page save the graph once more if it may have saved values of a trial. */
    saveAgain,

    /** @param {() => void} interrupted called when the graph was put back because of the person */
    begin(interrupted) {
      const isFirst = !isSaved;
      if (isFirst) {
        const started = performance.now();
        save();
        saving = performance.now() - started;
      }
      const written = new Map(frontend.written);
      const history = workflows.tracker();
      const { memory, nodes } = rememberNodes();
      /** @type {ReturnType<typeof rememberQueueState> | undefined} */
      let queue;
      const shape = shapeOf(frontend.rootGraph());
      let isLeft = false;
      const { canvas } = frontend.app;
      const { dirty_canvas, dirty_bgcanvas } = canvas ?? {};
      let isOver = false;
      /** @type {(() => void) | undefined} */
      let putBackRest;
      frontend.openStep(history);
      frontend.exports.disturb(1);

      function putBack() {
        isOver = true;
        interrupt = null;
        hasLasted ||= !isSaved;
        // In the opposite order of the changes, since callbacks of widgets may depend on the rest.
        queue?.putBack();
        memory.putBack();
        frontend.written.clear();
        for (const [widget, value] of written) frontend.written.set(widget, value);
        frontend.dropStep(history);
        frontend.exports.disturb(-1);
        // What the canvas shows has not changed; nothing else can have, unless packs wait for something.
        if (canvas && !frontend.exports.isShared()) Object.assign(canvas, { dirty_canvas, dirty_bgcanvas });
        isLeft = shapeOf(frontend.rootGraph()) !== shape;
      }

      interrupt = () => {
        putBack();
        interrupted();
      };

      return {
        /**
         * To be called when the fields are set, right before the page prepares the run.
         *
         * @param {Carried | null} carried from the last run of the same fields
         */
        queueing(carried) {
          queue = rememberQueueState(nodes);
          if (!carried) return;
          const page = { ...frontend, isTrial: true };
          for (const { node, widget, value } of carried.values) change(page, node, widget, value);
          // Controls act again after the first run with written values.
          frontend.written.clear();
          repeatQueueState(carried.queue);
        },

        /** @returns {Carried} what differs by now */
        changed: () => ({ values: memory.changed(), queue: queue?.changed() ?? { marks: [], noted: [] } }),

        /** To be called when the run is prepared. After an interruption, only what follows is put back. */
        prepared() {
          if (isOver) putBackRest = rememberRest();
        },

        putBack() {
          if (isOver) return putBackRest?.();
          putBack();
          isCompared = isFirst;
          if (!isFirst) return;
          const started = performance.now();
          isLeft ||= differs(frontend.stateText());
          saving += performance.now() - started;
        },

        /**
         * Restores what is left to restore, such as links that a callback has changed, by loading the saved state.
         *
         * @throws {CommandError} tab_failed
         */
        async settle() {
          if (!isLeft) return;
          if (putBackRest) throw notRestored();
          await restore();
        },
      };
    },
  };
}

function notRestored() {
  return new CommandError("tab_failed", "The page did not restore the graph after an export; check it, and undo what is wrong.");
}

/**
 * Returns a saved state without what the page itself changes when it draws a loaded graph: the sizes of nodes, which the
 * shape contains, and empty lists of values, which nodes without widgets get.
 *
 * @param {string} text
 * @returns {any}
 */
function settled(text) {
  const state = JSON.parse(text);
  for (const { nodes } of [state, ...(state.definitions?.subgraphs ?? [])]) {
    for (const node of nodes) {
      delete node.size;
      if (node.widgets_values?.length === 0) delete node.widgets_values;
    }
  }
  return state;
}

/**
 * Returns everything of a graph but values and properties, as text.
 *
 * @param {import("../common/types.js").Graph} root
 * @returns {string}
 */
function shapeOf(root) {
  /** @type {any[]} */
  const shape = [];
  const graphs = new Set([root]);
  for (const { node } of walk(root)) {
    /** @type {any} */
    const { id, mode, title, flags, pos, size, color, widgets, inputs, outputs, subgraph } = node;
    shape.push(id, mode, title, flags?.collapsed, pos?.[0], pos?.[1], size?.[0], size?.[1], color, widgets?.length);
    for (const { name } of inputs ?? []) shape.push(name);
    for (const { name } of outputs ?? []) shape.push(name);
    if (subgraph) graphs.add(subgraph);
  }
  for (const { nodes, links } of graphs) {
    shape.push(nodes.length);
    // Not from the nodes: 1.58 would bring the links of each up to date first, which takes as long as an export.
    for (const { id, origin_id, origin_slot, target_id, target_slot } of links?.values() ?? []) {
      shape.push(id, origin_id, origin_slot, target_id, target_slot);
    }
  }
  return shape.join();
}
