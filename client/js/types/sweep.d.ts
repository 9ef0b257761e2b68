/**
 * @param {import("./client.js").Client} client
 * @param {import("./http.js").Http} http
 * @param {Record<string, any[]> | [string, any][][]} variations whose values may be the contents of files
 * @param {{seeds?: number, on_error?: "continue" | "stop", signal?: AbortSignal, inline: boolean}} options
 * @returns {AsyncGenerator<SweepItem, void, void>}
 */
export function sweep(client: import("./client.js").Client, http: import("./http.js").Http, variations: Record<string, any[]> | [string, any][][], { signal, inline, ...options }: {
    seeds?: number;
    on_error?: "continue" | "stop";
    signal?: AbortSignal;
    inline: boolean;
}): AsyncGenerator<SweepItem, void, void>;
export type OutputFile = import("./files.js").OutputFile;
export type SweepItem = {
    index: number;
    /**
     * {path: value}
     */
    fields: Record<string, any>;
    /**
     * "success", "error" or "cancelled"
     */
    status: string;
    prompt_id: string | null;
    /**
     * with their contents as `blob`
     */
    files: OutputFile[];
    /**
     * the pictures among them
     */
    images: OutputFile[];
    /**
     * about its fields and its prompt
     */
    warnings: string[];
    error: {
        code: string;
        message: string;
    } | null;
};
