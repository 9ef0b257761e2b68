/**
 * The key that proves to the server that this page is its own: given only to its own pages' scripts, and another one
 * for every start of the server.
 */

// What the socket to the server may take to be welcomed as well.
const ANSWER_WITHIN = 10_000;

/** @typedef {ReturnType<typeof createPageKey>} PageKey */

/**
 * @param {object} options
 * @param {() => string} options.url where the server gives the key
 * @param {() => string | null} options.token the operator's, where this page has been given it
 * @param {typeof globalThis.fetch} [options.fetch]
 */
export function createPageKey({ url, token, fetch = globalThis.fetch }) {
  /** @type {string | undefined} */
  let key;

  return {
    /** @returns {string | undefined} the key, once the server gave one */
    current: () => key,

    /**
     * Ask the server for its key. It may refuse or be gone; that is for the socket to find out.
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
        console.warn("ComfyUI-uiapi: the server gives no key to this page; it is asked again.", error);
      }
    },
  };
}
