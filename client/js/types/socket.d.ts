export class Socket {
    /**
     * @param {object} options
     * @param {string} options.url
     * @param {string | undefined} options.token
     * @param {string} options.name
     * @param {typeof WebSocket | undefined} options.WebSocket
     */
    constructor({ url, token, name, WebSocket: Constructor }: {
        url: string;
        token: string | undefined;
        name: string;
        WebSocket: typeof WebSocket | undefined;
    });
    url: string;
    hello: {
        token?: string | undefined;
        type: string;
        role: string;
        protocol: number;
        name: string;
    };
    Constructor: {
        new (url: string | URL, protocols?: string | string[]): WebSocket;
        prototype: WebSocket;
        readonly CONNECTING: 0;
        readonly OPEN: 1;
        readonly CLOSING: 2;
        readonly CLOSED: 3;
    };
    /**
     * Send a command and pass its events to the listener; resolves with the envelope of its answer.
     *
     * @param {string} command
     * @param {Record<string, any>} data
     * @param {Listener} listener
     * @param {AbortSignal} [signal]
     * @returns {Promise<Record<string, any>>}
     */
    request(command: string, data: Record<string, any>, listener: Listener, signal?: AbortSignal): Promise<Record<string, any>>;
    /**
     * Call the listener for events with these names; resolves with a function that ends this.
     *
     * @param {string[]} events
     * @param {string[]} paths
     * @param {Listener} listener
     * @param {(error: UiapiError) => void} failed called if the server refuses to renew it
     * @returns {Promise<() => void>}
     */
    subscribe(events: string[], paths: string[], listener: Listener, failed: (error: UiapiError) => void): Promise<() => void>;
    close(): void;
    #private;
}
export type ComfyEvent = import("./client.js").ComfyEvent;
export type Listener = (event: ComfyEvent) => void;
export type Subscription = {
    events: string[];
    paths: string[];
    listener: Listener;
    failed: (error: UiapiError) => void;
    /**
     * the request that began it on this connection
     */
    id: string;
};
export type Waiting = {
    resolve: (envelope: Record<string, any>) => void;
    reject: (error: Error) => void;
};
import { UiapiError } from "./errors.js";
