/**
 * Exports variations of the open graph: for each, fields are set, the prompt is taken as the page's own queueing makes
 * it, and the graph is restored before the page is drawn.
 *
 * A variation applies to the graph as it is at that moment, so what the person edits in between stays, and is part of
 * the variations that follow. None leaves an undo step, a revision or a mark of a change.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 * @typedef {import("../common/types.js").Call} Call
 * @typedef {import("../common/types.js").Written} Written
 * @typedef {import("../graph/trial.js").Carried} Carried
 * @typedef {{fields: [string, any][], pictures?: Record<string, string>}} Variation
 *
 * @typedef {{set: Record<string, Written>, warnings: string[], body: string, changed: Carried | null}} One
 *
 * @typedef {object} Prompt
 * @property {({path: string} & Written)[]} fields
 * @property {string[]} warnings
 * @property {{code: string, error: string, details: any}} [error] why there is no prompt
 * @property {string[]} [texts] what the page would have submitted, as pieces of its JSON
 * @property {[number, string][]} [changes] instead, the pieces that differ from the last `texts`, by index
 */

import { CommandError, words } from "../common/errors.js";
import { changedPieces, pieces } from "../common/pieces.js";
import { cutWritten } from "../common/shorten.js";
import { nextTask } from "../common/waiting.js";
import { withChoices } from "../graph/batch.js";
import { createTrials } from "../graph/trial.js";
import { deferDrawing } from "./capture.js";
import { withOffered } from "../widgets/picture_texts.js";
import { setFields } from "../widgets/widgets.js";

// Milliseconds that the page is held at a time. Frames may take longer than an export, so there is none after each.
const SLICE = 25;
// Milliseconds for which the person is taken to use the page after the last input.
const IN_USE = 1000;
// Characters in an answer after which it ends, since a message may have 64 MB.
const ANSWER = 2 ** 23;
// The open graph is no longer the one to be varied.
const ENDING = new Set(["tab_changed", "unknown_tab", "revision_changed"]);
// How often a variation is prepared if the person works in the page meanwhile, while a pack takes its time.
const ATTEMPTS = 20;

/**
 * @param {object} means
 * @param {Frontend} means.frontend
 * @param {import("../page/workflows.js").Workflows} means.workflows
 * @param {import("../page/revisions.js").Revisions} means.revisions
 * @param {import("../page/workflow_tabs.js").Tabs} means.tabs
 * @param {ReturnType<typeof import("../page/run_queue.js").createRuns>} means.runs
 * @param {Pick<import("../page/list_updates.js").ListUpdates, "expectSweep">} means.lists
 */
export function createVariations(means) {
  const { frontend, workflows, revisions, tabs, runs, lists } = means;
  const trials = createTrials(means);
  // Milliseconds that the last export took.
  let taken = 0;
  let usedAt = -Infinity;
  revisions.onInput((event) => void (event.isTrusted && (usedAt = performance.now())));

  /**
   * @param {Variation} variation
   * @param {object} repeat
   * @param {Carried | null} repeat.carried what the last prompt of the same variation has changed
   * @param {boolean} repeat.isLast whether no prompt of the same variation follows
   * @param {Call} call
   * @returns {Promise<One | null>} null if the person has interrupted it
   */
  async function one({ fields, pictures }, { carried, isLast }, call) {
    let isInterrupted = false;
    const { page, takeOut } = withChoices({ ...frontend, isTrial: true, undoStep: (/** @type {() => any} */ work) => work() });
    /** @type {Record<string, Written>} */
    let set = {};
    /** @type {Carried | null} */
    let changed = null;
    /** @type {ReturnType<typeof trials.begin> | undefined} */
    let trial;
    const restore = () => {
      if (!trial) return;
      if (!isInterrupted) {
        if (!isLast) changed = trial.changed();
        takeOut();
      }
      trial.putBack();
    };
    /** @param {import("./capture.js").Capture} capture */
    const prepare = (capture) => {
      tabs.require(call.workflow_tab);
      revisions.require(call.if_revision);
      isInterrupted = trials.leaving() !== null;
      if (isInterrupted) throw new CommandError("conflict", "The page may be about to be left.");
      trial = trials.begin(() => {
        isInterrupted = true;
        takeOut();
        capture.show();
      });
      capture.ready = trial.prepared;
      try {
        set = cutWritten(setFields(page, withOffered(fields, pictures), { once: true }));
        trial.queueing(carried);
      } catch (error) {
        restore();
        throw error;
      }
    };
    try {
      const { bodies, leftOut } = await runs.capture(prepare, restore, call);
      if (isInterrupted) return null;
      if (bodies.length !== 1) throw new CommandError("tab_failed", several(bodies.length));
      return { set, warnings: leftOut, body: bodies[0], changed };
    } catch (error) {
      // The next attempt finds out whether the person has opened another workflow, or undone something in this one.
      if (isInterrupted) return null;
      throw error;
    } finally {
      await trial?.settle();
    }
  }

  /** @type {(...all: Parameters<typeof one>) => Promise<One>} */
  async function undisturbed(...all) {
    const [, , { signal }] = all;
    for (let attempt = 0; attempt < ATTEMPTS && !signal.aborted; attempt++) {
      await trials.leaving();
      const made = await one(...all);
      if (made) return made;
    }
    throw new CommandError("conflict", "The person was working in the page each time this variation was prepared; run it again.");
  }

  /**
   * @param {{variations: Variation[], seeds?: number, within?: number}} data `within`: milliseconds after which the
   *   answer contains no further variations; at least the first is exported
   * @param {Call} asked
   * @returns {Promise<{prompts: Prompt[], stopped?: Prompt["error"]}>} those of the first variations, each with all its
   *   seeds; `stopped`: why there are no more, whatever is asked
   */
  async function exportPrompts(data, asked) {
    // Of the workflow that is open now, even if the person opens another one between two variations.
    const call = { ...asked, workflow_tab: asked.workflow_tab ?? workflows.idOf(workflows.active()) };
    lists.expectSweep();
    const draw = deferDrawing(frontend.app, () => performance.now() - usedAt < IN_USE);
    try {
      return await exportAll(data, call);
    } finally {
      draw();
      trials.saveAgain();
    }
  }

  /** @returns {Promise<Prompt["error"]>} why nothing can be exported any more */
  async function check() {
    try {
      await trials.check();
    } catch (error) {
      return described(error);
    }
  }

  /** @returns {number} the milliseconds that another export with the check after it is likely to take */
  const another = () => taken + trials.saving() / 2;

  /** @type {typeof exportPrompts} */
  async function exportAll({ variations, seeds = 1, within = Infinity }, call) {
    /** @type {Prompt[]} */
    const prompts = [];
    /** @type {string[]} */
    let base = [];
    const started = performance.now();
    let began = started;
    let size = 0;
    for (const variation of variations) {
      /** @type {Carried | null} */
      let carried = null;
      for (let repeat = 0; repeat < seeds; repeat++) {
        if (prompts.length > 0 && performance.now() - began + another() > SLICE) {
          const stopped = await check();
          if (stopped) return { prompts, stopped };
          await nextTask();
          began = performance.now();
        }
        const isFirst = !trials.isSaved();
        const before = performance.now();
        try {
          const { set, warnings, body, changed } = await undisturbed(variation, { carried, isLast: repeat === seeds - 1 }, call);
          carried = changed;
          const texts = pieces(JSON.parse(body));
          const changes = changedPieces(base, texts);
          if (!changes) base = texts;
          const fields = Object.entries(set).map(([path, written]) => ({ path, ...written }));
          prompts.push({ fields, warnings, ...(changes ? { changes } : { texts }) });
          for (const text of changes?.map(([, changed]) => changed) ?? texts) size += text.length;
        } catch (error) {
          if (call.signal.aborted) throw error;
          if (isEnding(error)) return { prompts, stopped: described(error) };
          prompts.push({ fields: [], warnings: [], error: described(error) });
        }
        taken = performance.now() - before - (isFirst ? trials.saving() : 0);
      }
      if (size > ANSWER || performance.now() - started + another() > within) break;
    }
    const stopped = await check();
    return { prompts, ...(stopped && { stopped }) };
  }

  return { exportPrompts };
}

/** @typedef {ReturnType<typeof createVariations>} Variations */

/** @param {unknown} error */
function isEnding(error) {
  return error instanceof CommandError && ENDING.has(error.code);
}

/** @param {number} count */
function several(count) {
  if (count === 0) return "The page submitted nothing for this variation; run it in the page, which may show the reason.";
  return `The page submits ${count} prompts for each run of this workflow, so it can't be varied; use run instead.`;
}

/** @param {unknown} error */
function described(error) {
  if (error instanceof CommandError) return { code: error.code, error: error.message, details: error.details };
  return { code: "tab_failed", error: `The page could not export this variation: ${words(error).replace(/\.$/, "")}.`, details: {} };
}
