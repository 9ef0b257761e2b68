/**
 * A small line that shows how a rate has changed. It is decoration: the rate is written next to it.
 */

import { make, set } from "../dom.js";

const SVG = "http://www.w3.org/2000/svg";
const POINTS = 40;
const WIDTH = 48;
const HEIGHT = 14;

/** Creates an empty line, which is hidden until it has two points. */
export function createSparkline() {
  /** @type {number[]} */
  const values = [];
  const line = document.createElementNS(SVG, "polyline");
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  picture.append(line);
  const element = make("span", { class: "uiapi-sparkline", "aria-hidden": "true", hidden: true }, picture);

  return {
    element,

    /** @param {number} value the latest one */
    add(value) {
      values.push(value);
      if (values.length > POINTS) values.shift();
      element.hidden = values.length < 2 || values.every((one) => one === 0);
      if (!element.hidden) set(line, { points: pointsOf(values) });
    },
  };
}

/**
 * @param {number[]} values
 * @returns {string} their points, the latest at the right end
 */
export function pointsOf(values) {
  const highest = Math.max(...values, Number.MIN_VALUE);
  const step = WIDTH / (POINTS - 1);
  return values.map((value, at) => `${(WIDTH - (values.length - 1 - at) * step).toFixed(1)},${(HEIGHT - 1 - (HEIGHT - 2) * (value / highest)).toFixed(1)}`).join(" ");
}
