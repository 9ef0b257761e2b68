/**
 * Takes screenshots of the canvas or of some nodes without disturbing the view.
 *
 * The page's canvas draws once onto another element, within one task, so that nothing flickers. "Nodes 2.0" are page
 * elements and not on the canvas; for the screenshot the nodes are drawn the classic way. Text boxes are elements in
 * both modes and are added afterwards. Pictures on nodes begin to load when a node is first drawn, and 1.49 and later
 * draw them in a separate microtask.
 *
 * @typedef {import("../page/frontend.js").Frontend} Frontend
 * @typedef {{x: number, y: number, width: number, height: number}} Area in the graph's units
 * @typedef {(nodes: any[], work: () => void) => void} Plain calls `work` while the nodes are drawn without highlights
 */

import { CommandError } from "../common/errors.js";
import { commonGraph, resolveNodes } from "../paths/node_paths.js";

const PADDING = 30;
const TITLE_HEIGHT = 30;
const BOX_MARGIN = 10;
const LINE = 14;
// Pixels per side; browsers refuse much larger canvases.
const LARGEST = 8192;
const LARGEST_UNASKED = 4096;
// Milliseconds: how long pictures on nodes may take to load, and between two checks.
const LOADED_WITHIN = 1500;
const LOOK_EVERY = 50;

/**
 * @param {Frontend} frontend
 * @param {any} page the window
 * @param {{nodes?: string[], width?: number, height?: number, padding?: number}} data sizes in pixels
 * @param {Plain} plain
 * @returns {Promise<{png: string, width: number, height: number}>} the picture in base64
 * @throws {CommandError}
 */
export async function screenshot(frontend, page, { nodes, width, height, padding = PADDING }, plain) {
  const canvas = frontend.canvas();
  const places = nodes ? resolveNodes(frontend.rootGraph(), nodes) : null;
  const graph = places ? commonGraph(places) : canvas.graph;

  function shoot() {
    const area = places ? around(places.map(({ node }) => node), padding) : visible(canvas);
    const natural = places ? 1 : canvas.ds.scale;
    const most = Math.min(1, LARGEST_UNASKED / (area.width * natural), LARGEST_UNASKED / (area.height * natural));
    const fits = Math.min(width ? width / area.width : Infinity, height ? height / area.height : Infinity);
    const scale = Number.isFinite(fits) ? fits : natural * most;
    const size = {
      width: Math.min(LARGEST, width ?? Math.ceil(area.width * scale)),
      height: Math.min(LARGEST, height ?? Math.ceil(area.height * scale)),
    };
    return { size, ...lookingInto(canvas, graph, () => drawn(frontend, page, canvas, area, scale, size, plain)) };
  }

  try {
    let shot = shoot();
    const until = page.performance.now() + LOADED_WITHIN;
    while (shot.shown.some(loadsPictures) && page.performance.now() < until) {
      await new Promise((resume) => page.setTimeout(resume, LOOK_EVERY));
      shot = shoot();
    }
    // A node makes room for its picture when it is first drawn with it, and shows it from the next time on.
    if (shot.shown.some(({ imgs }) => imgs?.length > 0)) shot = shoot();
    // Lets the page draw what it has deferred to the end of this task.
    await Promise.resolve();
    return { png: encoded(frontend, page, shot.front, shot.size), ...shot.size };
  } finally {
    frontend.repaint();
  }
}

/**
 * @param {any} node
 * @returns {boolean} whether the pictures of a node are still loading
 */
function loadsPictures({ images, imgs, animatedImages, previewMediaType, flags }) {
  const still = !animatedImages && previewMediaType !== "video" && !flags?.collapsed;
  return still && images?.length > 0 && !(imgs?.length > 0);
}

/**
 * Calls `work` while the canvas shows a graph. Changing the graph drops the selection, which is restored, and anything
 * that is being dragged, which can't be.
 *
 * @template T
 * @param {any} canvas
 * @param {any} graph
 * @param {() => T} work
 * @returns {T}
 * @throws {CommandError} conflict
 */
function lookingInto(canvas, graph, work) {
  const before = canvas.graph;
  if (graph === before) return work();
  if (canvas.pointer.isDown) {
    throw new CommandError("conflict", "The person at the browser is dragging something; try again, or name nodes of the graph that is shown.");
  }
  const selected = [...canvas.selectedItems];
  canvas.setGraph(graph);
  try {
    return work();
  } finally {
    canvas.setGraph(before);
    for (const item of selected) canvas.select(item);
  }
}

/**
 * @param {any[]} nodes
 * @param {number} padding
 * @returns {Area}
 */
function around(nodes, padding) {
  const left = Math.min(...nodes.map(({ pos }) => pos[0])) - padding;
  const top = Math.min(...nodes.map(({ pos }) => pos[1])) - TITLE_HEIGHT - padding;
  const right = Math.max(...nodes.map(({ pos, size }) => pos[0] + size[0])) + padding;
  const bottom = Math.max(...nodes.map(({ pos, size, flags }) => pos[1] + (flags?.collapsed ? 0 : size[1]))) + padding;
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/**
 * @param {any} canvas
 * @returns {Area} what the person sees
 * @throws {CommandError} conflict
 */
function visible({ canvas: element, ds }) {
  const { clientWidth: width, clientHeight: height } = element;
  if (!width || !height) {
    const shows = "The tab does not show its canvas now (it may be in App mode)";
    throw new CommandError("conflict", `${shows}; name the nodes to show, or switch back to the graph.`);
  }
  return { x: -ds.offset[0], y: -ds.offset[1], width: width / ds.scale, height: height / ds.scale };
}

/**
 * @param {Frontend} frontend
 * @param {any} page
 * @param {any} canvas
 * @param {Area} area
 * @param {number} scale
 * @param {{width: number, height: number}} size
 * @param {Plain} plain
 * @returns {{front: any, shown: any[]}} the canvas that was drawn onto, and the nodes on it
 */
function drawn(frontend, page, canvas, area, scale, { width, height }, plain) {
  const library = frontend.litegraph();
  const ratio = page.devicePixelRatio || 1;
  const [front, back] = [layer(page, width, height, ratio), layer(page, width, height, ratio)];
  const { ds } = canvas;
  const kept = {
    canvas: canvas.canvas,
    ctx: canvas.ctx,
    bgcanvas: canvas.bgcanvas,
    bgctx: canvas.bgctx,
    viewport: canvas.viewport,
    show_info: canvas.show_info,
    element: ds.element,
    // 1.58 stores the size separately from the element.
    viewportSize: ds.viewportSize,
    scale: ds.scale,
    offset: [ds.offset[0], ds.offset[1]],
    vue: library.vueNodesMode,
  };
  try {
    library.vueNodesMode = false;
    Object.assign(canvas, { canvas: front.element, ctx: front.context, bgcanvas: back.element, bgctx: back.context });
    canvas.viewport = null;
    canvas.show_info = false;
    ds.element = front.element;
    ds.setViewportSize?.(width, height);
    ds.scale = scale;
    // Centred if the picture is wider or higher than the nodes.
    ds.offset[0] = (width / scale - area.width) / 2 - area.x;
    ds.offset[1] = (height / scale - area.height) / 2 - area.y;
    plain(canvas.graph.nodes, () => canvas.draw(true, true));
    front.context.save();
    ds.toCanvasContext(front.context);
    for (const node of canvas.visible_nodes) drawTexts(page, front.context, node);
    front.context.restore();
    return { front: front.element, shown: [...canvas.visible_nodes] };
  } finally {
    const { element, viewportSize, scale: oldScale, offset, vue, ...own } = kept;
    Object.assign(canvas, own);
    ds.element = element;
    if (ds.setViewportSize) ds.viewportSize = viewportSize;
    ds.scale = oldScale;
    ds.offset[0] = offset[0];
    ds.offset[1] = offset[1];
    library.vueNodesMode = vue;
  }
}

/**
 * @param {Frontend} frontend
 * @param {any} page
 * @param {any} front
 * @param {{width: number, height: number}} size
 * @returns {string} a canvas as PNG in base64
 * @throws {CommandError} tab_failed
 */
function encoded(frontend, page, front, { width, height }) {
  const picture = layer(page, width, height, 1);
  picture.context.fillStyle = frontend.litegraph().CLEAR_BACKGROUND_COLOR ?? "#222";
  picture.context.fillRect(0, 0, width, height);
  picture.context.drawImage(front, 0, 0, width, height);
  try {
    return picture.element.toDataURL("image/png").split(",")[1];
  } catch {
    throw new CommandError("tab_failed", "A node shows a picture from another site, which the browser does not allow to be copied; leave that node out.");
  }
}

/**
 * @param {any} page
 * @param {number} width
 * @param {number} height
 * @param {number} ratio
 * @returns {{element: any, context: any}}
 */
function layer(page, width, height, ratio) {
  const element = page.document.createElement("canvas");
  element.width = Math.ceil(width * ratio);
  element.height = Math.ceil(height * ratio);
  const context = element.getContext("2d");
  context.scale(ratio, ratio);
  return { element, context };
}

/**
 * Draws the texts of a node's text boxes.
 *
 * @param {any} page
 * @param {any} context
 * @param {any} node
 */
function drawTexts(page, context, node) {
  if (node.flags?.collapsed) return;
  for (const widget of node.widgets ?? []) {
    if (!(widget.element ?? widget.component) || typeof widget.value !== "string" || widget.hidden) continue;
    const [x, y] = [node.pos[0] + BOX_MARGIN, node.pos[1] + (widget.y ?? 0) + BOX_MARGIN];
    const width = (widget.width ?? node.size[0]) - 2 * BOX_MARGIN;
    const height = (widget.computedHeight ?? 50) - 2 * BOX_MARGIN;
    if (width <= 0 || height <= 0) continue;
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.fillStyle = styled(page, "--comfy-input-bg", "#222");
    context.fill();
    context.clip();
    context.fillStyle = styled(page, "--input-text", "#ddd");
    context.font = "10px monospace";
    context.textBaseline = "top";
    context.textAlign = "left";
    wrapped(context, widget.value, width - 8, height / LINE).forEach((line, row) => context.fillText(line, x + 4, y + 4 + row * LINE));
    context.restore();
  }
}

/**
 * @param {any} page
 * @param {string} name
 * @param {string} otherwise
 * @returns {string}
 */
function styled(page, name, otherwise) {
  return page.getComputedStyle(page.document.documentElement).getPropertyValue(name).trim() || otherwise;
}

/**
 * @param {any} context
 * @param {string} text
 * @param {number} width
 * @param {number} most
 * @returns {string[]} lines that fit the width
 */
function wrapped(context, text, width, most) {
  const lines = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(/(?<=\s)/)) {
      if (line !== "" && context.measureText(line + word).width > width) {
        lines.push(line);
        line = "";
      }
      line += word;
      if (lines.length > most) return lines;
    }
    lines.push(line);
  }
  return lines;
}
