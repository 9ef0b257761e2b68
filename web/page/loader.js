/**
 * Loads workflows in UI or API format into the page, and verifies that they were loaded.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 * @typedef {import("../common/types.js").ApiWorkflow} ApiWorkflow
 * @typedef {import("../common/types.js").UiWorkflow} UiWorkflow
 */

import { newError } from "./frontend_ui.js";
import { CommandError, words } from "../common/errors.js";
import { remember } from "../graph/rollback.js";
import { within } from "../common/waiting.js";

// Milliseconds.
const LOAD_AT_MOST = 60_000;
// The type of placeholders for nodes without a type.
const UNKNOWN_TYPE = "UNKNOWN";

/**
 * @typedef {{loaded: true, message: string, format: "ui" | "api", nodes: number, missing_node_types: string[],
 *   warnings: string[]}} Loaded
 */

/**
 * @param {Frontend} frontend
 * @param {import("./workflows.js").Workflows} workflows
 */
export function createLoader(frontend, workflows) {
  /** @type {Promise<unknown>} */
  let last = Promise.resolve();

  return {
    /**
     * Loads a workflow in a new workflow tab; one after the other, since 1.32 mixes up simultaneous loads.
     *
     * @param {any} workflow in UI or API format
     * @param {string | null} name of the workflow tab
     * @param {boolean} warn whether the page may open its dialogs about missing nodes and models
     * @param {AbortSignal} signal aborted when the client no longer waits
     * @returns {Promise<Loaded>}
     * @throws {CommandError} invalid if it is not a workflow, tab_failed if the page did not load it
     */
    load(workflow, name, warn, signal) {
      const mine = last.then(() => {
        if (signal.aborted) throw new CommandError("conflict", "The load was cancelled before it began.");
        return load(frontend, workflows, workflow, name && workflows.freeName(name), warn);
      });
      last = mine.catch(() => undefined);
      return mine;
    },
  };
}

/** @typedef {ReturnType<typeof createLoader>} Loader */

/**
 * Returns the format of a workflow.
 *
 * @param {any} workflow
 * @returns {"ui" | "api"}
 * @throws {CommandError} invalid, with a hint if the workflow is nested one level deeper
 */
export function formatOf(workflow) {
  if (workflow !== null && typeof workflow === "object" && !Array.isArray(workflow)) {
    if (isUi(workflow)) return "ui";
    if (isApi(workflow)) return "api";
    const inner = ["workflow", "output", "prompt"].find((key) => isUi(workflow[key]) || isApi(workflow[key]));
    if (inner) throw new CommandError("invalid", `This is not a workflow, but its "${inner}" is; send only that.`);
  }
  throw new CommandError(
    "invalid",
    "This is not a workflow; send what ComfyUI saves (an object with nodes) or its API export (nodes with class_type).",
  );
}

/**
 * @param {any} value
 * @returns {value is UiWorkflow}
 */
function isUi(value) {
  if (!Array.isArray(value?.nodes)) return false;
  return value.nodes.every((/** @type {any} */ node) => typeof node?.type === "string" && node.id !== undefined);
}

/**
 * @param {any} value
 * @returns {value is ApiWorkflow}
 */
function isApi(value) {
  return isObject(value) && Object.values(value).length > 0 && Object.values(value).every(isApiNode);
}

/**
 * The class of a node whose type was not installed at export is null, or missing if the page exported it.
 *
 * @param {any} node
 */
function isApiNode(node) {
  if (!isObject(node) || !(node.inputs === undefined || isObject(node.inputs))) return false;
  if (Object.hasOwn(node, "class_type")) return typeof node.class_type === "string" || node.class_type === null;
  return isObject(node.inputs) && isObject(node._meta);
}

/** @param {any} value */
function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/**
 * @param {Frontend} frontend
 * @param {import("./workflows.js").Workflows} workflows
 * @param {any} workflow
 * @param {string | null} name
 * @param {boolean} warn
 * @returns {Promise<Loaded>}
 */
async function load(frontend, workflows, workflow, name, warn) {
  const format = formatOf(workflow);
  const { api, warnings } = format === "api" ? loadable(workflow, frontend.placesUnknownNodes()) : { api: {}, warnings: [] };
  const missing = format === "ui" ? missingInUi(frontend, workflow) : missingInApi(frontend, workflow);
  if (format === "api" && missing.length > 0 && !frontend.placesUnknownNodes()) {
    throw new CommandError(
      "invalid",
      `This page can't load an API-format workflow with unknown nodes (${missing.join(", ")}); install them, or send ` +
        "the workflow in UI format.",
      { missing_node_types: missing },
    );
  }
  if (format === "api" && Object.keys(api).length === 0) {
    throw new CommandError("invalid", "No node of this workflow has a type; export it again where its nodes are installed.");
  }
  const expected = format === "ui" ? workflow.nodes.length : Object.keys(api).length;
  const before = frontend.openDialogs();
  await workflows.idle();
  const left = workflows.active();
  workflows.capture();
  // 1.32 clears the shown graph first and opens the new tab last: a failure in between would damage the open workflow.
  const { putBack } = remember({ frontend, workflows }, ["load_workflow"]);
  const failed = async (/** @type {string} */ reason) => {
    const lost = left && isShown(workflows, left) ? await putBack() : null;
    const sentence = `The page could not load the workflow: ${reason}${lost ? `; ${lost.clause}` : ""}`;
    return new CommandError("tab_failed", `${sentence}.`, lost ? { changes: lost.changes } : {});
  };
  frontend.showRoot();
  let said = true;
  let opened;
  try {
    const shown =
      format === "ui" ? frontend.loadUi(workflow, name, warn) : frontend.loadApi(api, name).then(() => true);
    const own = workflows.loading();
    said = await within(shown, LOAD_AT_MOST, `the page is still not done after ${LOAD_AT_MOST / 1000} s`);
    await own;
    opened = workflows.active();
    await workflows.idle();
  } catch (error) {
    // The page may still be loading, so nothing is rolled back.
    if (error instanceof CommandError) throw new CommandError("tab_failed", `The page could not load the workflow: ${words(error)}.`);
    throw await failed(words(error));
  }
  if (!isShown(workflows, opened)) {
    const sentence = "Another workflow tab was opened during the load, so the workflow may be incomplete; load it again.";
    throw new CommandError("tab_changed", sentence, { workflow_tab: workflows.idOf(opened), active: workflows.idOf(workflows.active()) });
  }
  const nodes = frontend.rootGraph().nodes.length;
  const failure = newError(frontend, before);
  if (!said || failure || nodes < expected) {
    if (failure) frontend.closeDialog(failure);
    throw await failed(failure?.contentProps?.error?.exceptionMessage ?? `it shows ${nodes} of ${expected} nodes`);
  }
  workflows.settle("loaded");
  const count = `${nodes} ${nodes === 1 ? "node" : "nodes"}`;
  const unknown = missing.length > 0 ? ` These node types are not installed and shown in red: ${missing.join(", ")}.` : "";
  const message = [`The page shows the workflow (${count}).${unknown}`, ...warnings].join(" ");
  return { loaded: true, message, format, nodes, missing_node_types: missing, warnings };
}

/**
 * @param {import("./workflows.js").Workflows} workflows
 * @param {any} workflow
 */
function isShown(workflows, workflow) {
  return workflows.idOf(workflow) === workflows.idOf(workflows.active());
}

/**
 * Prepares a workflow in API format for the page. 1.58 requires the inputs and a type of every node, and creates
 * placeholders for unknown types; 1.32 loads nothing if a type is missing.
 *
 * @param {ApiWorkflow} workflow
 * @param {boolean} places whether the page creates placeholders
 * @returns {{api: Record<string, any>, warnings: string[]}}
 */
export function loadable(workflow, places) {
  const untyped = Object.keys(workflow).filter((id) => typeof workflow[id].class_type !== "string");
  const gone = new Set(places ? [] : untyped);
  const isGone = (/** @type {any} */ value) => Array.isArray(value) && value.length === 2 && gone.has(String(value[0]));
  const kept = Object.entries(workflow).filter(([id]) => !gone.has(id));
  const api = Object.fromEntries(
    kept.map(([id, node]) => {
      const inputs = Object.entries(node.inputs ?? {}).filter(([, value]) => !isGone(value));
      return [id, { ...node, class_type: node.class_type ?? UNKNOWN_TYPE, inputs: Object.fromEntries(inputs) }];
    }),
  );
  const named = untyped.map((id) => `#${id}${workflow[id]._meta?.title ? ` ${JSON.stringify(workflow[id]._meta.title)}` : ""}`).join(", ");
  const fate = places ? "it shows placeholders instead" : "it left them and their links out";
  const warnings = untyped.length > 0 ? [`The page could not create ${named}, since the workflow does not name the type; ${fate}.`] : [];
  return { api, warnings };
}

/**
 * @param {Frontend} frontend
 * @param {any} workflow
 * @returns {string[]}
 */
function missingInUi(frontend, workflow) {
  const subgraphs = Array.isArray(workflow.definitions?.subgraphs) ? workflow.definitions.subgraphs : [];
  const own = new Set(subgraphs.map((/** @type {any} */ { id }) => id));
  const groups = new Set(Object.keys(workflow.extra?.groupNodes ?? {}).flatMap((name) => [`workflow>${name}`, `workflow/${name}`]));
  const types = [workflow, ...subgraphs].flatMap(({ nodes }) => (nodes ?? []).map((/** @type {any} */ node) => node.type));
  return [...new Set(types)].filter((type) => !own.has(type) && !groups.has(type) && !frontend.knowsType(type));
}

/**
 * @param {Frontend} frontend
 * @param {ApiWorkflow} workflow
 * @returns {string[]}
 */
function missingInApi(frontend, workflow) {
  const types = Object.values(workflow).flatMap(({ class_type }) => class_type ?? []);
  return [...new Set(types)].filter((type) => !frontend.knowsType(type));
}
