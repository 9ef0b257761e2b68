/**
 * Remembers what the page and packs change for a run besides values: marks, counters and sets that no saved workflow
 * contains, such as the note of a seed control that there was a run.
 *
 * What a pack keeps in variables of its own cannot be seen from outside, and stays changed.
 *
 * @typedef {{owner: any, key: string | symbol, value: any, gone: boolean}} Mark
 * @typedef {{marks: Mark[], noted: [WeakSet<any>, any][]}} QueueState what a run has changed
 */

// Restored with the callbacks of their widgets, see node_memory.js.
const VALUES = new Set(["value", "title"]);
const COMPUTED = {};

/**
 * To be called right before the page prepares a run, in the same task.
 *
 * @param {Iterable<any>} nodes whose own properties are remembered, and those of their widgets
 */
export function rememberQueueState(nodes) {
  /** @type {Map<any, Map<string | symbol, any>>} */
  const kept = new Map();
  for (const node of nodes) {
    keep(node);
    for (const widget of node.widgets ?? []) {
      keep(widget);
      for (const linked of widget.linkedWidgets ?? []) keep(linked);
    }
  }
  /** @type {[WeakSet<any>, any][]} */
  const noted = [];
  watchSets();

  /** @param {any} owner */
  function keep(owner) {
    if (kept.has(owner)) return;
    try {
      kept.set(owner, stored(owner));
    } catch {
      // Its properties cannot be listed, as those of a proxy that is not ready.
    }
  }

  /**
   * 1.58 notes promoted seeds in a set that nothing else can reach. The page prepares a run without waiting for
   * anything, so nothing else is noted before the current task does.
   */
  function watchSets() {
    const { prototype } = WeakSet;
    const { add } = prototype;
    prototype.add = function (value) {
      if (kept.has(value) && !this.has(value)) noted.push([this, value]);
      return add.call(this, value);
    };
    const watching = prototype.add;
    Promise.resolve().then(() => {
      if (prototype.add === watching) prototype.add = add;
    });
  }

  /** @returns {Mark[]} the properties that differ, with their values now */
  function differing() {
    /** @type {Mark[]} */
    const marks = [];
    for (const [owner, before] of kept) {
      const now = stored(owner);
      for (const [key, value] of now) {
        const earlier = before.get(key);
        if (isMark(value) && isMark(earlier) && !Object.is(value, earlier)) marks.push({ owner, key, value, gone: false });
      }
      for (const [key, value] of before) {
        if (isMark(value) && !Object.hasOwn(owner, key)) marks.push({ owner, key, value: undefined, gone: true });
      }
    }
    return marks;
  }

  return {
    /** @returns {QueueState} */
    changed: () => ({ marks: differing(), noted: [...noted] }),

    /** Restores what was remembered. */
    putBack() {
      for (const { owner, key } of differing()) {
        const before = kept.get(owner);
        write(owner, key, before?.get(key), !before?.has(key));
      }
      for (const [set, value] of noted) set.delete(value);
    },
  };
}

/**
 * Makes the changes of an earlier run again.
 *
 * @param {QueueState} state
 */
export function repeatQueueState({ marks, noted }) {
  for (const { owner, key, value, gone } of marks) write(owner, key, value, gone);
  for (const [set, value] of noted) set.add(value);
}

/**
 * Returns the values of an object's own properties, and COMPUTED for those with functions of their own: to call these
 * can take longer than an export, and what they compute cannot be restored.
 *
 * @param {any} owner
 * @returns {Map<string | symbol, any>}
 */
function stored(owner) {
  const values = new Map();
  for (const key of Reflect.ownKeys(owner)) {
    if (VALUES.has(/** @type {string} */ (key))) continue;
    const own = Object.getOwnPropertyDescriptor(owner, key);
    values.set(key, own && Object.hasOwn(own, "value") ? own.value : COMPUTED);
  }
  return values;
}

/**
 * Whether a value is one that is replaced as a whole. Objects are shared with whoever made them.
 *
 * @param {any} value
 */
function isMark(value) {
  return (typeof value !== "object" && typeof value !== "function") || value === null;
}

/**
 * @param {any} owner
 * @param {string | symbol} key
 * @param {any} value
 * @param {boolean} isGone
 */
function write(owner, key, value, isGone) {
  const own = Object.getOwnPropertyDescriptor(owner, key);
  // A property with functions of its own computes its value.
  if (own && !own.writable) return;
  // Neither throws if a pack has sealed the object.
  if (isGone) Reflect.deleteProperty(owner, key);
  else Reflect.set(owner, key, value);
}
