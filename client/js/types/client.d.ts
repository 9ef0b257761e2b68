/** @typedef {import("./schema.js").components["schemas"]["Commands"]} Commands */
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
export function connect(url?: string, options?: Options): Promise<Client>;
export class Client {
    /**
     * Use `connect`, which also waits for the server.
     *
     * @param {string} url
     * @param {Options} options
     */
    constructor(url: string, { token, name, webui, reconnect, WebSocket }?: Options);
    url: string;
    webui: number | undefined;
    /** The graph's revision in the last answer, for if_revision. @type {string | null} */
    revision: string | null;
    /** Resolves when the server has answered. */
    ready: Promise<any>;
    /**
     * Read the value of a field such as "Title.widget"; for several paths an object of them.
     *
     * @param {string | string[]} path
     * @returns {Promise<any>}
     */
    get(path: string | string[]): Promise<any>;
    /**
     * Write a field, `set(path, value)`, or several, `set({path: value})`; if one cannot be written, none is.
     *
     * @param {string | Fields} path
     * @param {any} [value] a Blob, ArrayBuffer or Uint8Array for a field that takes a file
     * @returns {Promise<any>} {requested, value, warnings}; for several fields an object of these by path
     */
    set(path: string | Fields, value?: any): Promise<any>;
    /**
     * Open a workflow in the tab: an object in UI or API format, its JSON text, or a file that has one in its metadata.
     *
     * @param {Record<string, any> | string | Blob | ArrayBuffer | Uint8Array} workflow
     * @param {string} [name]
     */
    load(workflow: Record<string, any> | string | Blob | ArrayBuffer | Uint8Array, name?: string): Promise<{
        status: "ok";
        loaded: boolean;
        message: string;
        format?: unknown;
        nodes?: unknown;
        missing_node_types?: unknown;
        warnings?: unknown;
        revision?: string | null;
        workflow_tab?: string | null;
        stale?: boolean | null;
        snapshot_time?: number | null;
    }>;
    /**
     * Returns the open workflow in UI format, or in API format.
     *
     * @param {{api?: boolean}} [options]
     * @returns {Promise<Record<string, any>>}
     */
    workflow({ api }?: {
        api?: boolean;
    }): Promise<Record<string, any>>;
    /** Returns the nodes of the open workflow with their widgets. */
    nodes(): Promise<({
        subgraph?: unknown;
        pos?: unknown;
        size?: unknown;
        mode_name?: unknown;
        collapsed?: unknown;
        pinned?: unknown;
        color?: unknown;
        id: string | number;
        type: string | null;
        title: string | null;
        inputs: unknown[];
        outputs: unknown[];
        widgets?: {
            [key: string]: unknown;
        }[];
        path?: string | null;
        mode?: number | null;
        links?: unknown;
    } & {
        [key: string]: unknown;
    })[]>;
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
    run({ fields, workflow, fetch, signal, onEvent, ...rest }?: {
        fields?: Fields | undefined;
        workflow?: string | Record<string, any> | Blob | undefined;
        batch_count?: number | undefined;
        timeout?: number | undefined;
        fetch?: boolean | undefined;
        signal?: AbortSignal | undefined;
        onEvent?: Listener | undefined;
    }): Promise<Run>;
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
    sweep(variations: Record<string, any[]> | [string, any][][], options?: {
        seeds?: number;
        on_error?: "continue" | "stop";
        signal?: AbortSignal;
    }): AsyncGenerator<import("./sweep.js").SweepItem, void, void>;
    /**
     * Call the listener for events with these names or prefixes ("webui_*"); resolves with a function that ends this.
     *
     * @param {string | string[]} events
     * @param {Listener} listener
     * @param {{paths?: string[]}} [options] only events about these fields or nodes
     * @returns {Promise<() => void>}
     */
    on(events: string | string[], listener: Listener, { paths }?: {
        paths?: string[];
    }): Promise<() => void>;
    /**
     * Iterate over events: `for await (const event of comfy.events("output")) …`.
     *
     * @param {string | string[]} names
     * @param {{paths?: string[], signal?: AbortSignal}} [options]
     * @returns {AsyncGenerator<ComfyEvent, void, void>}
     */
    events(names: string | string[], { paths, signal }?: {
        paths?: string[];
        signal?: AbortSignal;
    }): AsyncGenerator<ComfyEvent, void, void>;
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
    call<Name extends keyof Commands>(command: Name, data?: Commands[Name]["request"], { signal, onEvent }?: CallOptions): Promise<Commands[Name]["response"]>;
    /** Close the connection for events, and end their listeners. */
    close(): void;
    #private;
}
export type Commands = import("./schema.js").components["schemas"]["Commands"];
export type ComfyEvent = {
    name: string;
    data: Record<string, any>;
};
export type Listener = (event: ComfyEvent) => void;
export type Fields = Record<string, any> | [string, any][];
export type OutputFile = import("./files.js").OutputFile;
export type Options = {
    /**
     * the UIAPI_TOKEN of the server, if it has one
     */
    token?: string | undefined;
    /**
     * this program's name in the panel; a web page is named by its origin
     */
    name?: string | undefined;
    /**
     * the connected tab to use; the main one if left out
     */
    webui?: number | undefined;
    /**
     * seconds to keep trying when a ComfyUI that answered before cannot be reached
     */
    reconnect?: number | undefined;
    /**
     * for Node.js before 22, which has none
     */
    WebSocket?: {
        new (url: string | URL, protocols?: string | string[]): WebSocket;
        prototype: WebSocket;
        readonly CONNECTING: 0;
        readonly OPEN: 1;
        readonly CLOSING: 2;
        readonly CLOSED: 3;
    } | undefined;
};
export type CallOptions = {
    /**
     * cancels the request
     */
    signal?: AbortSignal | undefined;
    /**
     * called with a run's events, such as progress and previews
     */
    onEvent?: Listener | undefined;
};
export type Run = {
    prompt_id: string;
    /**
     * seconds
     */
    execution_time?: number | null | undefined;
    /**
     * with their contents as `blob`
     */
    files: OutputFile[];
    /**
     * the pictures among them
     */
    images: OutputFile[];
    /**
     * the outputs that are no files
     */
    texts: any[];
};
