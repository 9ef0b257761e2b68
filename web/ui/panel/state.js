/**
 * The state that the panel shows, as received from the server: rules and pause, tabs, programs, the log, and downloads.
 *
 * All of it belongs to the server, so two browsers show the same and a reload loses nothing. Listeners are called at
 * most once per frame.
 *
 * @typedef {object} LogEntry One command of a program; times in seconds of Unix time.
 * @property {number} id
 * @property {string} program
 * @property {"read" | "change" | "run" | "download" | "load"} kind
 * @property {string} command
 * @property {string} about
 * @property {number} time
 * @property {number} count
 * @property {"running" | "asking" | "done" | "failed"} state
 * @property {string | null} code
 * @property {string | null} error why it failed
 * @property {LogChange[]} changes
 * @property {number} changes_total
 *
 * @typedef {object} LogChange
 * @property {string} kind
 * @property {string} path
 * @property {string} node
 * @property {string} what
 * @property {any} before
 * @property {any} after
 * @property {boolean} cut whether a value was shortened for the log
 * @property {number} webui the id of the page in which it was made
 * @property {string} tab the workflow tab of that page
 *
 * @typedef {object} ProgramFacts
 * @property {string} name
 * @property {number} last
 * @property {number} connections
 * @property {string} command
 * @property {number} rate commands per second
 *
 * @typedef {object} ServerState
 * @property {boolean} paused
 * @property {string | null} problem why the saved rules can't be used, until new ones are set
 * @property {Record<string, string>} rules by kind of command
 * @property {{program: string, kind: string, allowed: boolean}[]} answers
 * @property {WebApp[]} [web_apps]
 * @property {string | null} [web_apps_problem] why the kept decisions about web pages can't be used
 * @property {number | null} main_webui_id
 * @property {any[]} webuis
 * @property {string} version of the server
 * @property {{count: number, last: {program: string, kind: string, code: string} | null}} refusals by the pause or a rule
 * @property {string[]} runs the programs that are running the workflow
 * @property {string[]} asking the programs that wait for the person
 * @property {SweepFacts[]} sweeps the sweeps in progress
 *
 * @typedef {{sweep_id: string, program: string, total: number, done: number, failed: number, cancelled: number}} SweepFacts
 *
 * @typedef {object} WebApp A page from elsewhere.
 * @property {string} origin
 * @property {"allow" | "session" | "refuse" | null} decision
 * @property {Record<string, string>} rules by kind of command
 * @property {boolean} named whether the operator allows it
 * @property {boolean} asking whether a question about it is open
 *
 * @typedef {ReturnType<import("../../connection/transport.js").createTransport>} Transport
 */

// As many as the server keeps.
const ENTRIES_AT_MOST = 1000;
const EVENTS = ["download_progress"];
// The name under which a question of the page itself is shown, as the server's own ones are.
const OWN = "ComfyUI";

/**
 * @param {Pick<Transport, "request" | "clientId">} transport
 * @param {any} page the window
 */
export function createState(transport, page) {
  /** @type {Set<() => void>} */
  const listeners = new Set();
  /** @type {Map<number, LogEntry>} */
  const entries = new Map();
  /** @type {Map<string, any>} */
  const downloads = new Map();
  let frame = 0;
  // Questions of the page itself that are open.
  let own = 0;
  let watching = false;
  /** @type {Promise<any> | null} the subscription of the current connection */
  let listening = null;

  const state = {
    /** @type {ServerState | null} null while disconnected */
    server: null,
    /** How often the server was lost, which also shows a restart to a page that was hidden meanwhile. */
    losses: 0,
    /** @type {ProgramFacts[]} */
    programs: [],
    entries,
    downloads,
    clientId: transport.clientId,
  };

  function changed() {
    frame ||= page.requestAnimationFrame(() => {
      frame = 0;
      for (const listener of listeners) listener();
    });
  }

  /** @param {{entries: LogEntry[], programs: ProgramFacts[]}} news */
  function take(news) {
    state.programs = news.programs;
    for (const entry of news.entries) entries.set(entry.id, entry);
    const oldest = Math.max(0, ...entries.keys()) - ENTRIES_AT_MOST;
    for (const id of entries.keys()) {
      if (id > oldest) break;
      entries.delete(id);
    }
    changed();
  }

  async function listen() {
    const asked = (listening ??= transport.request("subscribe", { events: EVENTS }));
    try {
      await asked;
    } catch (error) {
      if (listening === asked) listening = null;
      throw error;
    }
  }

  async function watchAgain() {
    if (!watching || !state.server) return;
    entries.clear();
    downloads.clear();
    try {
      const [log, { downloads: list }] = await Promise.all([
        transport.request("panel_watch"),
        transport.request("downloads"),
        listen(),
      ]);
      // Events that arrived meanwhile are newer than the responses.
      const [newer, further] = [[...entries.values()], [...downloads.values()]];
      entries.clear();
      downloads.clear();
      for (const download of [...list, ...further]) downloads.set(download.download_id, download);
      take({ ...log, entries: [...log.entries, ...newer] });
    } catch (error) {
      // After a disconnect this is repeated on the next connection.
      page.console.debug("ComfyUI-uiapi: the panel could not load its data", error);
    }
  }

  return {
    ...state,

    get server() {
      return state.server;
    },

    get losses() {
      return state.losses;
    },

    get programs() {
      return state.programs;
    },

    /** @returns {string[]} who waits for the person; the questions of programs may be open in another tab */
    get asking() {
      return [...(state.server?.asking ?? []), ...(own > 0 ? [OWN] : [])];
    },

    /**
     * Shows that a question of the page itself waits for the person, until it is answered.
     *
     * @template T
     * @param {Promise<T>} answer
     * @returns {Promise<T>}
     */
    async whileAsking(answer) {
      own++;
      changed();
      try {
        return await answer;
      } finally {
        own--;
        changed();
      }
    },

    /**
     * @param {() => void} listener called once per frame with changes
     * @returns {() => void} removes the listener
     */
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    changed,

    /** Subscribes to the progress of downloads. */
    listen,

    /**
     * @param {string} event
     * @param {any} data
     */
    receive(event, data) {
      if (event === "panel_state") {
        const first = state.server === null;
        state.server = data;
        if (first) watchAgain();
      } else if (event === "activity") take(data);
      else if (event === "download_progress") downloads.set(data.download_id, data);
      else return;
      changed();
    },

    /** Called after a disconnect. */
    lost() {
      state.server = null;
      state.losses++;
      listening = null;
      changed();
    },

    /** @param {boolean} on whether to keep the log up to date */
    watch(on) {
      watching = on;
      if (on) watchAgain();
      else if (state.server) transport.request("panel_watch", { on: false }).catch(() => undefined);
    },
  };
}

/** @typedef {ReturnType<typeof createState>} State */
