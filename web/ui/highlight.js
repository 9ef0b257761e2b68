/**
 * Shows on the canvas what programs do: a glow on nodes that were just changed, and badges during runs.
 */

import { arrangeRows, iconButton, make, overCanvas, set } from "./dom.js";
import { beginning } from "./format.js";
import { byExecutionId } from "../paths/subgraphs.js";
import { t } from "./texts.js";

// Milliseconds, and the most nodes at a time.
const GLOW_FOR = 1500;
const NODES_AT_MOST = 100;
const STYLE = "uiapi";
const WIDTH = 3;
// Characters of the names in a badge.
const NAMES_SHOWN = 60;

/**
 * @param {import("../page/frontend.js").Frontend} frontend
 * @param {any} page the window
 * @returns {(changes: {node?: string}[]) => void} makes the changed nodes glow
 */
export function createGlow(frontend, page) {
  /** @type {Map<any, any>} timers by node */
  const glowing = new Map();

  // Not white, which both kinds of nodes have while they are selected.
  const color = () => page.getComputedStyle(page.document.body).getPropertyValue("--uiapi-primary").trim() || "white";

  /** @param {any} node */
  function begin(node) {
    page.clearTimeout(glowing.get(node));
    glowing.set(node, page.setTimeout(() => end(node), GLOW_FOR));
    const stroke = { color: color(), lineWidth: WIDTH };
    if (node.strokeStyles) node.strokeStyles[STYLE] = () => stroke;
    // Nodes that are drawn as page elements have no stroke.
    const element = page.document.querySelector(`[data-node-id="${CSS.escape(String(node.id))}"]`);
    if (!element) return;
    const borderRadius = radiusOf(element);
    const shown = { outline: `${WIDTH}px solid ${stroke.color}`, boxShadow: `0 0 1.5rem ${stroke.color}`, borderRadius };
    element.animate([shown, { outline: `${WIDTH}px solid transparent`, boxShadow: "none", borderRadius }], GLOW_FOR);
  }

  /**
   * @param {Element} element of a node
   * @returns {string} the radius that is seen, of a part that fills it
   */
  function radiusOf(element) {
    const parts = [element, ...element.querySelectorAll(":scope > *, :scope > * > *")];
    const radii = parts.map((part) => page.getComputedStyle(part).borderTopLeftRadius);
    return radii.find((radius) => radius !== "0px") ?? "0px";
  }

  /** @param {any} node */
  function end(node) {
    glowing.delete(node);
    if (node.strokeStyles) delete node.strokeStyles[STYLE];
    frontend.repaint();
  }

  return (changes) => {
    const ids = [...new Set(changes.map(({ node }) => node))].slice(0, NODES_AT_MOST);
    for (const id of ids) {
      const place = id === undefined ? undefined : byExecutionId(frontend.rootGraph(), String(id));
      if (place) begin(place.node);
    }
    if (ids.length > 0) frontend.repaint();
  };
}

/**
 * Calls `work` while no node glows.
 *
 * @template T
 * @param {any[]} nodes
 * @param {() => T} work
 * @returns {T}
 */
export function withoutGlow(nodes, work) {
  const glowing = nodes.filter(({ strokeStyles }) => strokeStyles?.[STYLE]);
  const strokes = glowing.map(({ strokeStyles }) => strokeStyles[STYLE]);
  for (const { strokeStyles } of glowing) delete strokeStyles[STYLE];
  try {
    return work();
  } finally {
    glowing.forEach(({ strokeStyles }, at) => (strokeStyles[STYLE] = strokes[at]));
  }
}

/**
 * Shows badges while programs run the workflow: one for all runs, and one for each sweep, which can be stopped there.
 *
 * @param {import("./panel/state.js").State} state
 * @param {(sweepId: string) => unknown} stop
 * @param {(listener: (preview: Blob) => void) => void} onPreview
 */
export function addBadges(state, stop, onPreview) {
  const text = make("span");
  const icon = make("i", { "aria-hidden": "true" });
  const picture = make("img", { class: "uiapi-preview", alt: "", hidden: true });
  const badge = make("div", { class: "uiapi-badge", role: "status", hidden: true }, picture, icon, text);
  const sweeps = make("div", { class: "uiapi-sweeps" });
  overCanvas().append(badge, sweeps);
  let shown = "";

  /** @param {Blob | null} preview of the picture that is being made */
  function show(preview) {
    URL.revokeObjectURL(shown);
    shown = preview ? URL.createObjectURL(preview) : "";
    picture.hidden = preview === null;
    if (preview) picture.src = shown;
    else picture.removeAttribute("src");
  }

  // Without a run of a program, the person's own ones are none of its business.
  onPreview((preview) => void ((state.server?.runs.length ?? 0) > 0 && show(preview)));
  state.onChange(() => {
    const runs = state.server?.runs ?? [];
    const { asking } = state;
    const running = runs.length > 0 ? t("running", { programs: namesOf(runs) }) : "";
    set(icon, { class: `pi ${asking.length > 0 ? "pi-question-circle" : "pi-play"}` });
    set(text, { text: asking.length > 0 ? t("asksYou", { programs: namesOf(asking) }) : running });
    badge.hidden = runs.length + asking.length === 0;
    if (runs.length === 0) show(null);
    arrangeRows(sweeps, state.server?.sweeps ?? [], ({ sweep_id }) => sweep_id, ({ sweep_id }) => sweepBadge(() => stop(sweep_id)));
  });
}

/**
 * @param {string[]} programs
 * @returns {string} their names, shortened, so that what follows them is always seen
 */
const namesOf = (programs) => beginning(programs.join(", "), NAMES_SHOWN);

/** @param {() => unknown} stop */
function sweepBadge(stop) {
  const text = make("span");
  const icon = make("i", { class: "pi pi-table", "aria-hidden": "true" });
  const row = make("div", { class: "uiapi-badge", role: "status" }, icon, text, iconButton("pi-stop-circle", t("stopSweep"), stop));
  row.update = (/** @type {import("./panel/state.js").SweepFacts} */ { program, done, failed, cancelled, total }) =>
    set(text, { text: t("sweeping", { program: namesOf([program]), ended: done + failed + cancelled, total }) });
  return row;
}
