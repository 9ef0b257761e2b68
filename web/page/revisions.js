/**
 * Tracks revisions: texts that change whenever the graph changes, and the changes since an earlier one.
 *
 * The graph is checked (a picture is taken and compared) after every writing command, before every write that depends
 * on a revision, and otherwise only after a hint of a change: an input event, a new state in the undo history, a
 * loaded graph, or a second that has passed. Plain reads therefore cost nothing.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 * @typedef {import("../graph/diff.js").Change} Change
 * @typedef {import("../graph/diff.js").Picture} Picture
 * @typedef {import("./workflows.js").Workflows} Workflows
 *
 * @typedef {"person" | {program: string | null, request: string}} By who caused a change
 *
 * @typedef {object} Look The result of a check that found changes.
 * @property {string} revision
 * @property {string} tab the workflow tab's id
 * @property {Picture} before
 * @property {Picture} after
 * @property {boolean} switched whether another workflow tab is shown
 * @property {By} by
 *
 * @typedef {object} Kept An earlier revision.
 * @property {Picture} picture
 * @property {string} tab
 * @property {number} edits
 * @property {number} presses
 */

import { CommandError } from "../common/errors.js";
import { differences, samePicture, takePicture } from "../graph/diff.js";

const KEPT = 32;
// Milliseconds. Input may take effect a little after its event (a value is committed, a menu closes).
const WARM_FOR = 1000;
const LOOK_AT_LEAST_EVERY = 1000;
const HAND = ["pointerdown", "pointerup", "click", "keydown", "keyup", "input", "change", "wheel", "paste", "drop"];
// The elements in which text is typed into the graph.
const EDITORS = ".graphdialog, .litegraph, .dom-widget, .lg-node, [data-node-id]";
const CHANGED_SHOWN = 50;

/**
 * @param {Frontend} frontend
 * @param {Workflows} workflows
 * @param {any} page the window
 */
export function createRevisions(frontend, workflows, page) {
  const session = Math.random().toString(36).slice(2, 8);
  /** @type {Map<string, Kept>} */
  const kept = new Map();
  /** @type {Set<(look: Look) => void>} */
  const listeners = new Set();
  /** @type {Set<(event: Event) => void>} */
  const inputListeners = new Set();
  let count = 0;
  // Keystrokes in text boxes that may not have become a value yet, and presses of the pointer.
  let edits = 0;
  let presses = 0;
  let pressed = false;
  let warmUntil = 0;
  let lookedAt = 0;
  let hinted = true;
  /** @type {unknown} */
  let knownState = null;
  /** @type {By} */
  let causer = "person";
  let current = keep(takePicture(frontend.rootGraph()));

  function now() {
    return page.performance.now();
  }

  function activeTab() {
    return workflows.idOf(workflows.active());
  }

  /**
   * @param {Picture} picture
   * @returns {Kept & {revision: string}}
   */
  function keep(picture) {
    const revision = `${session}-${++count}`;
    const entry = { picture, tab: activeTab(), edits, presses, revision };
    kept.set(revision, entry);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value ?? "");
    return entry;
  }

  /** @param {Event} event */
  function handMoved(event) {
    warmUntil = now() + WARM_FOR;
    if (event.type === "pointerdown") {
      pressed = true;
      presses++;
    } else if (event.type === "pointerup") pressed = false;
    else if (event.type === "input" && event.target instanceof page.Element && inGraph(event.target)) edits++;
    for (const listener of inputListeners) listener(event);
  }

  /** @param {any} target */
  function inGraph(target) {
    return Boolean(target.closest(EDITORS)) || ["comfy-multiline-input"].some((name) => target.classList.contains(name));
  }

  for (const name of HAND) page.addEventListener(name, handMoved, { capture: true, passive: true });
  page.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => event.buttons && handMoved(event), {
    capture: true,
    passive: true,
  });
  page.addEventListener("pointercancel", () => (pressed = false), { capture: true });
  workflows.onLoaded(() => {
    hinted = true;
    look();
  });

  function maybeChanged() {
    if (hinted || pressed || workflows.tracker()?.activeState !== knownState) return true;
    const time = now();
    return time < warmUntil || time - lookedAt > LOOK_AT_LEAST_EVERY;
  }

  /** Takes a picture; a difference to the last one makes a new revision. */
  function look() {
    if (workflows.loading()) return;
    if (frontend.exports.isUnderWay()) {
      hinted = true;
      return;
    }
    const after = takePicture(frontend.rootGraph());
    const tab = activeTab();
    hinted = false;
    lookedAt = now();
    knownState = workflows.tracker()?.activeState;
    const sizes = presses !== current.presses;
    if (tab === current.tab && edits === current.edits && samePicture(current.picture, after, sizes)) return;
    const { picture: before, tab: old } = current;
    current = keep(after);
    const found = { revision: current.revision, tab, before, after, switched: tab !== old, by: causer };
    for (const listener of listeners) listener(found);
  }

  /** @param {Kept} base */
  function changesSince(base) {
    if (base.tab !== current.tab) return ["another workflow tab is shown"];
    const changes = differences(base.picture, current.picture, base.presses !== current.presses);
    const paths = changes.map(({ kind, path, what }) => (kind === "widget_changed" || !what ? `${path}` : `${path} ${what}`));
    if (base.edits !== current.edits && paths.length === 0) paths.push("a text that is being written");
    return [...new Set(paths)];
  }

  return {
    /** @param {(look: Look) => void} listener called with every new revision */
    onChange: (listener) => void listeners.add(listener),

    /** @param {(event: Event) => void} listener called at every input event, before it takes effect */
    onInput: (listener) => void inputListeners.add(listener),

    /** Checks the graph now if there are hints of a change. */
    lookIfHinted() {
      if (maybeChanged()) look();
    },

    /** @returns {string} the graph's revision */
    revision() {
      if (maybeChanged()) look();
      return current.revision;
    },

    /** @returns {Picture} the graph's content */
    picture() {
      look();
      return current.picture;
    },

    activeTab,

    /**
     * Makes a change on behalf of a program. Earlier changes are attributed to the person.
     *
     * @template T
     * @param {By} by
     * @param {() => T} change
     * @returns {T}
     */
    caused(by, change) {
      if (maybeChanged()) look();
      const before = causer;
      causer = by;
      const over = () => {
        look();
        if (causer === by) causer = before;
      };
      let result;
      try {
        result = change();
      } catch (error) {
        over();
        throw error;
      }
      if (typeof (/** @type {any} */ (result)?.then) !== "function") {
        over();
        return result;
      }
      return /** @type {any} */ (result).finally(over);
    },

    /**
     * Requires that the graph is the same as at a revision. Edits that were undone do not count.
     *
     * @param {string | undefined} revision
     * @throws {CommandError} revision_changed
     */
    require(revision) {
      if (revision === undefined || revision === null) return;
      look();
      if (revision === current.revision) return;
      const base = kept.get(revision);
      const changed = base ? changesSince(base) : ["more than this page remembers"];
      if (changed.length === 0) return;
      const shown = changed.slice(0, 3).join(", ") + (changed.length > 3 ? ", …" : "");
      throw new CommandError(
        "revision_changed",
        `The graph has changed since revision ${revision} (${shown}), and nothing was written; read the graph again.`,
        { revision: current.revision, changed: changed.slice(0, CHANGED_SHOWN), changed_total: changed.length },
      );
    },
  };
}

/** @typedef {ReturnType<typeof createRevisions>} Revisions */
