/**
 * The websocket to the server: hello and welcome, requests and responses, and reconnecting.
 *
 * Client id and session are kept here, in memory only: a duplicated browser tab copies
 * what is stored in the page, and two tabs must not share one id.
 *
 * @typedef {import("../common/types.js").Call} Call
 *
 * @typedef {object} Options
 * @property {() => string} url
 * @property {() => Record<string, any>} info the facts about this tab that the hello contains
 * @property {() => string | undefined} sid the id of ComfyUI's own socket
 * @property {WebSocket} [opened] a socket that was opened earlier and not yet used
 * @property {string[]} capabilities
 * @property {string} [unserved] a sentence that says why this page can't handle commands
 * @property {(command: string, data: any, call: Call) => any} handle carries out a command; returns its result or a promise of it
 * @property {() => {revision?: string, workflow_tab?: string}} graphState the state of the graph, which is added to every response
 * @property {(event: string, data: any) => void} onEvent called with events of the server
 * @property {() => void} greeted called after every welcome
 * @property {() => void} [closed] called after every disconnect
 * @property {(wrong: boolean) => Promise<string | null>} askToken
 * @property {() => string | null} token
 * @property {import("./page_key.js").PageKey} pageKey
 * @property {any} [page] the window, with WebSocket, setTimeout and clearTimeout
 * @property {() => number} [random]
 */

import { CommandError } from "../common/errors.js";
import { failed, fits, parse } from "./frames.js";
import { backOff } from "../common/waiting.js";

export const PROTOCOL = 1;
const WELCOME_WITHIN = 10_000;
// Characters of small frames that are sent as one; a larger frame is sent alone.
const GATHERED_LENGTH = 256 * 1024;
const REPLACED = 4001;
const OPEN = 1;

/**
 * @param {Options} options
 */
export function createTransport(options) {
  const { url, info, sid, capabilities, unserved, handle, graphState, onEvent, greeted, askToken, token, pageKey } = options;
  const { closed = () => {}, page = globalThis, random = Math.random } = options;
  /** @type {WebSocket | null} */
  let socket = null;
  let { opened } = options;
  /** @type {any} */
  let timer = null;
  let failures = 0;
  let stopped = true;
  let welcomed = false;
  // Whether a token or page key is being requested, so that connecting has to wait.
  let asking = false;
  let renewed = false;
  let sentInfo = "";
  /** @type {string[] | null} responses to be sent as one frame, while several requests that came as one are handled */
  let gathered = null;
  let gatheredLength = 0;
  let asked = 0;
  /** @type {Map<string, {resolve: (response: any) => void, reject: (error: Error) => void}>} */
  const awaited = new Map();
  /** @type {{client_id: number | null, session: string | null}} */
  let identity = { client_id: null, session: null };
  /** @type {Map<string, AbortController>} */
  const running = new Map();

  function connect() {
    page.clearTimeout(timer);
    if (stopped || asking || socket) return;
    const first = opened;
    opened = undefined;
    const own = (socket = first && first.readyState <= OPEN ? first : new page.WebSocket(url()));
    /** @type {string | null} */
    let refusal = null;
    welcomed = false;
    timer = page.setTimeout(() => own.close(), WELCOME_WITHIN);
    const greet = () => own.send(JSON.stringify(hello()));
    if (own.readyState === OPEN) greet();
    else own.onopen = greet;
    own.onmessage = (/** @type {MessageEvent} */ event) => {
      const frame = parse(event.data);
      if (frame?.type === "error" && !welcomed) refusal = frame.code ?? null;
      else if (Array.isArray(frame)) receiveSeveral(own, frame);
      else if (frame) receive(own, frame);
    };
    own.onclose = (/** @type {CloseEvent} */ event) => lost(own, event.code, refusal);
  }

  function hello() {
    const about = info();
    sentInfo = JSON.stringify(about);
    return {
      type: "hello",
      role: "webui",
      protocol: PROTOCOL,
      ...identity,
      sid: sid(),
      capabilities,
      unserved,
      info: about,
      token: token() ?? undefined,
      page_key: pageKey.current(),
    };
  }

  /**
   * @param {WebSocket} own
   * @param {any} frame
   */
  function receive(own, frame) {
    if (frame.type === "request") answer(own, frame);
    else if (frame.type === "cancel") cancel(frame.id);
    else if (frame.type === "response") settle(frame);
    else if (frame.type === "event") onEvent(frame.event, frame.data);
    else if (frame.type === "welcome") {
      page.clearTimeout(timer);
      identity = { client_id: frame.client_id, session: frame.session };
      failures = 0;
      welcomed = true;
      renewed = false;
      sendInfo(false);
      greeted();
    }
  }

  /**
   * Handles frames that arrived as one; the immediate responses are sent as one as well.
   *
   * @param {WebSocket} own
   * @param {any[]} frames
   */
  function receiveSeveral(own, frames) {
    gathered = [];
    try {
      for (const frame of frames) if (frame !== null) receiveOne(own, frame);
    } finally {
      sendGathered(own);
      gathered = null;
    }
  }

  /**
   * Handles one of several frames; its failure must not affect the others.
   *
   * @param {WebSocket} own
   * @param {any} frame
   */
  function receiveOne(own, frame) {
    try {
      receive(own, frame);
    } catch (error) {
      if (frame.type === "request") reply(own, failed(frame.id, error));
      else console.error(error);
    }
  }

  /** @param {WebSocket} own */
  function sendGathered(own) {
    if (gathered?.length) own.send(`[${gathered.join(",")}]`);
    gathered = [];
    gatheredLength = 0;
  }

  /**
   * @param {WebSocket} own
   * @param {string} text a frame
   */
  function send(own, text) {
    if (gathered && gatheredLength + text.length > GATHERED_LENGTH) sendGathered(own);
    if (gathered && text.length <= GATHERED_LENGTH) {
      gathered.push(text);
      gatheredLength += text.length;
    } else own.send(text);
  }

  /**
   * Handles a request, in the same task if possible: reading a field takes a fraction of a millisecond.
   *
   * @param {WebSocket} own
   * @param {{id: string, command: string, data: any, if_revision?: string, workflow_tab?: string, by?: string}} request
   */
  function answer(own, { id, command, data, if_revision, workflow_tab, by }) {
    /** @type {AbortController | undefined} */
    let made;
    // Made on demand, since it costs about a tenth of a read, and only commands that take longer can be cancelled.
    const controller = () => (made ??= new AbortController());
    let sent = () => {};
    /** @type {Promise<void>} */
    const answered = new Promise((resume) => (sent = resume));
    const submitting = (/** @type {Record<string, any>} */ part) => {
      if (own.readyState !== OPEN) return;
      send(own, JSON.stringify({ type: "event", event: "submitting", data: { request: id, part, ...graphState() } }));
    };
    const call = {
      id,
      get signal() {
        return controller().signal;
      },
      answered,
      submitting,
      if_revision,
      workflow_tab,
      by,
    };
    let result;
    try {
      result = handle(command, data, call);
    } catch (error) {
      reply(own, failed(id, error));
      return;
    }
    if (typeof result?.then !== "function") {
      reply(own, { type: "response", id, status: "ok", response: result });
      return;
    }
    const abort = controller();
    running.set(id, abort);
    result
      .then(
        (/** @type {any} */ response) => finish(own, id, abort, { type: "response", id, status: "ok", response }),
        (/** @type {any} */ error) => finish(own, id, abort, failed(id, error)),
      )
      .then(sent);
  }

  /**
   * @param {WebSocket} own
   * @param {string} id
   * @param {AbortController} abort
   * @param {Record<string, any>} frame
   */
  function finish(own, id, abort, frame) {
    if (running.get(id) === abort) running.delete(id);
    // A command that completed in spite of a cancel is reported: the server keeps the response for a later retry.
    if (!abort.signal.aborted || frame.status === "ok") reply(own, frame);
  }

  /**
   * @param {WebSocket} own
   * @param {Record<string, any>} frame
   */
  function reply(own, frame) {
    // A response belongs to the socket of its request; the requests of a lost socket have failed already.
    if (own.readyState !== OPEN) return;
    let text;
    try {
      text = JSON.stringify({ ...frame, ...graphState() });
    } catch (error) {
      text = JSON.stringify(failed(frame.id, error));
    }
    if (!fits(text)) {
      const large = new CommandError("tab_failed", "The response is larger than 64 MiB; request less at a time.");
      text = JSON.stringify(failed(frame.id, large));
    }
    send(own, text);
  }

  /** @param {any} frame the response to a request of this page */
  function settle({ id, status, error, code, details, ...rest }) {
    const waiting = awaited.get(id);
    awaited.delete(id);
    if (status === "error") waiting?.reject(new CommandError(code, String(error), details));
    else waiting?.resolve(rest.response ?? rest);
  }

  /** @param {string} id */
  function cancel(id) {
    running.get(id)?.abort();
    running.delete(id);
  }

  /**
   * @param {WebSocket} own
   * @param {number} code
   * @param {string | null} refusal
   */
  function lost(own, code, refusal) {
    if (own !== socket) return;
    page.clearTimeout(timer);
    socket = null;
    for (const id of [...running.keys()]) cancel(id);
    for (const id of [...awaited.keys()]) settle({ id, status: "error", code: "tab_failed", error: "The connection to the server was lost." });
    closed();
    if (stopped) return;
    if (code === REPLACED) stopped = true;
    else if (refusal === "token_required" || refusal === "wrong_token") present(refusal);
    else if (refusal === "wrong_page" && !renewed) renew();
    else {
      renewed = false;
      timer = page.setTimeout(connect, backOff(failures++, random()));
    }
  }

  /** Fetches the new key of a server that was restarted. If that is refused as well, the usual retries go on. */
  function renew() {
    asking = renewed = true;
    pageKey.renew().then(() => {
      asking = false;
      connect();
    });
  }

  /** @param {string} refusal */
  function present(refusal) {
    asking = true;
    askToken(refusal === "wrong_token")
      .catch(() => null)
      .then((given) => {
        asking = false;
        if (given === null) stopped = true;
        else connect();
      });
  }

  /** @param {boolean} anyway */
  function sendInfo(anyway) {
    if (socket?.readyState !== OPEN || !welcomed) return;
    const about = info();
    const text = JSON.stringify(about);
    if (text === sentInfo && !anyway) return;
    sentInfo = text;
    socket.send(JSON.stringify({ type: "event", event: "info", data: about }));
  }

  return {
    start() {
      stopped = false;
      connect();
    },

    /**
     * Reconnects at once instead of waiting for the next try. If the socket looks open, a frame is sent, which reveals
     * a connection that died while the computer slept.
     */
    hurry() {
      if (socket) sendInfo(true);
      else connect();
    },

    /** Closes the connection until `start` is called. */
    stop() {
      stopped = true;
      page.clearTimeout(timer);
      socket?.close(1000);
    },

    /**
     * Sends an event. It is dropped while disconnected, or if it is too large: the server would close the socket, and
     * the same event would be sent again after the next welcome.
     *
     * @param {string} event
     * @param {any} data
     */
    sendEvent(event, data) {
      if (socket?.readyState !== OPEN || !welcomed) return;
      const text = JSON.stringify({ type: "event", event, data });
      if (fits(text)) send(socket, text);
      else console.warn(`ComfyUI-uiapi: the event ${event} was not sent, since it is larger than 64 MiB`);
    },

    /**
     * Sends a command to the server on behalf of the person.
     *
     * @param {string} command
     * @param {any} [data]
     * @returns {Promise<any>} its response
     * @throws {CommandError} with the server's code and message; tab_failed while disconnected
     */
    request(command, data = {}) {
      return new Promise((resolve, reject) => {
        if (socket?.readyState !== OPEN || !welcomed) {
          reject(new CommandError("tab_failed", "The page is not connected to the server; try again once it has reconnected."));
          return;
        }
        const id = `own-${++asked}`;
        const text = JSON.stringify({ type: "request", id, command, data });
        if (!fits(text)) {
          reject(new CommandError("invalid", `The workflow is larger than the 64 MiB that ${command} accepts.`));
          return;
        }
        awaited.set(id, { resolve, reject });
        socket.send(text);
      });
    },

    /** @returns {number | null} the id of this tab, once it is connected */
    clientId: () => identity.client_id,

    /** Sends the facts about this tab again if they have changed. */
    changed: () => sendInfo(false),
  };
}
