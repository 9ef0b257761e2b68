/**
 * Running the workflow as the Run button does, and learning from it what the button does not tell: the prompt ids, the
 * errors of nodes, and a refusal.
 *
 * `app.queuePrompt` answers only yes or no, and no also when another run is being queued. So the call it makes,
 * `api.queuePrompt`, is wrapped. Ours go one after the other, so that each knows its ids, and each begins when the page
 * takes it: what a program sets for its run must not get into another one.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 *
 * @typedef {{prompt_id: string, number: number, node_errors: Record<string, any>, prompt_ids?: string[]}} Queued
 *
 * @typedef {object} Expected What is to be told of the run of ours that is being queued.
 * @property {string} mark what the server knows ComfyUI's answers by: it may answer in our place, or when we are gone
 * @property {(output: import("../common/types.js").ApiWorkflow) => void} exported throws where the run must not be submitted
 * @property {(settled: Promise<void>) => void} submitted `settled` when the page has done what follows the run
 * @property {(answer: any) => void} answered
 * @property {(error: any) => void} refused
 */

import { newError } from "./error_dialogs.js";
import { CommandError, failedExport, words } from "../common/errors.js";
import { OURS } from "./queueing.js";
import { byExecutionId } from "../paths/subgraphs.js";
import { leaveOut } from "./untyped_nodes.js";
import { nextTask, unlessCancelled } from "../common/waiting.js";

/**
 * @param {Frontend} frontend
 * @param {import("./workflows.js").Workflows} workflows
 * @param {import("./queueing.js").Queueing} queueing
 */
export function createRuns(frontend, workflows, queueing) {
  const { app, api } = frontend;
  const shown = () => workflows.idOf(workflows.active());
  const occupied = () => (workflows.loading() ? workflows.idle() : queueing.occupied());
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
    if (!ours) {
      const answer = submit.call(this, number, ...rest);
      queueing.submitted(answer);
      return answer;
    }
    try {
      ours.exported(rest[0]?.output ?? {});
    } catch (error) {
      ours.refused(error);
      // The page reports what it gets as a fault of whoever is in its stack.
      return Promise.reject(Object.assign(/** @type {Error} */ (error), { stack: "" }));
    }
    const submitted = marked(ours.mark, () => submit.call(this, number, ...rest));
    ours.submitted(queueing.submitted(submitted));
    return submitted.then(
      (/** @type {any} */ answer) => {
        // The page now draws the whole graph, which can take longer than the run itself: the answer goes first.
        frontend.drawLater();
        ours.answered(answer);
        return answer;
      },
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
   * @param {string} mark
   * @param {() => Promise<any>} submission
   * @returns {Promise<any>}
   */
  function marked(mark, submission) {
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
   * Queue one run of ours. Resolves with ComfyUI's answers when there are `count`, or as many as came.
   *
   * @param {number} count
   * @param {(() => void) | undefined} prepare
   * @param {(leftOut: string[]) => Record<string, any>} part what belongs to the answer beside ComfyUI's
   * @param {import("../common/types.js").Call} call
   * @returns {{answers: Promise<any[]>, over: Promise<unknown>, before: () => any}} `over`: the page is done with what
   *   follows a run; `before`: the dialogs that were open when it began
   */
  function start(count, prepare, part, { id, signal, submitting }) {
    /** @type {any[]} */
    const list = [];
    let exports = 0;
    /** @type {string[]} */
    let leftOut = [];
    let begun = false;
    let again = false;
    let tab = "";
    let dialogs = frontend.openDialogs();
    /** @type {Promise<unknown>} */
    let over = Promise.resolve();
    /** @type {() => void} */
    let release = () => {};
    /** @type {() => void} */
    let pass = () => {};

    /** What is exported shall be what was there when the run began, and what follows the last one comes before a write. */
    function hold() {
      const own = (held ??= new Promise((resume) => {
        release = () => {
          if (held === own) held = null;
          resume();
        };
      }));
    }

    const answers = new Promise((resolve, reject) => {
      expected = {
        mark: id,
        exported(output) {
          // Of several, those after the first one follow: who cancels then is told what was queued.
          if (signal.aborted && exports === 0) throw cancelled();
          // The export takes a while, and the person may open something else in it.
          if (shown() !== tab || workflows.loading()) {
            const queued = exports === 0 ? "nothing was queued" : `only ${exports} of ${count} were queued`;
            const sentence = `Another workflow was opened while the run was prepared, and ${queued}; run it again.`;
            const prompt_ids = list.map((answer) => answer?.prompt_id);
            throw new CommandError("tab_changed", sentence, { workflow_tab: tab, active: shown(), prompt_ids });
          }
          leftOut = leaveOut(frontend, output);
          exports++;
        },
        submitted(settled) {
          if (exports === count) settled.then(release);
          submitting(part(leftOut));
        },
        answered(answer) {
          if (list.push(answer) === count) resolve(list);
        },
        refused: (error) => reject(refusal(frontend, error, list)),
      };
      signal.addEventListener("abort", () => {
        if (exports > 0) return;
        queueing.withdraw();
        reject(cancelled());
        if (!begun) pass();
      });

      const failed = (/** @type {any} */ error) =>
        reject(exports === 0 ? failedExport(error) : refusal(frontend, error, list));

      function begin() {
        // The page does not wait, so this run has to come again.
        again = occupied() !== null;
        dialogs = frontend.openDialogs();
        try {
          if (!again) prepare?.();
          begun = !again;
        } catch (error) {
          reject(error);
        }
        if (!begun) {
          pass();
          return false;
        }
        hold();
        tab = shown();
        return true;
      }

      // Until the page has done what follows the last one.
      async function enter() {
        do {
          for (let busy = occupied(); busy; busy = occupied()) await unlessCancelled(busy, signal);
          if (signal.aborted) throw cancelled();
          if (!queueing.queues()) hold();
          const passed = new Promise((resume) => (pass = () => resume(undefined)));
          const answer = queueing.line(count, { begin, failed, over: () => pass() });
          await Promise.race([answer, passed]);
          await Promise.race([queueing.queues(), passed]);
          // An error of the page's comes right after that.
          await Promise.race([answer, nextTask()]);
          // Another run's error ends the page's queueing, and leaves ours in the line.
          if (queueing.withdraw()) again = true;
        } while (again && !begun && !signal.aborted);
      }
      over = enter().then(() => resolve(list), failed).finally(queueing.withdraw);
    });
    // However it ends; nothing follows what was not queued.
    Promise.allSettled([answers, over]).then(() => release());
    return { answers, over, before: () => dialogs };
  }

  /**
   * @param {number} count
   * @param {(() => void) | undefined} prepare
   * @param {(leftOut: string[]) => Record<string, any>} part
   * @param {import("../common/types.js").Call} call
   * @param {(over: Promise<unknown>) => void} follow
   * @returns {Promise<Queued>}
   */
  async function run(count, prepare, part, call, follow) {
    const { answers, over, before } = start(count, prepare, part, call);
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
      const shown = newError(frontend, before());
      if (shown) {
        frontend.closeDialog(shown);
        frontend.toast("warn", "A program's run was refused", words(error));
      }
      throw error;
    }
  }

  return {
    /** Settles when other programs may change the workflow again, or null. */
    held: () => held ?? queueing.held(),

    /**
     * Queue the open workflow.
     *
     * @param {number} count how many times
     * @param {(() => void) | undefined} prepare sets fields, right before the export
     * @param {(leftOut: string[]) => Record<string, any>} part what belongs to the answer beside ComfyUI's
     * @param {import("../common/types.js").Call} call
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
