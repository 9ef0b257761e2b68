/** `connect` and `Client`: fields, workflows, runs, sweeps and events of one ComfyUI. */

import { COMMANDS } from "./commands.js";
import { UiapiError } from "./errors.js";
import { encoded, filesOf, isImage, workflowOf } from "./files.js";
import { Http, newKey } from "./http.js";
import { Socket } from "./socket.js";
import { sweep } from "./sweep.js";

/** @typedef {import("./types/schema.js").components["schemas"]["Commands"]} Commands */
/** @typedef {{name: string, data: Record<string, any>}} ComfyEvent */
/** @typedef {(event: ComfyEvent) => void} Listener */
/** @typedef {Record<string, any> | [string, any][]} Fields */
/** @typedef {import("./files.js").OutputFile} OutputFile */

/**
 * @typedef {object} Options
 * @property {string} [token] the UIAPI_TOKEN of the server, if it has one
 * @property {string} [name] this program's name in the panel; a web page is named by its origin
 * @property {number} [webui] the connected tab to use; the main one if left out
 * @property {number} [reconnect] seconds to keep trying when a ComfyUI that answered before cannot be reached
 * @property {typeof WebSocket} [WebSocket] for Node.js before 22, which has none
 */

/**
 * @typedef {object} CallOptions
 * @property {AbortSignal} [signal] cancels the request
 * @property {Listener} [onEvent] called with a run's events, such as progress and previews
 */

/**
 * @typedef {object} Run
 * @property {string} prompt_id
 * @property {number | null} [execution_time] seconds
 * @property {OutputFile[]} files with their contents as `blob`
 * @property {OutputFile[]} images the pictures among them
 * @property {any[]} texts the outputs that are no files
 */

/**
 * Connect to a ComfyUI with this extension.
 *
 * @param {string} [url] its URL; COMFYUI_URL in Node.js, or else http://127.0.0.1:8188
 * @param {Options} [options]
 * @returns {Promise<Client>}
 * @throws {UiapiError} `unreachable`, `no_extension`, `wrong_token`, or for a web page `web_app_refused`
 */
export async function connect(url, options = {}) {
  const environment = /** @type {any} */ (globalThis).process?.env ?? {};
  const address = (url ?? environment.COMFYUI_URL ?? "http://127.0.0.1:8188").replace(/\/+$/, "");
  if (!/^https?:\/\//.test(address)) {
    throw new UiapiError("invalid", `${address} is not a URL; pass one such as http://127.0.0.1:8188.`);
  }
  const client = new Client(address, { token: environment.UIAPI_TOKEN, ...options });
  await client.ready;
  return client;
}

export class Client {
  #http;
  #socket;

  /**
   * Use `connect`, which also waits for the server.
   *
   * @param {string} url
   * @param {Options} options
   */
  constructor(url, { token, name = "JavaScript", webui, reconnect = 30, WebSocket } = {}) {
    this.url = url;
    this.webui = webui;
    /** The graph's revision in the last answer, for if_revision. @type {string | null} */
    this.revision = null;
    this.#http = new Http({ url, token, name, reconnect });
    this.#socket = new Socket({ url, token, name, WebSocket });
    /** Resolves when the server has answered. */
    this.ready = this.#http.greet();
    this.ready.catch(() => {});
  }

  /**
   * Read the value of a field such as "Title.widget"; for several paths an object of them.
   *
   * @param {string | string[]} path
   * @returns {Promise<any>}
   */
  async get(path) {
    const values = await this.call("get_fields", { fields: [path].flat() });
    return typeof path === "string" ? values[path] : values;
  }

  /**
   * Write a field, `set(path, value)`, or several, `set({path: value})`; if one cannot be written, none is.
   *
   * @param {string | Fields} path
   * @param {any} [value] a Blob, ArrayBuffer or Uint8Array for a field that takes a file
   * @returns {Promise<any>} {requested, value, warnings}; for several fields an object of these by path
   */
  async set(path, value) {
    const fields = typeof path === "string" ? [[path, value]] : pairs(path);
    const written = await this.call("set_fields", { fields: await encoded(fields) });
    return typeof path === "string" ? written[path] : written;
  }

  /**
   * Open a workflow in the tab: an object in UI or API format, its JSON text, or a file that has one in its metadata.
   *
   * @param {Record<string, any> | string | Blob | ArrayBuffer | Uint8Array} workflow
   * @param {string} [name]
   */
  async load(workflow, name) {
    return this.call("load_workflow", { workflow: await workflowOf(workflow), ...(name && { name }) });
  }

  /**
   * Returns the open workflow in UI format, or in API format.
   *
   * @param {{api?: boolean}} [options]
   * @returns {Promise<Record<string, any>>}
   */
  async workflow({ api = false } = {}) {
    const { workflow } = await this.call("get_workflow");
    return api ? workflow.output : workflow.workflow;
  }

  /** Returns the nodes of the open workflow with their widgets. */
  async nodes() {
    return (await this.call("query_fields")).nodes;
  }

  /**
   * Set fields if given, run the open workflow, and return the results with the contents of their files.
   *
   * @param {object} [options]
   * @param {Fields} [options.fields] written first
   * @param {Record<string, any> | string | Blob} [options.workflow] opened first
   * @param {number} [options.batch_count] how many times to run
   * @param {number} [options.timeout] seconds to wait for the results
   * @param {boolean} [options.fetch] false leaves the contents of files out
   * @param {AbortSignal} [options.signal] no longer waits; `call("interrupt")` stops the run itself
   * @param {Listener} [options.onEvent] called with progress, previews and outputs
   * @returns {Promise<Run>}
   */
  async run({ fields, workflow, fetch = true, signal, onEvent, ...rest } = {}) {
    const data = {
      ...rest,
      ...(fields && { fields: await encoded(pairs(fields)) }),
      ...(workflow && { workflow: await workflowOf(workflow) }),
      // A page from elsewhere may use the commands, but not fetch from ComfyUI.
      outputs: /** @type {"base64" | "urls"} */ (fetch && isElsewhere(this.url) ? "base64" : "urls"),
    };
    const { outputs = [], ...done } = await this.call("run", data, { signal, onEvent });
    const files = await filesOf(outputs, fetch ? this.#http : null, signal);
    const texts = outputs.filter((/** @type {any} */ output) => output.filename === undefined);
    return { ...done, files, images: files.filter(isImage), texts };
  }

  /**
   * Run the open workflow with each combination of values; the results come as they end.
   *
   *     for await (const item of comfy.sweep({ "Sampler.cfg": [4, 6, 8] })) console.log(item.fields, item.files);
   *
   * Leaving the loop early cancels the rest.
   *
   * @param {Record<string, any[]> | [string, any][][]} variations {path: [values]}, or a list of writes for each
   * @param {{seeds?: number, on_error?: "continue" | "stop", signal?: AbortSignal}} [options]
   */
  sweep(variations, options = {}) {
    return sweep(this, this.#http, variations, { ...options, inline: isElsewhere(this.url) });
  }

  /**
   * Call the listener for events with these names or prefixes ("webui_*"); resolves with a function that ends this.
   *
   * @param {string | string[]} events
   * @param {Listener} listener
   * @param {{paths?: string[]}} [options] only events about these fields or nodes
   * @returns {Promise<() => void>}
   */
  on(events, listener, { paths = [] } = {}) {
    const failed = (/** @type {UiapiError} */ error) => console.error(`uiapi: events ended: ${error.message}`);
    return this.#socket.subscribe([events].flat(), paths, listener, failed);
  }

  /**
   * Iterate over events: `for await (const event of comfy.events("output")) …`.
   *
   * @param {string | string[]} names
   * @param {{paths?: string[], signal?: AbortSignal}} [options]
   * @returns {AsyncGenerator<ComfyEvent, void, void>}
   */
  async *events(names, { paths = [], signal } = {}) {
    /** @type {ComfyEvent[]} */
    const found = [];
    /** @type {Error | null} */
    let error = null;
    let wake = () => {};
    const listener = (/** @type {ComfyEvent} */ event) => (found.push(event), wake());
    const fail = (/** @type {Error} */ reason) => ((error = reason), wake());
    const end = await this.#socket.subscribe([names].flat(), paths, listener, fail);
    const abort = () => wake();
    signal?.addEventListener("abort", abort);
    try {
      while (!signal?.aborted) {
        const event = found.shift();
        if (event) yield event;
        else if (error) throw error;
        else await new Promise((resolve) => (wake = () => resolve(undefined)));
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      end();
    }
  }

  /**
   * Send any command and return its response.
   *
   * If the connection is lost meanwhile, it is sent again when the server is back; a key keeps the server from carrying
   * it out twice.
   *
   * @template {keyof Commands} Name
   * @param {Name} command
   * @param {Commands[Name]["request"]} [data]
   * @param {CallOptions} [options]
   * @returns {Promise<Commands[Name]["response"]>}
   */
  async call(command, data, { signal, onEvent } = {}) {
    /** A newer server may have more commands. @type {import("./commands.js").Known} */
    const known = COMMANDS[command] ?? { path: `/uiapi/${encodeURIComponent(command)}` };
    /** @type {Record<string, any>} */
    const sent = { ...(this.webui !== undefined && known.tab && { webui: this.webui }), ...data };
    if (!known.read) sent.idempotency_key ??= newKey();
    const envelope = onEvent ? await this.#watched(command, sent, onEvent, signal) : await this.#sent(known, sent, signal);
    this.revision = envelope.revision ?? this.revision;
    return known.flat || !("response" in envelope) ? envelope : envelope.response;
  }

  /**
   * @param {import("./commands.js").Known} known
   * @param {Record<string, any>} data
   * @param {AbortSignal} [signal]
   */
  #sent(known, data, signal) {
    const rest = { ...data };
    const path = known.path.replace(/{(\w+)}/g, (_, /** @type {string} */ name) => {
      const value = encodeURIComponent(String(rest[name]));
      delete rest[name];
      return value;
    });
    if (!known.get) return this.#http.send(path, rest, { signal });
    const query = String(new URLSearchParams(rest));
    return this.#http.send(query ? `${path}?${query}` : path, undefined, { signal });
  }

  /**
   * Send a command over the websocket; if that is lost, its answer is asked for over HTTP with the same key.
   *
   * @param {string} command
   * @param {Record<string, any>} data
   * @param {Listener} listener
   * @param {AbortSignal} [signal]
   */
  async #watched(command, data, listener, signal) {
    try {
      return await this.#socket.request(command, data, listener, signal);
    } catch (error) {
      if (!(error instanceof UiapiError) || error.code !== "connection_lost") throw error;
      return this.#http.send(`/uiapi/${command}`, data, { signal, resumed: true });
    }
  }

  /** Close the connection for events, and end their listeners. */
  close() {
    this.#socket.close();
  }
}

/**
 * @param {Fields} fields
 * @returns {any[][]}
 */
function pairs(fields) {
  return Array.isArray(fields) ? fields : Object.entries(fields);
}

/** @param {string} url */
function isElsewhere(url) {
  return typeof window !== "undefined" && new URL(url).origin !== window.location.origin;
}
