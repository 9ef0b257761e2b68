/**
 * Queues runs as the Run button does, and obtains their prompt ids, node errors and refusals.
 *
 * `app.queuePrompt` only returns a boolean, which is also false while another run is being queued. Therefore the inner
 * call of `api.queuePrompt` is wrapped. Runs of programs are queued one after the other, so that each gets its own ids,
 * and each begins when the page takes it: fields that are set for a run must not get into another one.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 *
 * @typedef {{prompt_id: string, number: number, node_errors: Record<string, any>, prompt_ids?: string[]}} Queued
 *
 * @typedef {object} Wanted A run that a program wants.
 * @property {number} count how many times it is queued
 * @property {() => void} [prepare] sets fields right before the export
 * @property {() => string[]} [targets] returns the ids of the output nodes to which it is limited
 * @property {(leftOut: string[]) => Record<string, any>} part returns what the response contains in addition to
 *   ComfyUI's answer
 *
 * @typedef {object} Expected The callbacks of the run that is being queued.
 * @property {string} mark the request id by which the server recognises ComfyUI's answers, to respond early or after a disconnect
 * @property {(output: import("../common/types.js").ApiWorkflow, targets: string[] | null) => void} exported throws if the run must not be submitted
 * @property {(settled: Promise<void>) => void} submitted `settled` when the follow-up work is done
 * @property {(answer: any) => void} answered
 * @property {(error: any) => void} refused
 * @property {import("../exports/capture.js").Capture} [capture] of a run that is not submitted
 *
 * @typedef {{capture: import("../exports/capture.js").Capture, over: () => void}} Captured
 *
 * @typedef {(prepare: (capture: import("../exports/capture.js").Capture) => void, over: () => void, call: import("../common/types.js").Call) =>
 *   Promise<{bodies: string[], leftOut: string[]}>} Capturing `prepare` sets fields right before the page queues; `over`
 *   restores the graph, in the same task if no pack waits for anything; returns what would be submitted, as JSON
 */

import { openCapture } from "../exports/capture.js";
import { newError } from "./frontend_ui.js";
import { CommandError, failedExport, words } from "../common/errors.js";
import { OURS } from "../exports/marks.js";
import { byExecutionId } from "../paths/subgraphs.js";
import { leaveOut } from "../exports/untyped_nodes.js";
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
  // Not async: its stack frame would appear in every refusal that the page reports.
  api.queuePrompt = function (/** @type {number} */ number, /** @type {any[]} */ ...rest) {
    const ours = Object.is(number, OURS) ? expected : null;
    if (!ours) {
      const answer = submit.call(this, number, ...rest);
      queueing.submitted(answer);
      return answer;
    }
    ours.capture?.ready();
    try {
      ours.exported(rest[0]?.output ?? {}, rest[1]?.partialExecutionTargets ?? null);
    } catch (error) {
      ours.refused(error);
      if (ours.capture) return Promise.resolve(ours.capture.accepted);
      // The page blames extensions in the stack for an error.
      return Promise.reject(Object.assign(/** @type {Error} */ (error), { stack: "" }));
    }
    const submission = () => submit.call(this, number, ...rest);
    const submitted = ours.capture ? submission() : marked(ours.mark, submission);
    ours.submitted(queueing.submitted(submitted));
    return submitted.then(
      (/** @type {any} */ answer) => {
        // The page will draw the whole graph now, which may take longer than the run: send the answer first.
        if (!ours.capture) frontend.drawLater();
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
   * Marks a submission with its request by a header, which does not end up in the workflow. The server recognises
   * ComfyUI's answer by it, long before a page that is drawing would handle the answer.
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
   * Queues one run. Resolves with up to `count` answers of ComfyUI.
   *
   * @param {Wanted} wanted
   * @param {import("../common/types.js").Call} call
   * @param {Captured} [captured] for a run that is not submitted
   * @returns {{answers: Promise<any[]>, over: Promise<unknown>, before: () => any}} `over`: the follow-up work is
   *   done; `before`: the dialogs that were open when it began
   */
  function start({ count, prepare, targets, part }, { id, signal, submitting }, captured) {
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

    /** The follow-up work of the last run precedes any write, and the export has to match the start of the run. */
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
        exported(output, limit) {
          if (targets && !limit) throw new CommandError("tab_failed", "The page did not limit the run to its targets; update ComfyUI's frontend.");
          // The others of several runs follow the first; a cancel then returns what was queued.
          if (signal.aborted && exports === 0) throw cancelled();
          // The person may open another workflow during the export.
          if (shown() !== tab || workflows.loading()) {
            const queued = exports === 0 ? "nothing was queued" : `only ${exports} of ${count} were queued`;
            const sentence = `Another workflow was opened while the run was being prepared, and ${queued}; run it again.`;
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
        capture: captured?.capture,
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
        // The page does not wait, so this run has to be queued again.
        again = occupied() !== null;
        dialogs = frontend.openDialogs();
        /** @type {string[] | undefined} */
        let limit;
        try {
          if (!again) {
            prepare?.();
            limit = targets?.();
          }
          begun = !again;
        } catch (error) {
          reject(error);
        }
        if (!begun) {
          pass();
          return null;
        }
        hold();
        tab = shown();
        return limit ? { queueNodeIds: limit } : {};
      }

      // Until the follow-up work of the last run is done.
      async function enter() {
        do {
          for (let busy = occupied(); busy; busy = occupied()) await unlessCancelled(busy, signal);
          if (signal.aborted) throw cancelled();
          if (!queueing.queues()) hold();
          const passed = new Promise((resume) => (pass = () => resume(undefined)));
          const passedOver = () => {
            captured?.over();
            pass();
          };
          const answer = queueing.line(count, { begin, failed, over: passedOver, captured: Boolean(captured) });
          await Promise.race([answer, passed]);
          await Promise.race([queueing.queues(), passed]);
          // The page shows its errors right after that.
          await Promise.race([answer, nextTask()]);
          // The error of another run ends the page's queueing and leaves this run in the queue.
          if (queueing.withdraw()) again = true;
        } while (again && !begun && !signal.aborted);
      }
      over = enter().then(() => resolve(list), failed).finally(queueing.withdraw);
    });
    // In any case; without a submission there is no follow-up work.
    Promise.allSettled([answers, over]).then(() => release());
    return { answers, over, before: () => dialogs };
  }

  /**
   * @param {Wanted} wanted
   * @param {import("../common/types.js").Call} call
   * @param {(over: Promise<unknown>) => void} follow
   * @returns {Promise<Queued>}
   */
  async function run(wanted, call, follow) {
    const { count } = wanted;
    const { answers, over, before } = start(wanted, call);
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
      throw new CommandError("tab_failed", "The page did not queue the workflow; it may show the reason.", {
        prompt_ids: list.map((answer) => answer?.prompt_id),
      });
    } catch (error) {
      // The page's error dialog would cover everything until it is closed; the red marks on nodes stay.
      await over.then(nextTask);
      const shown = newError(frontend, before());
      if (shown) {
        frontend.closeDialog(shown);
        frontend.toast("warn", "The run of a program was refused", words(error));
      }
      throw error;
    }
  }

  /** @type {(...args: [...Parameters<Capturing>, follow: (over: Promise<unknown>) => void]) => ReturnType<Capturing>} */
  async function capture(prepare, over, call, follow) {
    const own = openCapture(frontend);
    /** @type {string[]} */
    let leftOut = [];
    const begin = () => {
      own.begin();
      try {
        prepare(own);
      } catch (error) {
        own.over();
        throw error;
      }
    };
    const restored = () => {
      over();
      own.over();
    };
    const part = (/** @type {string[]} */ warnings) => {
      leftOut = warnings;
      return {};
    };
    const started = start({ count: 1, prepare: begin, part }, { ...call, submitting() {} }, { capture: own, over: restored });
    const done = Promise.allSettled([started.answers, started.over]);
    follow(done.then(() => void (expected = null)));
    try {
      await done;
      await started.answers;
      return { bodies: own.bodies, leftOut };
    } catch (error) {
      const shown = newError(frontend, started.before());
      if (shown) frontend.closeDialog(shown);
      throw error;
    } finally {
      own.close();
    }
  }

  /**
   * Carries out one run after the other.
   *
   * @template T
   * @param {(follow: (over: Promise<unknown>) => void) => Promise<T>} work
   * @returns {Promise<T>}
   */
  function inTurn(work) {
    /** @type {Promise<unknown>} */
    let over = Promise.resolve();
    const mine = last.then(() => work((promise) => (over = promise)));
    last = mine.then(
      () => over,
      () => over,
    );
    return mine;
  }

  return {
    /** Settles when programs may change the workflow again, or null. */
    held: () => held ?? queueing.held(),

    /**
     * Queues the open workflow.
     *
     * @param {Wanted} wanted
     * @param {import("../common/types.js").Call} call
     * @returns {Promise<Queued>}
     * @throws {CommandError} execution_failed with details {node_errors, error} when ComfyUI refuses
     */
    queue: (wanted, call) => inTurn((follow) => run(wanted, call, follow)),

    /** @type {Capturing} Has the page queue the open workflow, up to the submission. */
    capture: (prepare, over, call) => inTurn((follow) => capture(prepare, over, call, follow)),
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
 * @param {any} error the error of `api.queuePrompt`; with a `response` if ComfyUI refused the run
 * @param {any[]} answers of the earlier runs of the same batch
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
