/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<any>;
/** Returns a key that nothing else has; crypto.randomUUID exists only for pages over HTTPS or on loopback. */
export function newKey(): string;
export class Http {
    /**
     * @param {object} options
     * @param {string} options.url
     * @param {string | undefined} options.token
     * @param {string} options.name this program's name; browsers send their own
     * @param {number} options.reconnect seconds to keep trying when a ComfyUI that answered before cannot be reached
     */
    constructor({ url, token, name, reconnect }: {
        url: string;
        token: string | undefined;
        name: string;
        reconnect: number;
    });
    url: string;
    reconnect: number;
    /** @type {Record<string, string>} */
    headers: Record<string, string>;
    /** Ask the server when it was started, by which a restart is noticed. */
    greet(): Promise<any>;
    /**
     * Send a request and return the envelope of its answer.
     *
     * @param {string} path
     * @param {Record<string, any> | undefined} body sent as JSON; undefined for GET
     * @param {Sending} [sending]
     * @returns {Promise<Envelope>}
     */
    send(path: string, body: Record<string, any> | undefined, { signal, resumed }?: Sending): Promise<Envelope>;
    /**
     * Returns the content of an output file.
     *
     * @param {string} url its path on the server
     * @param {AbortSignal} [signal]
     */
    fetchFile(url: string, signal?: AbortSignal): Promise<Blob>;
    #private;
}
export type Envelope = Record<string, any>;
export type Sending = {
    /**
     * cancels the request
     */
    signal?: AbortSignal | undefined;
    /**
     * whether it was sent before, over a connection that is lost
     */
    resumed?: boolean | undefined;
};
