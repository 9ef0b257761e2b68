/**
 * The numbers that mark what this extension puts into the page's queue.
 */

/** Marks runs of this extension: -0 behaves like 0 in calculations and in JSON. */
export const OURS = -0;

/** Marks exports without a run. It is not used otherwise; a number, since packs may compute with it. */
export const EXPORT = Number.MIN_VALUE;
