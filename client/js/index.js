/**
 * Drives the workflow that is open in ComfyUI's browser tab, from a web page or from Node.js.
 *
 *     import { connect } from "comfyui-uiapi";
 *
 *     const comfy = await connect();
 *     await comfy.set("Sampler.cfg", 6);
 *     const { images } = await comfy.run();
 */

export { Client, connect } from "./client.js";
export { UiapiError, Unreachable } from "./errors.js";
