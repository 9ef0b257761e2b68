/**
 * Fetches the key by which the server recognises the pages that it delivered. It changes with every start of the
 * server.
 */

// Milliseconds; the websocket has as long to receive its welcome.
const ANSWER_WITHIN = 10_000;

/** @typedef {ReturnType<typeof createPageKey>} PageKey */

/**
 * @param {object} options
 * @param {() => string} options.url the URL of the key
 * @param {() => string | null} options.token the operator's token, if it was entered in this page
 * @param {typeof globalThis.fetch} [options.fetch]
 */
export function createPageKey({ url, token, fetch = globalThis.fetch }) {
  /** @type {string | undefined} */
  let key;

  return {
    /** @returns {string | undefined} the key, once it was received */
    current: () => key,

    /**
     * Requests the key. Failures are ignored here; the websocket reports them.
     *
     * @returns {Promise<void>}
     */
    async renew() {
      const given = token();
      /** @type {Record<string, string>} */
      const headers = given === null ? {} : { Authorization: `Bearer ${given}` };
      try {
        const answer = await fetch(url(), { method: "POST", headers, signal: AbortSignal.timeout(ANSWER_WITHIN) });
        if (answer.ok) key = (await answer.json()).response.page_key;
      } catch (error) {
        console.warn("ComfyUI-uiapi: could not fetch the page key; trying again on the next connection.", error);
      }
    },
  };
}
