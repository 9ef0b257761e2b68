/** Files in and out: contents for fields that take one, and the output files of runs. */

import { UiapiError } from "./errors.js";

/** @typedef {import("./http.js").Http} Http */

/**
 * @typedef {object} OutputFile
 * @property {string} node_id the node that saved it
 * @property {string | null} [title]
 * @property {string | null} [node_type]
 * @property {string} kind "images", "gifs", "audio" and so on, as the node names it
 * @property {string} filename
 * @property {string} subfolder
 * @property {string} type "output", "temp" or "input"
 * @property {string} [url] the path at which ComfyUI serves it
 * @property {Blob} [blob] its content
 */

/** @type {Record<string, string>} */
const TYPES = {
  ...{ png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", webp: "image/webp", gif: "image/gif" },
  ...{ mp4: "video/mp4", webm: "video/webm", mp3: "audio/mpeg", flac: "audio/flac", wav: "audio/wav", ogg: "audio/ogg" },
  ...{ glb: "model/gltf-binary", txt: "text/plain", json: "application/json" },
};

// The first bytes of the pictures that ComfyUI opens; WebP is a kind of RIFF.
const PICTURES = ["\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "GIF87a", "GIF89a", "BM", "II*\0", "MM\0*"];

/** @param {string} filename */
function typeOf(filename) {
  return TYPES[filename.split(".").pop()?.toLowerCase() ?? ""] ?? "application/octet-stream";
}

/**
 * Returns a value as the server takes it: contents as base64, everything else as it is.
 *
 * @param {any} value a Blob, File, ArrayBuffer or Uint8Array for fields that take a file
 * @returns {Promise<any>}
 */
async function sendable(value) {
  const content = value instanceof Blob ? new Uint8Array(await value.arrayBuffer()) : bytes(value);
  if (!content) return value;
  const data = base64(content);
  if (isPicture(content)) return { type: "image_base64", data };
  // The server recognizes sounds and videos by their content, and other files by their name.
  return { type: "file_base64", data, ...(value.name && { filename: String(value.name) }) };
}

/** @param {Uint8Array} content of a file */
function isPicture(content) {
  const head = String.fromCharCode(...content.subarray(0, 12));
  return PICTURES.some((start) => head.startsWith(start)) || (head.startsWith("RIFF") && head.endsWith("WEBP"));
}

/**
 * Returns writes as the server takes them.
 *
 * @param {any[][]} writes [path, value] each
 * @returns {Promise<[string, any][]>}
 */
export function encoded(writes) {
  return Promise.all(writes.map(async ([path, value]) => /** @type {[string, any]} */ ([path, await sendable(value)])));
}

/**
 * Returns the values of each field as the server takes them.
 *
 * @param {Record<string, any[]>} grid
 * @returns {Promise<Record<string, any[]>>}
 */
export async function encodedGrid(grid) {
  const made = Object.entries(grid).map(async ([path, values]) => [path, await Promise.all(values.map(sendable))]);
  return Object.fromEntries(await Promise.all(made));
}

/**
 * Returns a workflow as the server takes it: a file with one in its metadata, such as a picture, as base64.
 *
 * @param {any} workflow an object in UI or API format, its JSON text, or the content of a file
 * @returns {Promise<Record<string, any>>}
 */
export async function workflowOf(workflow) {
  if (workflow instanceof Blob) workflow = new Uint8Array(await workflow.arrayBuffer());
  const content = bytes(workflow);
  if (content && content[0] !== 0x7b) return { type: "file_base64", data: base64(content) };
  const text = content ? new TextDecoder().decode(content) : workflow;
  if (typeof text !== "string") return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UiapiError("invalid", `The workflow is not valid JSON: ${/** @type {Error} */ (error).message}.`);
  }
}

/**
 * @param {any} value
 * @returns {Uint8Array | null}
 */
function bytes(value) {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : null;
}

/** @param {Uint8Array} content */
function base64(content) {
  let text = "";
  // In pieces, since a call takes a limited number of arguments.
  for (let at = 0; at < content.length; at += 0x8000) {
    text += String.fromCharCode(...content.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

/** @param {string} text */
function decoded(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/**
 * Give the files of an answer their contents as `blob`.
 *
 * @param {any[]} outputs
 * @param {Http | null} http fetches contents that are not in the answer; null leaves those files without
 * @param {AbortSignal} [signal]
 * @returns {Promise<OutputFile[]>}
 */
export async function filesOf(outputs, http, signal) {
  const files = outputs.filter((output) => output.filename !== undefined);
  return Promise.all(
    files.map(async ({ base64: content, ...file }) => {
      const type = typeOf(file.filename);
      if (typeof content === "string") return { ...file, blob: new Blob([decoded(content)], { type }) };
      return http && file.url ? { ...file, blob: await http.fetchFile(file.url, signal) } : file;
    }),
  );
}

/** @param {OutputFile} file */
export function isImage(file) {
  return typeOf(file.filename).startsWith("image/");
}
