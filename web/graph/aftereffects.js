/**
 * Assigns delayed changes of nodes to the undo step before them: widgets that a pack adds with a timer, or values that
 * follow others. They are no steps of their own.
 *
 * They differ from changes by the person in two ways: the page has received no input since the step, and only the
 * contents of existing nodes have changed.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 */

import { later } from "../common/waiting.js";

const HAND = ["pointerdown", "keydown", "paste", "drop"];
// What nodes change by themselves; positions, titles and modes are changed by people.
const OWN = new Set(["widgets_values", "widgets_values_named", "size", "inputs", "outputs", "properties", "order"]);
// Milliseconds: how long a restored state may take to settle, and between two checks.
const WAIT_AT_MOST = 600;
const LOOK_EVERY = 50;

/**
 * @param {Frontend} frontend
 * @param {any} page the window
 */
export function createAfterEffects(frontend, page) {
  const { tracker, state } = frontend;
  /** @type {any} the undo history whose last step was not followed by any input */
  let followed = null;
  let loaded = false;

  /**
   * Merges the changes that nodes made by themselves since the last step into the state of the undo history.
   *
   * @returns {boolean} false if something else has changed too, or may have
   */
  function settle() {
    const history = tracker();
    if (!history || history !== followed || history.changeCount > 0 || history._restoringState) return false;
    const now = state();
    if (history.constructor.graphEqual?.(history.activeState, now)) return true;
    if (!onlyInsides(history.activeState, now)) return false;
    // Changes that a graph makes to itself when it is loaded do not mark it as modified.
    if (loaded) history.reset(now);
    else history.activeState = now;
    return true;
  }

  function handMoved() {
    if (followed === null) return;
    settle();
    followed = null;
  }

  for (const name of HAND) page.addEventListener(name, handMoved, { capture: true, passive: true });

  /**
   * @param {any} history
   * @param {boolean} [isLoad]
   */
  function follow(history, isLoad = false) {
    loaded = isLoad;
    followed = history ?? null;
  }

  frontend.onStep(follow);

  return {
    settle,
    follow,

    /**
     * Waits until a graph that was restored by undo or redo has settled into its target state, if it does.
     *
     * @param {any} before the state before that
     * @param {any} target the restored state
     * @returns {Promise<boolean>} whether it has reached that state
     */
    async returnsTo(before, target) {
      const same = (/** @type {any} */ a, /** @type {any} */ b) => tracker()?.constructor.graphEqual?.(a, b);
      if (same(before, state())) return true;
      if (!isUnfinished(target, state()) && !differsInNumber(before, state())) return false;
      for (let waited = 0; waited < WAIT_AT_MOST; waited += LOOK_EVERY) {
        await later(LOOK_EVERY);
        if (same(essence(before), essence(state()))) return true;
      }
      return false;
    },
  };
}

/** @typedef {ReturnType<typeof createAfterEffects>} AfterEffects */

/**
 * @param {any} before a state of the graph
 * @param {any} after another one
 * @returns {boolean} whether both have the same nodes, links and groups, and differ only in the contents of nodes
 */
export function onlyInsides(before, after) {
  return JSON.stringify(outside(before)) === JSON.stringify(outside(after));
}

/**
 * @param {any} graph
 * @returns {any} the state of a graph without the contents of nodes and the view
 */
function outside({ nodes, links, floatingLinks, reroutes, groups, extra, definitions }) {
  return {
    nodes: [...(nodes ?? [])].map(shell).sort((a, b) => (String(a.id) < String(b.id) ? -1 : 1)),
    rest: [links, floatingLinks, reroutes, groups, unmarked(extra)],
    subgraphs: (definitions?.subgraphs ?? []).map((/** @type {any} */ inner) => [inner.id, inner.name, outside(inner)]),
  };
}

/** @param {any} node */
function shell(node) {
  return Object.fromEntries(Object.entries(node).filter(([key]) => !OWN.has(key)));
}

/**
 * Removes what the page sets by itself and not always in the same way: sizes of nodes with late widgets, and marks.
 *
 * @param {any} graph
 * @returns {any} the state of a graph without these
 */
function essence(graph) {
  const nodes = graph.nodes.map((/** @type {any} */ { size: _, ...node }) => node);
  return { ...graph, nodes, extra: unmarked(graph.extra) };
}

/**
 * @param {any} extra
 * @returns {any} the extra data of a workflow without the view and what the page adds on loading
 */
function unmarked(extra) {
  const { ds: _, workflowRendererVersion: __, frontendVersion: ___, ...others } = extra ?? {};
  return others;
}

/**
 * @param {any} target the restored state
 * @param {any} now
 * @returns {boolean} whether a node still lacks some of its values
 */
function isUnfinished(target, now) {
  const counts = widgetCounts(now);
  return [...widgetCounts(target)].some(([id, count]) => (counts.get(id) ?? count) < count);
}

/**
 * @param {any} before
 * @param {any} now
 * @returns {boolean} whether, apart from sizes, nodes only have more or fewer values
 */
function differsInNumber(before, now) {
  if (!onlyInsides(before, now)) return false;
  const held = new Map(before.nodes.map((/** @type {any} */ node) => [String(node.id), values(node)]));
  /** @type {[any[], any[]][]} */
  const pairs = now.nodes.map((/** @type {any} */ node) => [held.get(String(node.id)) ?? [], values(node)]);
  return (
    pairs.some(([was, is]) => was.length !== is.length) &&
    pairs.every(([was, is]) => {
      const shared = Math.min(was.length, is.length);
      return JSON.stringify(was.slice(0, shared)) === JSON.stringify(is.slice(0, shared));
    })
  );
}

/** @param {any} graph */
function widgetCounts(graph) {
  return new Map((graph?.nodes ?? []).map((/** @type {any} */ node) => [String(node.id), values(node).length]));
}

/**
 * @param {any} node
 * @returns {any[]}
 */
function values({ widgets_values }) {
  return Array.isArray(widgets_values) ? widgets_values : Object.entries(widgets_values ?? {});
}
