/** The websocket /uiapi/ws for events: it reconnects and renews its subscriptions. docs/programs/websocket.md */

import { UiapiError, Unreachable, refusal } from "./errors.js";
import { pause } from "./http.js";

/** @typedef {import("./client.js").ComfyEvent} ComfyEvent */
/** @typedef {(event: ComfyEvent) => void} Listener */

/**
 * @typedef {object} Subscription
 * @property {string[]} events
 * @property {string[]} paths
 * @property {Listener} listener
 * @property {(error: UiapiError) => void} failed
 * @property {string} id the request that began it on this connection
 */

/**
 * @typedef {object} Waiting
 * @property {(envelope: Record<string, any>) => void} resolve
 * @property {(error: Error) => void} reject
 */

const PROTOCOL = 1;
// Milliseconds for the welcome, before the first attempt to reconnect, and at most between two.
const WELCOME_WITHIN = 10_000;
const FIRST_DELAY = 200;
const LAST_DELAY = 3000;

export class Socket {
  #ids = 0;
  #closed = false;
  /** @type {WebSocket | null} */
  #ws = null;
  /** @type {Promise<WebSocket> | null} */
  #opening = null;
  /** @type {Map<string, Waiting>} */
  #waiting = new Map();
  /** @type {Map<string, Listener>} */
  #listeners = new Map();
  /** @type {Set<Subscription>} */
  #subscriptions = new Set();
  #aborting = new AbortController();

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {string | undefined} options.token
   * @param {string} options.name
   * @param {typeof WebSocket | undefined} options.WebSocket
   */
  constructor({ url, token, name, WebSocket: Constructor = globalThis.WebSocket }) {
    this.url = `${url.replace(/^http/, "ws")}/uiapi/ws`;
    this.hello = { type: "hello", role: "client", protocol: PROTOCOL, name, ...(token && { token }) };
    this.Constructor = Constructor;
  }

  /**
   * Send a command and pass its events to the listener; resolves with the envelope of its answer.
   *
   * @param {string} command
   * @param {Record<string, any>} data
   * @param {Listener} listener
   * @param {AbortSignal} [signal]
   * @returns {Promise<Record<string, any>>}
   */
  async request(command, data, listener, signal) {
    const ws = await this.#opened();
    signal?.throwIfAborted();
    const id = this.#nextId();
    this.#listeners.set(id, listener);
    const abort = () => {
      ws.send(JSON.stringify({ type: "cancel", id }));
      this.#waiting.get(id)?.reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await this.#ask(ws, id, command, data);
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#waiting.delete(id);
      this.#listeners.delete(id);
    }
  }

  /**
   * Call the listener for events with these names; resolves with a function that ends this.
   *
   * @param {string[]} events
   * @param {string[]} paths
   * @param {Listener} listener
   * @param {(error: UiapiError) => void} failed called if the server refuses to renew it
   * @returns {Promise<() => void>}
   */
  async subscribe(events, paths, listener, failed) {
    const ws = await this.#opened();
    const subscription = { events, paths, listener, failed, id: "" };
    await this.#begin(ws, subscription);
    this.#subscriptions.add(subscription);
    return () => {
      if (!this.#subscriptions.delete(subscription)) return;
      this.#listeners.delete(subscription.id);
      if (this.#ws?.readyState === this.Constructor.OPEN) {
        const data = { subscription: subscription.id };
        this.#ws.send(JSON.stringify({ type: "request", id: this.#nextId(), command: "unsubscribe", data }));
      }
    };
  }

  close() {
    this.#closed = true;
    this.#aborting.abort(closed());
    this.#subscriptions.clear();
    this.#ws?.close();
  }

  #nextId() {
    return String(++this.#ids);
  }

  #opened() {
    if (!this.Constructor) {
      const sentence = "Events need WebSocket: use Node.js 22 or newer, or pass one as the option WebSocket.";
      throw new UiapiError("unsupported", sentence);
    }
    if (this.#closed) throw closed();
    if (this.#ws?.readyState === this.Constructor.OPEN) return this.#ws;
    this.#opening ??= this.#open().finally(() => (this.#opening = null));
    return this.#opening;
  }

  /** @returns {Promise<WebSocket>} */
  async #open() {
    const ws = new this.Constructor(this.url);
    await new Promise((resolve, reject) => {
      const lost = new Unreachable("unreachable", `No ComfyUI answers at ${this.url}; start it, or pass its URL.`);
      const timer = setTimeout(() => (ws.close(), reject(lost)), WELCOME_WITHIN);
      ws.onopen = () => ws.send(JSON.stringify(this.hello));
      ws.onclose = () => (clearTimeout(timer), reject(lost));
      ws.onmessage = ({ data }) => {
        clearTimeout(timer);
        const frame = decoded(data);
        if (frame.type === "welcome") resolve(ws);
        else reject(frame.type === "error" ? refusal(frame) : lost);
      };
    });
    if (this.#closed) {
      ws.onclose = null;
      ws.close();
      throw closed();
    }
    this.#ws = ws;
    ws.onmessage = ({ data }) => this.#take(decoded(data));
    ws.onclose = () => this.#lost();
    return ws;
  }

  #lost() {
    this.#ws = null;
    const error = new Unreachable("connection_lost", "The connection was lost; the request may have been carried out.");
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#listeners.clear();
    if (!this.#closed && this.#subscriptions.size) void this.#renew();
  }

  /** Reconnect for the sake of the subscriptions. */
  async #renew() {
    for (let delay = FIRST_DELAY; !this.#closed && this.#subscriptions.size; delay = Math.min(delay * 2, LAST_DELAY)) {
      try {
        // Random, so that not all programs reconnect at the same moment.
        await pause(delay * (0.5 + Math.random() / 2), this.#aborting.signal);
        const ws = await this.#opened();
        for (const subscription of [...this.#subscriptions]) await this.#begin(ws, subscription);
        return;
      } catch (error) {
        if (error instanceof Unreachable || !(error instanceof UiapiError)) continue;
        for (const { failed } of this.#subscriptions) failed(error);
        this.#subscriptions.clear();
      }
    }
  }

  /**
   * @param {WebSocket} ws
   * @param {Subscription} subscription
   */
  async #begin(ws, subscription) {
    subscription.id = this.#nextId();
    this.#listeners.set(subscription.id, subscription.listener);
    try {
      const { events, paths } = subscription;
      await this.#ask(ws, subscription.id, "subscribe", { events, paths });
    } catch (error) {
      this.#listeners.delete(subscription.id);
      throw error;
    }
  }

  /**
   * @param {WebSocket} ws
   * @param {string} id
   * @param {string} command
   * @param {Record<string, any>} data
   * @returns {Promise<Record<string, any>>}
   */
  #ask(ws, id, command, data) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      ws.send(JSON.stringify({ type: "request", id, command, data }));
    });
  }

  /** @param {Record<string, any>} frame */
  #take(frame) {
    if (frame.type === "event") {
      this.#listeners.get(String(frame.request))?.({ name: frame.event, data: frame.data ?? {} });
      return;
    }
    const waiting = this.#waiting.get(String(frame.id));
    if (frame.type !== "response" || !waiting) return;
    this.#waiting.delete(String(frame.id));
    if (frame.status === "error") waiting.reject(refusal(frame));
    else waiting.resolve(frame);
  }
}

function closed() {
  return new Unreachable("connection_lost", "The client was closed.");
}

/**
 * @param {any} text
 * @returns {Record<string, any>} the frame, empty if it is invalid
 */
function decoded(text) {
  try {
    const frame = JSON.parse(text);
    return frame !== null && typeof frame === "object" ? frame : {};
  } catch {
    return {};
  }
}
