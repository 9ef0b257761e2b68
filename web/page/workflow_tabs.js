/**
 * Lists, opens, renames, saves and closes the workflow tabs of the page without dialogs.
 *
 * A tab is named by its id, path or name; a saved workflow by its path in the folder of workflows. Internally,
 * paths are those of the frontend's store, which begin with that folder.
 *
 * @typedef {{id: string, name: string, path: string, active: boolean, modified: boolean, is_temporary: boolean}} TabInfo
 */

import { CommandError, words } from "../common/errors.js";
import { nearestNames } from "../paths/suggestions.js";

const FOLDER = "workflows/";
const SUFFIX = ".json";

/**
 * @param {import("./frontend.js").Frontend} frontend
 * @param {import("./workflows.js").Workflows} workflows
 */
export function createTabs(frontend, workflows) {
  const { app } = frontend;
  const { store, idOf, active } = workflows;

  /**
   * @param {any} workflow
   * @returns {TabInfo}
   */
  function described(workflow) {
    return {
      id: idOf(workflow),
      name: workflow.filename,
      path: publicPath(workflow.path),
      active: idOf(workflow) === idOf(active()),
      modified: Boolean(workflow.isModified),
      is_temporary: Boolean(workflow.isTemporary),
    };
  }

  /** @returns {any[]} */
  const open = () => [...store().openWorkflows];

  /**
   * @param {string | undefined} name
   * @returns {any} an open workflow
   * @throws {CommandError} unknown_tab, ambiguous_path
   */
  function find(name) {
    if (name === undefined) return active();
    const all = open();
    for (const fits of [
      (/** @type {any} */ workflow) => idOf(workflow) === name,
      (/** @type {any} */ workflow) => workflow.path === stored(name),
      (/** @type {any} */ workflow) => workflow.path === withSuffix(name),
      (/** @type {any} */ workflow) => workflow.filename === name,
      (/** @type {any} */ workflow) => workflow.filename.toLowerCase() === name.toLowerCase(),
    ]) {
      const found = all.filter(fits);
      if (found.length === 1) return found[0];
      if (found.length > 1) {
        const candidates = found.map(idOf);
        throw new CommandError("ambiguous_path", `${found.length} tabs are called ${JSON.stringify(name)}: ${candidates.join(", ")}.`, {
          path: name,
          candidates,
        });
      }
    }
    const near = nearestNames(name, all.map(({ filename }) => filename));
    throw new CommandError("unknown_tab", `No workflow tab is called ${JSON.stringify(name)}; the nearest are ${near.join(", ")}.`, {
      tab: name,
      nearest: near,
    });
  }

  /**
   * @param {any} workflow
   */
  async function show(workflow) {
    if (idOf(workflow) === idOf(active())) return;
    if (!workflow.isLoaded) await workflow.load();
    const quiet = { showMissingNodesDialog: false, showMissingModelsDialog: false, checkForRerouteMigration: false };
    await app.loadGraphData(workflow.activeState, true, true, workflow, { ...quiet, deferWarnings: true });
    if (idOf(workflow) !== idOf(active())) {
      throw new CommandError("tab_failed", `The page did not open ${workflow.filename}; it may show the reason.`);
    }
  }

  /**
   * @param {string | null} name
   */
  async function blank(name) {
    const state = { last_node_id: 0, last_link_id: 0, nodes: [], links: [], groups: [], config: {}, extra: {}, version: 0.4 };
    await app.loadGraphData(state, true, true, name);
  }

  /** @param {string} path */
  function refuseTaken(path) {
    if (!store().getWorkflowByPath(path)) return;
    throw new CommandError("conflict", `The workflow ${publicPath(path)} already exists; choose another name.`, { path: publicPath(path) });
  }

  /**
   * Finds a workflow by its path, even if another browser has saved it since this page was loaded. The store's own
   * refresh is not usable: in 1.32 it unloads open workflows.
   *
   * @param {string} path
   * @returns {Promise<any>} undefined if it does not exist
   */
  async function known(path) {
    const here = store().getWorkflowByPath(path);
    if (here) return here;
    const listed = await frontend.api.listUserDataFullInfo(FOLDER.slice(0, -1));
    const file = listed.find((/** @type {any} */ entry) => FOLDER + entry.path === path);
    if (!file) return undefined;
    store().attachWorkflow(new (active().constructor)({ path, modified: file.modified, size: file.size }));
    return store().getWorkflowByPath(path);
  }

  /**
   * @template T
   * @param {string} what
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async function onDisk(what, work) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof CommandError) throw error;
      throw new CommandError("tab_failed", `The page could not ${what}: ${words(error)}.`);
    }
  }

  /**
   * @param {any} workflow
   */
  async function close(workflow) {
    if (open().length === 1) await blank(null);
    if (idOf(workflow) === idOf(active())) {
      const others = open().filter((other) => idOf(other) !== idOf(workflow));
      await show(store().getMostRecentWorkflow?.() ?? others[others.length - 1]);
    }
    await store().closeWorkflow(workflow);
  }

  /**
   * @param {any} workflow
   * @param {string} path that no other workflow has
   * @returns {Promise<any>} the workflow that is now at the path: itself, or a copy if it was saved elsewhere
   */
  async function write(workflow, path) {
    if (!workflow.isTemporary) {
      const copy = store().saveAs(workflow, path);
      try {
        await copy.load();
        await store().saveWorkflow(copy);
      } catch (error) {
        await store().deleteWorkflow(copy);
        throw error;
      }
      return copy;
    }
    const before = workflow.path;
    if (path !== before) await store().renameWorkflow(workflow, path);
    try {
      await store().saveWorkflow(workflow);
    } catch (error) {
      if (path !== before) await store().renameWorkflow(workflow, before);
      throw error;
    }
    return workflow;
  }

  /**
   * Saves over another workflow. That one is set aside first, deleted once the new one is saved, and restored if saving
   * fails.
   *
   * @param {any} other
   * @param {any} workflow
   */
  async function replace(other, workflow) {
    const { path } = other;
    const aside = `${path.slice(0, -SUFFIX.length)} (replaced ${Date.now()})${SUFFIX}`;
    await store().renameWorkflow(other, aside);
    let saved;
    try {
      saved = await write(workflow, path);
    } catch (error) {
      await store().renameWorkflow(other, path);
      throw error;
    }
    if (store().isOpen(other)) await close(other);
    await store().deleteWorkflow(other);
    return saved;
  }

  return {
    /**
     * Requires that the given workflow tab is shown.
     *
     * @param {string | null | undefined} name
     * @throws {CommandError} unknown_tab, tab_changed
     */
    require(name) {
      if (name === undefined || name === null) return;
      const [meant, shown] = [find(name), active()];
      if (idOf(meant) === idOf(shown)) return;
      throw new CommandError(
        "tab_changed",
        `The command is for the workflow tab ${meant.filename}, but ${shown?.filename} is shown; use switch_tab first.`,
        { workflow_tab: idOf(meant), active: idOf(shown) },
      );
    },

    list: () => ({ tabs: open().map(described) }),

    /** @param {string | undefined} name */
    async create(name) {
      if (name !== undefined) refuseTaken(stored(name));
      await blank(name ?? null);
      return { tab: described(active()) };
    },

    /** @param {string} path */
    async openSaved(path) {
      const workflow = await onDisk("list the workflows", () => known(stored(path)));
      if (!workflow) {
        const near = nearestNames(path, store().workflows.map((/** @type {any} */ saved) => publicPath(saved.path)));
        const hint = near.length > 0 ? `the nearest are ${near.join(", ")}` : "none is saved";
        throw new CommandError("unknown_tab", `No saved workflow has the path ${JSON.stringify(path)}; ${hint}.`, { path, nearest: near });
      }
      await onDisk(`open ${path}`, () => show(workflow));
      return { tab: described(workflow) };
    },

    /** @param {string} name */
    async switchTo(name) {
      const workflow = find(name);
      await show(workflow);
      return { tab: described(workflow) };
    },

    /**
     * @param {string | undefined} tab
     * @param {string} name
     */
    async rename(tab, name) {
      const workflow = find(tab);
      const path = savable(below(workflow, name));
      if (path === workflow.path) return { tab: described(workflow) };
      await known(path);
      refuseTaken(path);
      await onDisk("rename the workflow", () => store().renameWorkflow(workflow, path));
      return { tab: described(workflow) };
    },

    /**
     * @param {string | undefined} tab
     * @param {string | undefined} name
     * @param {boolean} overwrite
     */
    async save(tab, name, overwrite) {
      const workflow = find(tab);
      if (idOf(workflow) === idOf(active())) workflows.capture();
      const path = savable(name === undefined ? workflow.path : below(workflow, name));
      if (path === workflow.path && !workflow.isTemporary) {
        await onDisk("save the workflow", () => store().saveWorkflow(workflow));
        return { tab: described(workflow) };
      }
      const other = await onDisk("list the workflows", () => known(path));
      const taken = other && idOf(other) !== idOf(workflow);
      if (taken && (!overwrite || other.isTemporary)) refuseTaken(path);
      const saved = await onDisk("save the workflow", () => (taken ? replace(other, workflow) : write(workflow, path)));
      if (idOf(saved) !== idOf(workflow)) await onDisk("open the copy", () => show(saved));
      return { tab: described(saved) };
    },

    /**
     * @param {string} tab
     * @param {boolean} discard
     */
    async close(tab, discard) {
      const workflow = find(tab);
      if (idOf(workflow) === idOf(active())) workflows.capture();
      if (workflow.isModified && !discard) {
        const sentence = `${workflow.filename} has unsaved changes; save_tab first, or close it with discard.`;
        throw new CommandError("conflict", sentence, { tab: idOf(workflow) });
      }
      const closed = described(workflow);
      await close(workflow);
      return { tab: { ...closed, active: false } };
    },
  };
}

/** @typedef {ReturnType<typeof createTabs>} Tabs */

/**
 * @param {string} name a path in the folder of workflows, with or without .json
 * @returns {string} the store's path
 */
function stored(name) {
  return withSuffix(FOLDER + name);
}

/**
 * @param {string} path
 * @returns {string} as programs see it, and as stored() accepts it
 */
function publicPath(path) {
  return path.slice(FOLDER.length);
}

/** @param {string} path */
function withSuffix(path) {
  return path.endsWith(SUFFIX) ? path : path + SUFFIX;
}

/**
 * @param {any} workflow
 * @param {string} name a new name in the same folder, or a path if it contains a slash
 * @returns {string}
 */
function below(workflow, name) {
  return name.includes("/") ? stored(name) : withSuffix(`${workflow.directory}/${name}`);
}

/**
 * Validates a path for saving: ComfyUI decodes it once more than the page encodes it, and on Windows a backslash is a
 * separator.
 *
 * @param {string} path
 * @returns {string}
 * @throws {CommandError} invalid
 */
function savable(path) {
  if (path.split(/[/\\]/).includes("..") || /\\|%[0-9a-f]{2}|[\0-\x1f]/i.test(path)) {
    const sentence = "The name of a workflow must not contain '..', a backslash, or '%' before two digits; choose another.";
    throw new CommandError("invalid", sentence, { name: publicPath(path) });
  }
  return path;
}
