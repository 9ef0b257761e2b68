/**
 * The numbers that mark what this extension puts into the page's queue.
 */

/** Marks runs of this extension: -0 behaves like 0 in calculations and in JSON. */
export const OURS = -0;

/** Marks exports without a run. A number, since packs may compute with it, and one that nothing else uses. */
export const EXPORT = Number.MIN_VALUE;
