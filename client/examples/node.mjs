/**
 * Drives the open workflow from Node.js 22 or newer with its built-in fetch and WebSocket.
 *
 * Usage:
 *     node node.mjs Canvas.width 640 picture.png
 */

import { writeFile } from "node:fs/promises";

const url = (process.env.COMFYUI_URL ?? "http://127.0.0.1:8188").replace(/\/+$/, "");
const headers = { "Content-Type": "application/json" };
if (process.env.UIAPI_TOKEN) headers.Authorization = `Bearer ${process.env.UIAPI_TOKEN}`;

/** Sends a command over HTTP. An error has a code for programs and a sentence that says what to do. */
async function ask(command, data = {}) {
  const response = await fetch(`${url}/uiapi/${command}`, { method: "POST", headers, body: JSON.stringify(data) });
  const answer = await response.json();
  if (answer.status === "error") throw new Error(`${answer.code}: ${answer.error}`);
  return answer.response ?? answer;
}

/** Runs the workflow over the websocket, which sends progress events. */
function run(fields, onEvent) {
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/uiapi/ws`);
  const send = (frame) => socket.send(JSON.stringify(frame));
  return new Promise((resolve, reject) => {
    socket.onopen = () => send({ type: "hello", role: "client", protocol: 1, name: "Node", token: process.env.UIAPI_TOKEN });
    socket.onerror = () => reject(new Error(`no websocket at ${url}`));
    // No effect if a response has arrived.
    socket.onclose = () => reject(new Error("the connection ended before the run did"));
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === "welcome") send({ type: "request", id: "1", command: "run", data: { fields } });
      if (frame.type === "event") onEvent(frame.event, frame.data);
      if (frame.type === "error" || (frame.type === "response" && frame.status === "error")) reject(new Error(frame.error));
      if (frame.type === "response") resolve(frame.response);
    };
  }).finally(() => socket.close());
}

const [path, value, picture] = process.argv.slice(2);
if (picture === undefined) {
  console.error("Usage: node node.mjs PATH VALUE PICTURE, such as Canvas.width 640 picture.png");
  process.exit(1);
}
if (typeof WebSocket === "undefined") {
  console.error(`This program needs Node.js 22 or newer, which has WebSocket; this is ${process.version}.`);
  process.exit(1);
}
console.log(await ask("get_fields", { fields: [path] }));
const done = await run([[path, JSON.parse(value)]], (event) => console.log(event));
if (done.outputs.length === 0) throw new Error("the run made no file; add a SaveImage node");
const file = await fetch(url + done.outputs[0].url, { headers });
if (!file.ok) throw new Error(`${done.outputs[0].filename} cannot be fetched: HTTP ${file.status}`);
await writeFile(picture, Buffer.from(await file.arrayBuffer()));
console.log(picture);
