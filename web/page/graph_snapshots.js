/**
 * Sending the server the graph as it is, now and then: what programs can still read when no tab is open.
 *
 * Costs nothing while nothing changes. A change is sent a second after the last one, and never more often than every
 * five seconds, when the page has nothing better to do. Nobody has asked for it, so nothing else may come of it.
 */

import { described } from "../graph/nodes.js";
import { isField } from "../paths/path_grammar.js";
import { walk } from "../paths/subgraphs.js";

// Milliseconds.
const QUIET_FOR = 1000;
const AT_MOST_EVERY = 5000;
const WAIT_AT_MOST = 2000;

/**
 * @param {object} means
 * @param {import("./frontend.js").Frontend} means.frontend
 * @param {import("./workflows.js").Workflows} means.workflows
 * @param {import("./revisions.js").Revisions} means.revisions
 * @param {import("./queueing.js").Queueing} means.queueing
 * @param {(event: string, data: any) => void} means.tell
 * @param {any} page the window
 */
export function createLastSeen({ frontend, workflows, revisions, queueing, tell }, page) {
  /** @type {any} */
  let timer = null;
  let sent = "";
  let sentAt = -Infinity;

  function later() {
    page.clearTimeout(timer);
    const wait = Math.max(QUIET_FOR, sentAt + AT_MOST_EVERY - page.performance.now());
    timer = page.setTimeout(whenIdle, wait);
  }

  function whenIdle() {
    if (page.requestIdleCallback) page.requestIdleCallback(send, { timeout: WAIT_AT_MOST });
    else send();
  }

  async function send() {
    if (workflows.loading()) return later();
    const revision = revisions.revision();
    if (revision === sent) return;
    sentAt = page.performance.now();
    const root = frontend.rootGraph();
    const nodes = [...walk(root)].map((place) => described(root, place));
    const about = { nodes, workflow_name: frontend.info().workflow_name, workflow_tab: revisions.activeTab(), revision };
    try {
      const { workflow, output } = isExportedQuietly(root) ? await queueing.alone(frontend.exports.both) : { workflow: frontend.state(), output: {} };
      // What changed meanwhile comes with the next one.
      sent = revision;
      tell("snapshot", { workflow, output, ...about });
    } catch (error) {
      // A graph that the page itself can't export (a node in the middle of being made) is tried after its next change.
      page.console.debug("ComfyUI-uiapi: no snapshot", error);
    }
  }

  revisions.onChange(later);
  // A person's edits are looked for only once the hand rests.
  revisions.onHand(later);

  return {
    /** Send one soon, changed or not: the server has just been met. */
    anew() {
      sent = "";
      later();
    },
  };
}

/**
 * Whether an export only reads the graph. It asks each widget what it has for a run, and some act on that: a camera
 * takes a picture, a recorder stops, a drawing or a view of a scene is uploaded.
 *
 * @param {import("../common/types.js").Graph} root
 * @returns {boolean}
 */
function isExportedQuietly(root) {
  return [...walk(root)].every(({ node }) => (node.widgets ?? []).every(isReadQuietly));
}

/**
 * @param {any} widget
 * @returns {boolean}
 */
function isReadQuietly(widget) {
  if (!Object.hasOwn(widget, "serializeValue") || !widget.serializeValue || !isField(widget)) return true;
  // The frontend's own that only work out a text or a number: of {a|b} one, dates in file names, the place in a list.
  return Boolean(widget.dynamicPrompts) || widget.name === "filename_prefix" || widget.type === "hidden";
}
