/** Requests over HTTP, repeated once the server is back if the connection is lost. */

import { UiapiError, Unreachable, refusal } from "./errors.js";

/** @typedef {Record<string, any>} Envelope */

/**
 * @typedef {object} Sending
 * @property {AbortSignal | undefined} [signal] cancels the request
 * @property {boolean} [resumed] whether it was sent before, over a connection that is lost
 */

// Milliseconds before the first attempt to reconnect, and at most between two.
const FIRST_DELAY = 200;
const LAST_DELAY = 3000;
// Seconds by which two readings of the server's clock may differ.
const CLOCK = 2;

export class Http {
  /** When the server started, in seconds of its clock; unknown before it has answered. @type {number | null} */
  #started = null;

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {string | undefined} options.token
   * @param {string} options.name this program's name; browsers send their own
   * @param {number} options.reconnect seconds to keep trying when a ComfyUI that answered before cannot be reached
   */
  constructor({ url, token, name, reconnect }) {
    this.url = url;
    this.reconnect = reconnect;
    /** @type {Record<string, string>} */
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
    // A page cannot choose it, and sending it would need the server's permission.
    if (typeof window === "undefined") this.headers["User-Agent"] = name;
  }

  /** Ask the server when it was started, by which a restart is noticed. */
  async greet() {
    const status = await this.#once("GET", "/uiapi/connection_status", undefined, {});
    this.#started = startOf(status);
    return status;
  }

  /**
   * Send a request and return the envelope of its answer.
   *
   * @param {string} path
   * @param {Record<string, any> | undefined} body sent as JSON; undefined for GET
   * @param {Sending} [sending]
   * @returns {Promise<Envelope>}
   */
  async send(path, body, { signal, resumed = false } = {}) {
    const method = body === undefined ? "GET" : "POST";
    const until = Date.now() + this.reconnect * 1000;
    for (let delay = FIRST_DELAY; ; delay = Math.min(delay * 2, LAST_DELAY)) {
      try {
        if (resumed) await this.#checkRestart(path);
        return await this.#once(method, path, body, { signal });
      } catch (error) {
        const lost = error instanceof Unreachable && error.code === "unreachable";
        if (!lost || this.#started === null || Date.now() + delay > until) throw error;
      }
      resumed = true;
      await pause(delay, signal);
    }
  }

  /**
   * Returns the content of an output file.
   *
   * @param {string} url its path on the server
   * @param {AbortSignal} [signal]
   */
  async fetchFile(url, signal) {
    if (!/^\/(?!\/)/.test(url)) throw new UiapiError("invalid", `${url} is not a path of this ComfyUI.`);
    const response = await this.#fetch(url, { headers: this.headers, signal });
    if (!response.ok) throw new UiapiError("fetch_failed", `ComfyUI returned HTTP ${response.status} for ${url}.`);
    return response.blob();
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Record<string, any> | undefined} body
   * @param {{signal?: AbortSignal | undefined}} options
   */
  async #once(method, path, body, { signal }) {
    const headers = body === undefined ? this.headers : { ...this.headers, "Content-Type": "application/json" };
    const response = await this.#fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
    let envelope;
    try {
      envelope = await response.json();
    } catch (error) {
      if (signal?.aborted) throw error;
      envelope = null;
    }
    if (typeof envelope?.status !== "string") {
      const sentence = `The server at ${this.url} is not a ComfyUI with the uiapi extension (HTTP ${response.status}); `;
      throw new Unreachable("no_extension", `${sentence}check the URL, install the extension and restart ComfyUI.`);
    }
    if (envelope.status === "error") throw refusal(envelope, response.status);
    return envelope;
  }

  /**
   * @param {string} path
   * @param {{method?: string, headers: Record<string, string>, body?: string | undefined,
   *   signal?: AbortSignal | undefined}} options
   */
  async #fetch(path, { signal, ...options }) {
    try {
      return await fetch(this.url + path, { ...options, ...(signal && { signal }), redirect: "error" });
    } catch (error) {
      if (signal?.aborted) throw error;
      const sentence = `No ComfyUI answers at ${this.url}; start it, or pass its URL. (${reason(error)})`;
      throw new Unreachable("unreachable", sentence);
    }
  }

  /**
   * Throw `connection_lost` if the server has restarted: it no longer knows which requests it has carried out.
   *
   * @param {string} path
   */
  async #checkRestart(path) {
    const before = this.#started;
    await this.greet();
    if (before === null || this.#started === null || Math.abs(this.#started - before) <= CLOCK) return;
    const sentence = `ComfyUI was restarted while ${path.replace("/uiapi/", "")} was in progress; `;
    throw new Unreachable("connection_lost", `${sentence}it may or may not have been carried out.`);
  }
}

/** @param {Envelope} status */
function startOf(status) {
  const { server_time: time, server_uptime: uptime } = status;
  return typeof time === "number" && typeof uptime === "number" ? time - uptime : null;
}

/** @param {unknown} error */
function reason(error) {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve(undefined);
    }, milliseconds);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Returns a key that nothing else has; crypto.randomUUID exists only for pages over HTTPS or on loopback. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
