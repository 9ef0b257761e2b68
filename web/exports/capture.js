/**
 * Captures what the page submits for a run of this extension, instead of sending it to ComfyUI.
 *
 * The page's own function queues the run, so packs, hooks of widgets and seed controls act as at a press of Run. It
 * has no other effect: no request is sent, no event is dispatched, nothing is drawn, and the errors of the last run stay.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 */

import { OURS } from "./marks.js";
import { replaceMethod } from "../common/methods.js";

const QUEUEING = new Set(["promptQueueing", "promptQueued"]);
// The state of the last run in the frontend's stores, and the functions by which 1.58 changes it.
const ERRORS = ["lastNodeErrors", "lastExecutionError", "lastPromptError", "isErrorOverlayOpen"];
const ERROR_CHANGES = ["clearRunErrors", "recordNodeErrors", "showErrorOverlay"];
// Milliseconds without a frame at most.
const UNDRAWN = 250;

/**
 * Begins a capture; it does nothing to runs of the person that the page queues meanwhile.
 *
 * @param {Frontend} frontend
 */
export function openCapture({ app, api, errorStores }) {
  const stores = errorStores();
  const errors = stores.map((store) => ERRORS.filter((key) => key in store).map((key) => [key, store[key]]));
  /** @type {string[]} */
  const bodies = [];
  /** @type {(() => void)[]} */
  const ends = [];
  let inside = false;
  let shown = false;
  let open = true;

  const isOurs = (/** @type {any} */ item) => Object.is(item?.number, OURS);
  const accepted = { prompt_id: "", number: 0, node_errors: stores.map(({ lastNodeErrors }) => lastNodeErrors).find(Boolean) ?? {} };

  /**
   * @param {any} owner
   * @param {string} name of a method
   * @param {(...args: any[]) => unknown} quiet called instead; the result `owner` means that it is not concerned
   */
  function replace(owner, name, quiet) {
    const end = replaceMethod(owner, name, (original) => function (...args) {
      const answer = open ? quiet(...args) : owner;
      return answer === owner ? original.apply(this, args) : answer;
    });
    ends.push(end);
  }

  replace(api, "fetchApi", (route, options) => {
    if (!inside || route !== "/prompt") return api;
    bodies.push(options.body);
    return Promise.resolve(response(accepted));
  });
  replace(api, "dispatchCustomEvent", (event, detail) => {
    if (!QUEUEING.has(event)) return api;
    const named = app.queueItems.some((/** @type {any} */ item) => isOurs(item) && item.requestId === detail?.requestId);
    return isOurs(detail) || named ? true : api;
  });
  replace(app.canvas, "draw", () => (inside && !shown ? undefined : app.canvas));
  for (const store of stores) {
    // The page clears the errors before it takes a run from its queue.
    for (const name of ERROR_CHANGES) replace(store, name, () => (inside || app.queueItems.every(isOurs) ? undefined : store));
  }

  return {
    /** The submitted prompts, as JSON. */
    bodies,
    accepted,

    /** Called when the page has prepared the prompt and is about to submit it. */
    ready() {},

    /** The graph is as the person left it, and may be drawn. */
    show: () => void (shown = true),

    /** The page has taken the run from its queue. */
    begin: () => void (inside = true),

    /** The page has done with the run. */
    over: () => void (inside = false),

    /** Ends the capture. */
    close() {
      open = inside = false;
      for (const end of ends.reverse()) end();
      stores.forEach((store, at) => {
        for (const [key, value] of errors[at]) if (store[key] !== value) store[key] = value;
      });
    },
  };
}

/** @typedef {ReturnType<typeof openCapture>} Capture */

/**
 * Keeps the page from drawing during several captures. 1.32 draws the whole graph at once each time the errors of the
 * last run change, although they are restored. Frames are left out as well, since nothing in the graph changes and each
 * may take longer than all captures; but not for long, and not while the person uses the page. One follows at the end.
 *
 * @param {Frontend["app"]} app
 * @param {() => boolean} isUsed whether the person uses the page
 * @returns {() => void} to be called at the end
 */
export function deferDrawing({ canvas }, isUsed) {
  const began = performance.now();
  let missed = false;
  const end = replaceMethod(canvas, "draw", (draw) => function (...args) {
    // A frame passes nothing.
    if (args.some(Boolean)) missed = true;
    else if (isUsed() || performance.now() - began > UNDRAWN) draw.apply(this, args);
  });
  return () => {
    end();
    if (missed) canvas.setDirty(true, true);
  };
}

/**
 * Returns a response whose content is there in the same task, unlike that of one from the network: the page must not be
 * drawn between setting fields and restoring them.
 *
 * @param {any} content
 * @returns {Response}
 */
function response(content) {
  return Object.defineProperties(new Response(null), {
    json: { value: async () => content },
    text: { value: async () => JSON.stringify(content) },
  });
}
