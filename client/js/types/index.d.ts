export { Client, connect } from "./client.js";
export { UiapiError, Unreachable } from "./errors.js";
