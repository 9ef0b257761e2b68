/**
 * Running the workflow as the Run button does, and learning from it what the button does not tell: the prompt ids, the
 * errors of nodes, and a refusal.
 *
 * `app.queuePrompt` answers only yes or no, and no also when another run is being queued. So the call it makes,
 * `api.queuePrompt`, is wrapped. Our own runs are told from the person's by their number: -0 is 0 to everyone who
 * computes or sends it, and can still be recognised here. Ours go one after the other, so that each knows its ids.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 *
 * @typedef {{prompt_id: string, number: number, node_errors: Record<string, any>, prompt_ids?: string[]}} Queued
 *
 * @typedef {object} Expected What is to be told of the run of ours that is being queued.
 * @property {string | null} mark what the server knows ComfyUI's answer by, if it may answer in our place
 * @property {() => void} exported throws where the run must not be submitted
 * @property {() => void} submitted
 * @property {(answer: any) => Promise<unknown> | void} answered
 * @property {(error: any) => void} refused
 */

import { newError } from "./dialogs.js";
import { CommandError, words } from "./errors.js";
import { byExecutionId } from "./subgraphs.js";
import { later, nextTask } from "./waiting.js";

const OURS = -0;
// Milliseconds between looks at whether the page is done with a run that it took ours on from.
const LOOK_EVERY = 50;

/**
 * @param {Frontend} frontend
 * @param {import("./workflows.js").Workflows} workflows
 */
export function createRuns(frontend, workflows) {
  const { app, api } = frontend;
  const shown = () => workflows.idOf(workflows.active());
  /** @type {Expected | null} */
  let expected = null;
  /** @type {Promise<unknown>} */
  let last = Promise.resolve();
  /** @type {Promise<void> | null} */
  let held = null;

  const submit = api.queuePrompt;
  // No async function: its frame would be in the stack of every refusal that the page reports.
  api.queuePrompt = function (/** @type {number} */ number, /** @type {any[]} */ ...rest) {
    const ours = Object.is(number, OURS) ? expected : null;
    if (!ours) return submit.call(this, number, ...rest);
    try {
      ours.exported();
    } catch (error) {
      ours.refused(error);
      // The page reports what it gets as a fault of whoever is in its stack.
      return Promise.reject(Object.assign(/** @type {Error} */ (error), { stack: "" }));
    }
    const submitted = marked(ours.mark, () => submit.call(this, number, ...rest));
    ours.submitted();
    return submitted.then(
      // The page now draws the whole graph, which can take longer than the run itself: the answer goes first.
      (/** @type {any} */ answer) => Promise.resolve(ours.answered(answer)).then(() => answer),
      (/** @type {any} */ error) => {
        ours.refused(error);
        throw error;
      },
    );
  };

  /**
   * Have ComfyUI's answer to a submission known by the request it belongs to. The server reads it as it is made, long
   * before it gets its turn in a page that draws; a header does not end up in the workflow.
   *
   * @param {string | null} mark
   * @param {() => Promise<any>} submission
   * @returns {Promise<any>}
   */
  function marked(mark, submission) {
    if (mark === null) return submission();
    const own = Object.hasOwn(api, "fetchApi");
    const { fetchApi } = api;
    api.fetchApi = (/** @type {string} */ route, /** @type {any} */ options) =>
      fetchApi.call(api, route, { ...options, headers: { ...options?.headers, "X-Uiapi-Request": mark } });
    try {
      return submission();
    } finally {
      if (own) api.fetchApi = fetchApi;
      else delete api.fetchApi;
    }
  }

  /**
   * Take back what the page has not begun to queue: after a run that failed it would keep it for the next one.
   */
  function withdraw() {
    const at = app.queueItems?.findIndex((/** @type {any} */ { number }) => Object.is(number, OURS)) ?? -1;
    if (at >= 0) app.queueItems.splice(at, 1);
  }

  /**
   * Queue one run of ours. Resolves with ComfyUI's answers when there are `count`, or as many as came.
   *
   * @param {number} count
   * @param {(() => void) | undefined} prepare
   * @param {() => Record<string, any>} part what belongs to the answer beside ComfyUI's
   * @param {import("./transport.js").Call} call
   * @returns {{answers: Promise<any[]>, over: Promise<unknown>}} `over`: the page is done with what follows a run
   */
  function start(count, prepare, part, { id, signal, answered, submitting }) {
    /** @type {any[]} */
    const list = [];
    let exports = 0;
    let over = Promise.resolve();
    let tab = "";
    /** @type {() => void} */
    let release = () => {};
    // What is exported shall be what was there when the run began.
    held = new Promise((resume) => {
      release = () => {
        held = null;
        resume();
      };
    });
    const answers = new Promise((resolve, reject) => {
      expected = {
        mark: count === 1 ? id : null,
        exported() {
          // Of several, those after the first one follow: who cancels then is told what was queued.
          if (signal.aborted && exports === 0) throw cancelled();
          // The export takes a while, and the person may open something else in it.
          if (shown() !== tab || workflows.loading()) {
            const queued = exports === 0 ? "nothing was queued" : `only ${exports} of ${count} were queued`;
            const sentence = `Another workflow was opened while the run was prepared, and ${queued}; run it again.`;
            const prompt_ids = list.map((answer) => answer?.prompt_id);
            throw new CommandError("tab_changed", sentence, { workflow_tab: tab, active: shown(), prompt_ids });
          }
          if (++exports === count) release();
        },
        submitted: () => submitting(part()),
        answered(answer) {
          if (list.push(answer) < count) return undefined;
          resolve(list);
          return Promise.race([answered, nextTask()]);
        },
        refused: (error) => reject(refusal(frontend, error, list)),
      };
      signal.addEventListener("abort", () => {
        if (exports > 0) return;
        withdraw();
        reject(cancelled());
      });
      prepare?.();
      tab = shown();
      over = Promise.resolve(app.queuePrompt(OURS, count)).then(
        async () => {
          // While another run is being queued the page takes ours on into that loop and answers before it is done.
          while (app.processingQueue) await later(LOOK_EVERY);
          withdraw();
          resolve(list);
        },
        (error) => reject(new CommandError("tab_failed", `The page could not queue the workflow: ${words(error)}.`)),
      );
    }).finally(release);
    return { answers, over };
  }

  /**
   * @param {number} count
   * @param {(() => void) | undefined} prepare
   * @param {() => Record<string, any>} part
   * @param {import("./transport.js").Call} call
   * @param {(over: Promise<unknown>) => void} follow
   * @returns {Promise<Queued>}
   */
  async function run(count, prepare, part, call, follow) {
    await workflows.idle();
    if (call.signal.aborted) throw cancelled();
    const before = frontend.openDialogs();
    const { answers, over } = start(count, prepare, part, call);
    follow(
      Promise.allSettled([answers, over])
        .then(nextTask)
        .then(() => {
          expected = null;
          frontend.forgetNoErrors();
        }),
    );
    try {
      const list = await answers;
      if (list.length === count && list.every((answer) => answer?.prompt_id)) return queued(list);
      throw new CommandError("tab_failed", "The page did not queue the workflow; look at it for what it says.", {
        prompt_ids: list.map((answer) => answer?.prompt_id),
      });
    } catch (error) {
      // The page opens a dialog that would cover everything until a person comes by; its red marks stay.
      await over.then(nextTask);
      const shown = newError(frontend, before);
      if (shown) {
        frontend.closeDialog(shown);
        frontend.toast("warn", "A program's run was refused", words(error));
      }
      throw error;
    }
  }

  return {
    /** Settles when other programs may change the workflow again, or null. */
    held: () => held,

    /**
     * Queue the open workflow.
     *
     * @param {number} count how many times
     * @param {(() => void) | undefined} prepare sets fields, right before the export
     * @param {() => Record<string, any>} part what belongs to the answer beside ComfyUI's
     * @param {import("./transport.js").Call} call
     * @returns {Promise<Queued>}
     * @throws {CommandError} execution_failed with details {node_errors, error} when ComfyUI refuses
     */
    queue(count, prepare, part, call) {
      /** @type {Promise<unknown>} */
      let over = Promise.resolve();
      const mine = last.then(() => run(count, prepare, part, call, (promise) => (over = promise)));
      last = mine.then(
        () => over,
        () => over,
      );
      return mine;
    },
  };
}

/** @returns {CommandError} */
function cancelled() {
  return new CommandError("conflict", "The run was cancelled before it was queued.");
}

/**
 * @param {any[]} answers
 * @returns {Queued}
 */
function queued(answers) {
  const [{ prompt_id, number, node_errors }] = answers;
  const one = { prompt_id, number, node_errors: node_errors ?? {} };
  return answers.length === 1 ? one : { ...one, prompt_ids: answers.map((answer) => answer.prompt_id) };
}

/**
 * @param {Frontend} frontend
 * @param {any} error what `api.queuePrompt` threw; a refusal by ComfyUI carries its `response`
 * @param {any[]} answers of the runs before it in the same batch
 * @returns {CommandError}
 */
function refusal(frontend, error, answers) {
  if (error instanceof CommandError) return error;
  const response = error?.response;
  if (!response) return new CommandError("tab_failed", `The page could not queue the workflow: ${words(error)}.`);
  const node_errors = response.node_errors ?? {};
  const prompt_ids = answers.map((answer) => answer?.prompt_id);
  return new CommandError("execution_failed", sentence(frontend, response.error, node_errors), {
    node_errors,
    error: response.error ?? {},
    ...(prompt_ids.length > 0 ? { prompt_ids } : {}),
  });
}

/**
 * @param {Frontend} frontend
 * @param {any} error
 * @param {Record<string, any>} nodeErrors
 * @returns {string}
 */
function sentence(frontend, error, nodeErrors) {
  const [first, ...others] = Object.entries(nodeErrors);
  if (!first) {
    const said = typeof error === "string" ? error : [error?.message, error?.details].filter(Boolean).join(": ");
    return `ComfyUI refused the workflow: ${said || "it gave no reason"}.`;
  }
  const [id, { class_type, errors }] = first;
  const title = byExecutionId(frontend.rootGraph(), id)?.node.title ?? class_type;
  const reason = [errors?.[0]?.message, errors?.[0]?.details].filter(Boolean).join(": ");
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  return `ComfyUI refused node #${id} "${title}" (${class_type}): ${reason}${more}.`;
}
