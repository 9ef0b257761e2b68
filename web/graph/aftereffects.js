/**
 * What nodes do to themselves a moment after a step: widgets that a pack adds with a timer, values that follow others.
 * Nobody made that a step, so it belongs to the one before it.
 *
 * It is told from what a person does by two things: no hand has moved on the page since the step, and nothing but the
 * insides of nodes that were there has changed.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 */

import { later } from "../common/waiting.js";

const HAND = ["pointerdown", "keydown", "paste", "drop"];
// What a node can change of itself; where it is, its title and its mode are what people change.
const OWN = new Set(["widgets_values", "widgets_values_named", "size", "inputs", "outputs", "properties", "order"]);
// Milliseconds: how long a state that was put back is given to become what it was, and between looks at it.
const WAIT_AT_MOST = 600;
const LOOK_EVERY = 50;

/**
 * @param {Frontend} frontend
 * @param {any} page the window
 */
export function createAfterEffects(frontend, page) {
  const { tracker, state } = frontend;
  /** @type {any} the undo history whose last step nobody's hand has followed */
  let followed = null;
  let loaded = false;

  /**
   * Take what nodes have done to themselves since the last step into the state that the undo history holds.
   *
   * @returns {boolean} false where something else has changed too, or may have
   */
  function settle() {
    const history = tracker();
    if (!history || history !== followed || history.changeCount > 0 || history._restoringState) return false;
    const now = state();
    if (history.constructor.graphEqual?.(history.activeState, now)) return true;
    if (!onlyInsides(history.activeState, now)) return false;
    // What a graph does to itself when it is loaded does not make it modified.
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
     * Wait until the graph is what it was before a step was undone or redone, as far as it comes to that by itself.
     *
     * @param {any} before the state it had
     * @param {any} target the state that was put back
     * @returns {Promise<boolean>} whether it is the same
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
 * @returns {boolean} whether both have the same nodes, links and groups, and differ only in what nodes hold
 */
export function onlyInsides(before, after) {
  return JSON.stringify(outside(before)) === JSON.stringify(outside(after));
}

/**
 * @param {any} graph
 * @returns {any} the state of a graph without what its nodes hold and how it is looked at
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
 * What is the page's own doing, and not the same each time: how large late widgets make a node, and its marks.
 *
 * @param {any} graph
 * @returns {any} the state of a graph without that
 */
function essence(graph) {
  const nodes = graph.nodes.map((/** @type {any} */ { size: _, ...node }) => node);
  return { ...graph, nodes, extra: unmarked(graph.extra) };
}

/**
 * @param {any} extra
 * @returns {any} what a workflow carries, without how it is looked at and what the page notes when it loads it
 */
function unmarked(extra) {
  const { ds: _, workflowRendererVersion: __, frontendVersion: ___, ...others } = extra ?? {};
  return others;
}

/**
 * @param {any} target the state that was put back
 * @param {any} now
 * @returns {boolean} whether a node does not have all the values yet that it is to hold
 */
function isUnfinished(target, now) {
  const counts = widgetCounts(now);
  return [...widgetCounts(target)].some(([id, count]) => (counts.get(id) ?? count) < count);
}

/**
 * @param {any} before
 * @param {any} now
 * @returns {boolean} whether the only difference, but for sizes, is that nodes have more or fewer values
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
