/**
 * Sends copies of the graph to the server, so that programs can read it when no tab is open.
 *
 * The graph is sent one second after the last change, at most every five seconds, and while the page is idle. It must
 * not have side effects, since no program requested it.
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
 * @param {(event: string, data: any) => void} means.sendEvent
 * @param {any} page the window
 */
export function createLastSeen({ frontend, workflows, revisions, queueing, sendEvent }, page) {
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
    const about = { workflow_name: frontend.info().workflow_name, workflow_tab: revisions.activeTab(), revision };
    try {
      const { workflow, output } = isExportedQuietly(root) ? await queueing.alone(frontend.exports.both) : { workflow: frontend.state(), output: {} };
      // Changes made meanwhile are sent with the next copy.
      sent = revision;
      // As texts, which the server decodes only if a program reads them.
      const parts = { workflow: JSON.stringify(workflow), output: JSON.stringify(output), nodes: JSON.stringify(nodes) };
      sendEvent("snapshot", { ...parts, ...about });
    } catch (error) {
      // A graph that can't be exported (such as with a half-built node) is tried again after its next change.
      page.console.debug("ComfyUI-uiapi: could not copy the graph", error);
    }
  }

  revisions.onChange(later);
  // Edits by the person are checked for once the input pauses.
  revisions.onInput(later);

  return {
    /** Sends the graph soon, changed or not, after a (re)connect. */
    anew() {
      sent = "";
      later();
    },
  };
}

/**
 * Whether an export only reads the graph. It asks each widget for its value in a run, and some then act: a camera takes
 * a picture, a recorder stops, a drawing or a view of a scene is uploaded.
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
  // Functions of the frontend that only compute a value: a choice of {a|b}, dates in file names, an index in a list.
  return Boolean(widget.dynamicPrompts) || widget.name === "filename_prefix" || widget.type === "hidden";
}
