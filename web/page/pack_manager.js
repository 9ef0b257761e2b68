/**
 * Installs packs of custom nodes through ComfyUI-Manager, by its own routes and within its own security settings.
 *
 * Both functions require a real click of the person, and no command leads here, so that no program can install anything.
 *
 * @typedef {object} Pack As the server lists it.
 * @property {string | null} id
 * @property {string} title
 * @property {string | null} repository
 *
 * @typedef {{pack: Pack, type: string}} Wanted A pack, and a missing node type that it has.
 * @typedef {"tasks" | "batch" | "queue"} Kind The kind of routes that ComfyUI-Manager has.
 * @typedef {{pack: Pack, state: "done" | "failed" | "refused", reason: string}} Outcome
 */

// Milliseconds between looks at the queue of ComfyUI-Manager, and for how long: packs can bring gigabytes of packages.
const LOOK_EVERY = 1000;
const LOOK_FOR = 3_600_000;
// Milliseconds that one of its answers may take.
const ANSWER_AT_MOST = 60_000;
// Looks at an idle queue after which a result is no longer expected.
const IDLE_LOOKS = 5;
// Characters of an answer that are shown.
const SHOWN = 300;
const GOOD = new Set(["success", "skip"]);
const BASE = { tasks: "/v2", batch: "/v2", queue: "" };

/**
 * @param {import("./frontend.js").Frontend["api"]} api ComfyUI's api
 * @param {any} page the window
 */
export function createPackManager(api, page) {
  /**
   * @param {string} path
   * @param {any} [options]
   * @returns {Promise<Response>}
   */
  const ask = (path, options = {}) => api.fetchApi(path, { ...options, signal: page.AbortSignal.timeout(ANSWER_AT_MOST) });

  /**
   * @param {string} path
   * @param {any} [body]
   */
  async function post(path, body) {
    const headers = { "Content-Type": "application/json" };
    const answer = await ask(path, { method: "POST", headers, body: JSON.stringify(body ?? {}) });
    // Older versions start the queue and restart ComfyUI on a GET.
    return answer.status === 405 ? ask(path) : answer;
  }

  /**
   * @param {Kind} kind
   * @param {Wanted[]} wanted
   * @returns {Promise<any[]>} the packs as ComfyUI-Manager names them
   */
  async function named(kind, wanted) {
    const unnamed = wanted.some(({ pack }) => !pack.id);
    const known = unnamed ? await json(ask(`${BASE[kind]}/customnode/getmappings?mode=local`)) : {};
    return wanted.map(({ pack, type }, index) => {
      const id = pack.id ?? idOf(pack, type, known);
      const repository = pack.repository ?? "";
      const version = id === null ? "unknown" : "latest";
      const name = id ?? repository.replace(/\/+$|\.git$/g, "").split("/").pop();
      const files = repository ? [repository] : [];
      return { id: name, version, selected_version: version, repository, files, mode: "cache", channel: "default", ui_id: `uiapi-${page.crypto.randomUUID?.() ?? `${Date.now()}-${index}`}` };
    });
  }

  /**
   * @param {Kind} kind
   * @param {any[]} asked
   * @returns {Promise<(string | null)[]>} why each is refused, or null
   */
  async function queue(kind, asked) {
    if (kind === "batch") {
      const answer = await post("/v2/manager/queue/batch", { batch_id: asked[0].ui_id, install: asked });
      const why = await refusal(answer.clone());
      const failed = answer.ok ? new Set((await answer.json()).failed ?? []) : new Set();
      return asked.map(({ id }) => why ?? (failed.has(id) ? REFUSED : null));
    }
    const whys = [];
    for (const { ui_id, files, ...params } of asked) {
      const task = { ui_id, client_id: api.clientId ?? "uiapi", kind: "install", params };
      const answer = kind === "tasks" ? post("/v2/manager/queue/task", task) : post("/manager/queue/install", { ui_id, files, ...params });
      whys.push(await refusal(await answer));
    }
    const why = whys.includes(null) ? await refusal(await post(`${BASE[kind]}/manager/queue/start`)) : null;
    return whys.map((own) => own ?? why);
  }

  /**
   * Calls `ended` with the result of each queued pack.
   *
   * @param {Kind} kind
   * @param {any[]} queued
   * @param {(ui_id: string, result: string | null) => void} ended with null if ComfyUI-Manager gave none
   */
  async function follow(kind, queued, ended) {
    const left = new Set(queued.map(({ ui_id }) => ui_id));
    const take = (/** @type {string} */ id, /** @type {any} */ result) => {
      if (left.delete(id)) ended(id, result === null ? null : String(result));
    };
    const hear = (/** @type {any} */ { detail }) => {
      for (const [id, result] of Object.entries(detail?.nodepack_result ?? {})) take(id, result);
    };
    api.addEventListener("cm-queue-status", hear);
    try {
      const until = page.performance.now() + LOOK_FOR;
      for (let idle = 0; left.size > 0 && idle < IDLE_LOOKS && page.performance.now() < until; ) {
        await new Promise((resume) => page.setTimeout(resume, LOOK_EVERY));
        for (const id of kind === "tasks" ? [...left] : []) {
          const { history } = await json(ask(`/v2/manager/queue/history?ui_id=${encodeURIComponent(id)}`));
          if (history?.status?.completed) take(id, history.result);
        }
        const status = await json(ask(`${BASE[kind]}/manager/queue/status`));
        idle = status.is_processing || status.total_count > status.done_count ? 0 : idle + 1;
      }
    } finally {
      api.removeEventListener("cm-queue-status", hear);
    }
    for (const id of [...left]) take(id, null);
  }

  return {
    /**
     * @param {Event} click
     * @param {Kind} kind
     * @param {Wanted[]} wanted
     * @param {(done: number) => void} progress
     * @returns {Promise<Outcome[]>}
     */
    async install(click, kind, wanted, progress) {
      requirePerson(click);
      const asked = await named(kind, wanted);
      const whys = await queue(kind, asked);
      const outcomes = wanted.map(({ pack }, index) => outcomeOf(pack, whys[index]));
      const queued = asked.filter((_, index) => whys[index] === null);
      let done = 0;
      await follow(kind, queued, (id, result) => {
        const index = asked.findIndex(({ ui_id }) => ui_id === id);
        outcomes[index] = outcomeOf(wanted[index].pack, GOOD.has(result ?? "") ? null : (result ?? UNKNOWN));
        progress(++done);
      });
      return outcomes;
    },

    /**
     * Restarts ComfyUI. A connection that breaks is the restart itself.
     *
     * @param {Event} click
     * @param {Kind} kind
     * @returns {Promise<string | null>} why ComfyUI-Manager refuses, or null
     */
    async restart(click, kind) {
      requirePerson(click);
      const answer = await post(`${BASE[kind]}/manager/reboot`).catch(() => null);
      return answer && refusal(answer);
    },
  };
}

/** @typedef {ReturnType<typeof createPackManager>} PackManager */

// Marks of reasons that have a text of their own.
export const REFUSED = "refused";
export const UNKNOWN = "unknown";

/** @param {Event} click */
function requirePerson(click) {
  if (click?.isTrusted !== true) throw new Error("Only a click of the person at the browser can do this.");
}

/**
 * @param {Pack} pack
 * @param {string | null} why
 * @returns {Outcome}
 */
function outcomeOf(pack, why) {
  // The name of the result for an installation that the security level forbids.
  const refused = why === REFUSED || why === "failed";
  return { pack, state: why === null ? "done" : refused ? "refused" : "failed", reason: refused ? REFUSED : (why ?? "").split("\n")[0].slice(0, SHOWN) };
}

/**
 * @param {Response} answer
 * @returns {Promise<string | null>} why ComfyUI-Manager refuses, or null
 */
async function refusal(answer) {
  if (answer.ok) return null;
  const text = (await answer.text()).trim();
  return answer.status === 403 || /security/i.test(text) ? REFUSED : text || `HTTP ${answer.status}`;
}

/**
 * @param {Promise<Response>} asked
 * @returns {Promise<any>} an empty object if there is no answer
 */
async function json(asked) {
  try {
    const answer = await asked;
    return answer.ok ? ((await answer.json()) ?? {}) : {};
  } catch {
    // ComfyUI may be too busy to answer, or restarting; the next look shows it.
    return {};
  }
}

/**
 * Returns the id under which the registry has a pack, from the list of types by pack; null if it has none.
 *
 * @param {Pack} pack
 * @param {string} type
 * @param {Record<string, any>} known
 * @returns {string | null}
 */
export function idOf(pack, type, known) {
  const having = Object.entries(known ?? {}).filter(([key, entry]) => !key.includes("/") && Array.isArray(entry?.[0]) && entry[0].includes(type));
  const found = having.find(([, entry]) => entry[1]?.title_aux === pack.title) ?? (pack.repository ? undefined : having[0]);
  return found ? found[0] : null;
}
