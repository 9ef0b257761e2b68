/** The example page: writes the slider's value to a field, runs, and shows the picture; the latest value wins. */

import { connect } from "../index.js";

const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (document.getElementById(id));
const news = /** @type {HTMLElement} */ (document.getElementById("news"));
const picture = /** @type {HTMLImageElement} */ (document.getElementById("picture"));

/** @type {Promise<import("../client.js").Client> | null} */
let connecting = null;
let running = false;
let moved = false;

input("url").addEventListener("change", () => (connecting = null));
input("value").addEventListener("input", () => {
  moved = true;
  if (!running) void follow();
});

/** Run until the picture is that of the slider's value. */
async function follow() {
  running = true;
  while (moved) {
    moved = false;
    const value = Number(input("value").value);
    try {
      say("Waiting for ComfyUI…");
      connecting ??= connect(input("url").value);
      const comfy = await connecting;
      const onEvent = (/** @type {import("../client.js").ComfyEvent} */ event) => say(described(event));
      const { images } = await comfy.run({ fields: { [input("field").value]: value }, onEvent });
      if (images[0]?.blob) show(images[0].blob);
      say(images.length ? `${input("field").value} = ${value}` : "The run made no picture; add a SaveImage node.");
    } catch (error) {
      connecting = null;
      say(/** @type {Error} */ (error).message, true);
    }
  }
  running = false;
}

/** @param {import("../client.js").ComfyEvent} event */
function described({ name, data }) {
  if (name === "waiting_for_person") return "The person at ComfyUI's page is asked.";
  if (name === "progress") return `Step ${data.value} of ${data.max}`;
  return name === "executing" && data.title ? `${data.title}…` : (news.textContent ?? "");
}

/** @param {Blob} blob */
function show(blob) {
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(blob);
  picture.hidden = false;
}

/**
 * @param {string} text
 * @param {boolean} [failed]
 */
function say(text, failed = false) {
  news.textContent = text;
  news.classList.toggle("failed", failed);
}
