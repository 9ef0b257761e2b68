/**
 * Undoes and redoes steps, and keeps snapshots of the graph that programs can restore during the session.
 *
 * @typedef {import("../graph/diff.js").Picture} Picture
 * @typedef {{id: string, name: string, time: number, workflow_tab: string, nodes: number}} SnapshotInfo `time` in
 *   seconds of Unix time
 */

import { CommandError } from "../common/errors.js";
import { differences, takePicture } from "../graph/diff.js";

const SNAPSHOTS_AT_MOST = 50;

/**
 * @param {import("./frontend.js").Frontend} frontend
 * @param {import("./workflows.js").Workflows} workflows
 */
export function createHistory(frontend, workflows) {
  /** @type {Map<string, {info: SnapshotInfo, state: any, picture: Picture}>} */
  const snapshots = new Map();
  let count = 0;

  /**
   * @param {"undo" | "redo"} way
   * @param {number} steps
   */
  async function walkHistory(way, steps) {
    const history = workflows.tracker();
    if (!history) return { done: 0 };
    const [from, to] = way === "undo" ? ["undoQueue", "redoQueue"] : ["redoQueue", "undoQueue"];
    workflows.capture();
    let before = workflows.state();
    let done = 0;
    while (done < steps && history[from].length > 0) {
      const left = history[from].length;
      const target = history[from][left - 1];
      await history[way]();
      await workflows.loading();
      if (history[from].length >= left) {
        throw new CommandError("tab_failed", `The page could not ${way} a step; ${done} ${done === 1 ? "step was" : "steps were"} done before.`, { done });
      }
      const isNone = await workflows.returnsTo(before, target);
      workflows.settle();
      if (isNone) {
        // A step that only contains what the page or a node had added by itself.
        history[to].pop();
        continue;
      }
      before = workflows.state();
      done++;
    }
    return { done };
  }

  /**
   * @param {string} name an id, or a name, of which the newest snapshot counts
   */
  function find(name) {
    const found = snapshots.get(name) ?? [...snapshots.values()].reverse().find(({ info }) => info.name === name);
    if (found) return found;
    const ids = [...snapshots.keys()];
    const hint = ids.length > 0 ? `available: ${ids.slice(-8).join(", ")}` : "none was taken since the page was loaded";
    throw new CommandError("unknown_snapshot", `Snapshot ${JSON.stringify(name)} does not exist; ${hint}.`, { snapshot: name, ids });
  }

  return {
    undo: (/** @type {number} */ steps) => walkHistory("undo", steps),
    redo: (/** @type {number} */ steps) => walkHistory("redo", steps),

    /** @param {string | undefined} name */
    take(name) {
      const id = `snapshot-${++count}`;
      const picture = takePicture(frontend.rootGraph());
      const tab = workflows.idOf(workflows.active());
      const info = { id, name: name ?? id, time: Date.now() / 1000, workflow_tab: tab, nodes: picture.nodes.size };
      snapshots.set(id, { info, state: workflows.state(), picture });
      if (snapshots.size > SNAPSHOTS_AT_MOST) snapshots.delete(snapshots.keys().next().value ?? "");
      return { snapshot: info };
    },

    list: () => ({ snapshots: [...snapshots.values()].map(({ info }) => info) }),

    /**
     * Restores a snapshot, as one undo step.
     *
     * @param {string} name
     */
    async restore(name) {
      const { info, state } = find(name);
      const history = workflows.tracker();
      if (!history) throw new CommandError("tab_failed", "The page has no workflow tab open; open one first.");
      workflows.capture();
      if (workflows.same(history.activeState, state)) return { restored: true, snapshot: info };
      await workflows.restore(JSON.parse(JSON.stringify(state)), history.undoQueue);
      workflows.settle();
      history.redoQueue.length = 0;
      return { restored: true, snapshot: info };
    },

    /**
     * @param {string} a
     * @param {string | undefined} b the open graph by default
     */
    compare(a, b) {
      const [before, after] = [find(a).picture, b === undefined ? takePicture(frontend.rootGraph()) : find(b).picture];
      return { changes: differences(before, after) };
    },
  };
}

/** @typedef {ReturnType<typeof createHistory>} History */
