/**
 * Returns writes as the server takes them.
 *
 * @param {any[][]} writes [path, value] each
 * @returns {Promise<[string, any][]>}
 */
export function encoded(writes: any[][]): Promise<[string, any][]>;
/**
 * Returns the values of each field as the server takes them.
 *
 * @param {Record<string, any[]>} grid
 * @returns {Promise<Record<string, any[]>>}
 */
export function encodedGrid(grid: Record<string, any[]>): Promise<Record<string, any[]>>;
/**
 * Returns a workflow as the server takes it: a file with one in its metadata, such as a picture, as base64.
 *
 * @param {any} workflow an object in UI or API format, its JSON text, or the content of a file
 * @returns {Promise<Record<string, any>>}
 */
export function workflowOf(workflow: any): Promise<Record<string, any>>;
/**
 * Give the files of an answer their contents as `blob`.
 *
 * @param {any[]} outputs
 * @param {Http | null} http fetches contents that are not in the answer; null leaves those files without
 * @param {AbortSignal} [signal]
 * @returns {Promise<OutputFile[]>}
 */
export function filesOf(outputs: any[], http: Http | null, signal?: AbortSignal): Promise<OutputFile[]>;
/** @param {OutputFile} file */
export function isImage(file: OutputFile): boolean;
export type Http = import("./http.js").Http;
export type OutputFile = {
    /**
     * the node that saved it
     */
    node_id: string;
    title?: string | null | undefined;
    node_type?: string | null | undefined;
    /**
     * "images", "gifs", "audio" and so on, as the node names it
     */
    kind: string;
    filename: string;
    subfolder: string;
    /**
     * "output", "temp" or "input"
     */
    type: string;
    /**
     * the path at which ComfyUI serves it
     */
    url?: string | undefined;
    /**
     * its content
     */
    blob?: Blob | undefined;
};
