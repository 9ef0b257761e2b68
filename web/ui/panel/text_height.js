/**
 * Measures how high a text becomes that is wrapped, without laying it out.
 */

// Pixels of one line of text, and around all of them, as in the styles.
const LINE = 19;
const AROUND = 4;
// What the styles leave free next to it, in the size of the page's letters.
const INSET = 3.25;
const TEXTS_KEPT = 500;

/** @param {HTMLElement} place in whose font the text is shown */
export function createTextHeight(place) {
  const context = document.createElement("canvas").getContext("2d");
  /** @type {Map<string, number>} */
  const known = new Map();
  let look = "";
  let room = 0;

  return {
    /** Reads the font and the room; call it before anything is changed. */
    measure() {
      const { font } = getComputedStyle(place);
      const width = place.parentElement?.clientWidth ?? 0;
      if (look === `${font} ${width}`) return;
      look = `${font} ${width}`;
      known.clear();
      if (context) context.font = font;
      room = Math.max(80, width - INSET * parseFloat(getComputedStyle(document.documentElement).fontSize) - 4);
    },

    /**
     * @param {string} text
     * @returns {number} pixels
     */
    of(text) {
      let lines = known.get(text);
      if (lines === undefined) {
        lines = linesOf(text, room, (part) => context?.measureText(part).width ?? 8 * part.length);
        if (known.size >= TEXTS_KEPT) known.clear();
        known.set(text, lines);
      }
      return lines * LINE + AROUND;
    },
  };
}

/**
 * @param {string} text
 * @param {number} room the width of a line
 * @param {(part: string) => number} measure returns the width of a text on one line
 * @returns {number} how many lines it takes
 */
export function linesOf(text, room, measure) {
  let lines = 1;
  let used = 0;
  const space = measure(" ");
  for (const word of text.split(/[^\S\u00a0]+/).filter(Boolean)) {
    const width = measure(word);
    if (used > 0 && used + space + width > room) {
      lines++;
      used = 0;
    }
    // A word that is too long is broken anywhere.
    const rows = Math.max(1, Math.ceil(width / room));
    lines += rows - 1;
    used = rows > 1 ? width % room : used + (used > 0 ? space : 0) + width;
  }
  return lines;
}
