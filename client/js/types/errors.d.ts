/**
 * Returns the error in an envelope.
 *
 * @param {Record<string, any>} envelope with status "error"
 * @param {number} [status] the HTTP status
 */
export function refusal(envelope: Record<string, any>, status?: number): UiapiError;
/** The errors that every method may throw: a code to branch on, and a sentence that says what to do. */
/** @typedef {Record<string, any>} Details */
/** An error that ComfyUI's extension answered with, or that the client found itself. */
export class UiapiError extends Error {
    /**
     * @param {string} code such as "unknown_path"; docs/errors.md lists them
     * @param {string} message one sentence that says what to do
     * @param {{status?: number | undefined, details?: Details | undefined}} [more]
     */
    constructor(code: string, message: string, { status, details }?: {
        status?: number | undefined;
        details?: Details | undefined;
    });
    /** The code to branch on. */
    code: string;
    /** The HTTP status, if there was one. */
    status: number | undefined;
    /** Facts for programs. @type {Details} */
    details: Details;
    /**
     * Suggestions, such as similar paths.
     *
     * @returns {string[]}
     */
    get candidates(): string[];
}
/** No ComfyUI with the extension answers, or the connection was lost. */
export class Unreachable extends UiapiError {
}
export type Details = Record<string, any>;
