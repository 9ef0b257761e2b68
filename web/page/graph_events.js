/**
 * Sends events about changes of the graph, by the person or by programs, while a program subscribes to them.
 *
 * Events are derived from the difference between two pictures of the graph, so that none is repeated and no lasting
 * change is missed. Pictures are taken after every input event and every command.
 *
 * @typedef {import("../graph/diff.js").Change} Change
 * @typedef {import("./revisions.js").Look} Look
 */

import { differences } from "../graph/diff.js";
import { executionId, walk } from "../paths/subgraphs.js";

// Milliseconds between checks for changes that no event announces (such as another extension's timer).
const LOOK_EVERY = 100;

/**
 * @param {object} means
 * @param {import("./frontend.js").Frontend} means.frontend
 * @param {import("./workflows.js").Workflows} means.workflows
 * @param {import("./revisions.js").Revisions} means.revisions
 * @param {(event: string, data: any) => void} means.sendEvent
 * @param {any} page the window
 */
export function createEvents({ frontend, workflows, revisions, sendEvent }, page) {
  /** @type {Set<string>} */
  let wanted = new Set();
  /** @type {any} */
  let timer = null;
  let selected = "[]";
  let soon = false;
  const { port1, port2 } = new page.MessageChannel();

  /**
   * @param {string} event
   * @param {any} data
   */
  function say(event, data) {
    if (wanted.has("*") || wanted.has(event)) sendEvent(event, data);
  }

  /** @param {Look} look */
  function changed({ revision, tab, before, after, switched, by }) {
    if (wanted.size === 0) return;
    const shared = { by, workflow_tab: tab, revision };
    if (switched) {
      say("tab_switched", { name: workflows.active()?.filename ?? "", ...shared });
      say("graph_loaded", { nodes: after.nodes.size, ...shared });
      return;
    }
    for (const change of differences(before, after, false)) {
      const [event, data] = eventOf(change);
      if (event) say(event, { ...data, ...shared });
    }
    checkSelection(by);
  }

  /** @param {import("./revisions.js").By} by */
  function checkSelection(by) {
    const items = new Set(frontend.canvas()?.selectedItems ?? []);
    const nodes = items.size === 0 ? [] : [...walk(frontend.rootGraph())].filter(({ node }) => items.has(node)).map(executionId);
    const text = JSON.stringify(nodes.sort());
    if (text === selected) return;
    selected = text;
    say("selection_changed", { nodes, by, workflow_tab: revisions.activeTab(), revision: revisions.revision() });
  }

  function look() {
    if (workflows.loading()) return;
    revisions.lookIfHinted();
    checkSelection("person");
  }

  // In a separate task, since the input event has taken effect by then. A timer would be late in hidden tabs.
  port1.onmessage = () => {
    soon = false;
    look();
  };
  revisions.onInput(() => {
    if (wanted.size === 0) return;
    // The previous event has taken effect; report it before this one.
    if (soon) return look();
    soon = true;
    port2.postMessage(null);
  });
  revisions.onChange(changed);

  return {
    /**
     * Sets the events to send.
     *
     * @param {unknown} names "*" for all
     */
    watch(names) {
      // Earlier changes are not reported.
      if (wanted.size === 0) look();
      wanted = new Set(Array.isArray(names) ? names : []);
      page.clearInterval(timer);
      timer = wanted.size > 0 ? page.setInterval(look, LOOK_EVERY) : null;
    },
  };
}

/**
 * @param {Change} change
 * @returns {[string | null, any]}
 */
function eventOf({ kind, path, node, what, before, after }) {
  if (kind === "widget_changed") return [kind, { path, node, widget: what, old: before, new: after }];
  if (kind === "node_added") return [kind, { path, node, ...after }];
  if (kind === "node_removed") return [kind, { path, node, ...before }];
  if (kind === "link_added") return [kind, { path, ...after }];
  if (kind === "link_removed") return [kind, { path, ...before }];
  if (kind === "node_changed" && what === "title") return ["node_renamed", { path, node, old: before, new: after }];
  if (kind === "node_changed" && what === "mode") return ["node_mode_changed", { path, node, old: before, new: after }];
  return [null, null];
}
