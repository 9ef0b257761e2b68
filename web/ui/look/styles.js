/**
 * The styles of the panel and the dialogs, in the look of the frontend's own ones.
 */

import { variablesOf } from "./looks.js";

export const RULES = `
.uiapi [hidden], .uiapi-dialog [hidden] { display: none !important; }
.uiapi { display: flex; flex-direction: column; height: 100%; background: var(--uiapi-surface); color: var(--uiapi-text); font-size: 0.875rem; line-height: 1.35; overflow: hidden; }
.uiapi h2, .uiapi h3 { margin: 0; font-size: inherit; }
.uiapi h3 { font-weight: 600; }
.uiapi p { margin: 0; overflow-wrap: anywhere; }
.uiapi-fixes { display: flex; flex-wrap: wrap; gap: 0.25rem 0.5rem; }
.uiapi-fixes .uiapi-button { white-space: normal; overflow-wrap: anywhere; text-align: left; }
.uiapi-toolbar { display: flex; align-items: center; justify-content: space-between; gap: 0.5rem; flex: none; box-sizing: border-box; min-height: calc(var(--uiapi-bar) + 1px);
  padding: var(--uiapi-bar-padding); border-bottom: 1px solid var(--uiapi-border); }
.uiapi .uiapi-toolbar h2 { font-size: var(--uiapi-title-size); font-weight: var(--uiapi-title-weight); text-transform: var(--uiapi-title-case); }
@media (min-width: 96rem) { .uiapi .uiapi-toolbar h2 { font-size: var(--uiapi-title-size-large); } .uiapi-toolbar { min-height: calc(var(--uiapi-bar-large) + 1px); } }
.uiapi-head { padding: 0.5rem var(--uiapi-gap); display: flex; flex-direction: column; gap: 0.5rem; flex: none; }
.uiapi-head > .uiapi-button { align-self: flex-start; }
.uiapi-line { display: flex; align-items: center; gap: 0.5rem; min-width: 0; }
.uiapi-line > .uiapi-grow { flex: 1; min-width: 0; }
.uiapi-cut { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.uiapi-hint { color: var(--uiapi-muted); }
.uiapi-bad { color: color-mix(in srgb, var(--error-text) 50%, var(--uiapi-text)); }
.uiapi-dot { width: 0.5rem; height: 0.5rem; border-radius: 50%; flex: none; box-sizing: border-box; border: 1px solid var(--uiapi-muted); }
.uiapi-dot.uiapi-on { border: 0; background: var(--uiapi-good); }
.uiapi-button { display: inline-flex; align-items: center; justify-content: center; gap: 0.5rem; box-sizing: border-box; height: var(--uiapi-button-height); padding: var(--uiapi-button-padding);
  border: 0; border-radius: var(--uiapi-radius); cursor: pointer; background: var(--uiapi-button); color: var(--uiapi-button-text);
  font-family: var(--font-inter, inherit); font-size: var(--uiapi-button-size); font-weight: var(--uiapi-button-weight); line-height: 1.2; text-decoration: none; white-space: nowrap; transition: background-color 0.15s; }
.uiapi-look-primevue .uiapi-button { font-family: inherit; }
.uiapi-button.uiapi-small { height: auto; min-height: 1.75rem; padding: 0.2rem 0.5rem; font-size: 0.75rem; }
.uiapi-line > .uiapi-button { flex: none; }
.uiapi-button:hover { background: var(--uiapi-button-hover); color: var(--uiapi-button-hover-text); }
.uiapi-button.uiapi-primary { background: var(--uiapi-primary); color: var(--uiapi-primary-text); }
.uiapi-button.uiapi-primary:hover { background: var(--uiapi-primary-hover); color: var(--uiapi-primary-hover-text); }
.uiapi-icon { display: inline-flex; align-items: center; justify-content: center; width: 2rem; height: 2rem; flex: none; padding: 0;
  border: 0; border-radius: var(--uiapi-radius); cursor: pointer; background: none; color: var(--uiapi-ghost); font: inherit; }
.uiapi-line .uiapi-icon, .uiapi-log-line .uiapi-icon { width: 1.5rem; height: 1.5rem; }
.uiapi-toolbar .uiapi-icon { width: var(--uiapi-icon); height: var(--uiapi-icon); }
.uiapi-icon:hover, .uiapi-link:hover { background: var(--uiapi-ghost-hover); }
.uiapi-button:focus-visible, .uiapi-icon:focus-visible, .uiapi-link:focus-visible, .uiapi-switch:focus-visible, .uiapi-tab:focus-visible, .uiapi-scroll:focus-visible,
.uiapi summary:focus-visible, .uiapi-dialog input:focus-visible { outline: 1px solid var(--uiapi-ring); outline-offset: 1px; }
.uiapi-button:focus-visible { outline-color: var(--uiapi-button-ring); outline-offset: var(--uiapi-ring-offset); }
.uiapi-button.uiapi-primary:focus-visible { outline-color: var(--uiapi-primary-ring); }
.uiapi-scroll:focus-visible { outline-offset: -1px; }
.uiapi-button:disabled, .uiapi-icon:disabled { opacity: 0.5; cursor: default; }
.uiapi-link { border: 0; padding: 0 0.15rem; border-radius: 0.25rem; background: none; color: inherit; font: inherit; cursor: pointer; text-align: left; }
.uiapi-switch { display: flex; align-items: center; gap: 0.5rem; border: 0; padding: 0.15rem; background: none; color: inherit; font: inherit; cursor: pointer; text-align: left; border-radius: 0.25rem; }
.uiapi-switch::before { content: ""; width: 2.25rem; height: 1.25rem; border-radius: 1rem; flex: none; background: radial-gradient(circle at 0.65rem 50%, var(--uiapi-surface) 0.45rem, transparent 0.5rem) var(--uiapi-muted); }
.uiapi-switch[aria-checked="true"]::before { background: radial-gradient(circle at 1.6rem 50%, var(--uiapi-surface) 0.45rem, transparent 0.5rem) var(--uiapi-primary); }
.uiapi-switch:disabled { opacity: 0.5; cursor: default; }
.uiapi-tabs { display: flex; flex-wrap: wrap; flex: none; gap: 0.25rem var(--uiapi-tab-gap); padding: 0.25rem var(--uiapi-gap) 0.5rem; border-bottom: 1px solid var(--uiapi-border); }
.uiapi-tab { position: relative; display: inline-flex; align-items: center; justify-content: center; gap: 0.35rem; min-width: 0; border: 0; border-radius: 0.5rem; height: 2rem; padding: 0 var(--uiapi-tab-padding); background: none; color: var(--uiapi-muted); font: inherit; cursor: pointer; white-space: nowrap; }
.uiapi-tab:hover { background: var(--uiapi-ghost-hover); }
.uiapi-tab[aria-selected="true"] { background: var(--uiapi-tab); color: var(--uiapi-text); }
.uiapi-count { position: absolute; top: -0.25rem; right: -0.25rem; min-width: 1rem; padding: 0 0.25rem; border-radius: 1rem; background: var(--uiapi-primary); color: var(--uiapi-primary-text); font-size: 0.6875rem; font-weight: 600; line-height: 1rem; text-align: center; }
.uiapi-body { flex: 1; min-height: 0; display: flex; flex-direction: column; }
.uiapi-section { padding: 0.5rem var(--uiapi-gap); display: flex; flex-direction: column; gap: 0.25rem; }
.uiapi-empty { display: flex; flex-direction: column; align-items: center; padding: 2rem; text-align: center; font-size: 1rem; line-height: normal; }
.uiapi-empty > .pi { font-size: 3rem; margin-bottom: 1rem; }
.uiapi .uiapi-empty h3 { margin: 1em 0 0.5rem; font-size: 1.17rem; font-weight: 700; }
.uiapi .uiapi-empty p { margin-top: 1rem; }
.uiapi-origin { overflow-wrap: anywhere; unicode-bidi: isolate; }
.uiapi .uiapi-row label select { width: auto; }
.uiapi summary { cursor: pointer; }
.uiapi-row { content-visibility: auto; contain-intrinsic-size: auto 4rem; display: flex; flex-direction: column; gap: 0.2rem; padding: 0.25rem 0; }
.uiapi-scroll { position: relative; overflow-x: hidden; overflow-y: auto; min-height: 0; scrollbar-width: thin; scrollbar-color: var(--uiapi-border) transparent; }
.uiapi-fill { flex: 1; }
.uiapi-log { position: relative; flex: none; font-size: 0.8125rem; contain: strict; }
.uiapi-log-line { position: absolute; left: 0; right: 0; box-sizing: border-box; height: 22px; padding: 6px var(--uiapi-gap) 0; display: flex; align-items: center; gap: 0.4rem; contain: strict; }
.uiapi-log-line > .uiapi-grow { flex: 1; gap: 0.35rem; }
.uiapi-log-line.uiapi-detail { padding-top: 0; padding-left: calc(var(--uiapi-gap) + 1.25rem); }
.uiapi-log-line.uiapi-said { display: block; line-height: 19px; overflow-wrap: anywhere; }
.uiapi-sparkline { flex: none; width: 48px; height: 14px; }
.uiapi-sparkline svg { display: block; width: 100%; height: 100%; }
.uiapi-sparkline polyline { fill: none; stroke: var(--uiapi-good); stroke-width: 1.5; stroke-linejoin: round; }
.uiapi-rate { min-width: 2.75rem; text-align: right; font-variant-numeric: tabular-nums; }
.uiapi-times { color: var(--uiapi-muted); flex: none; }
.uiapi-filters { flex-direction: row; gap: 0.5rem; }
.uiapi .uiapi-filters select { flex: 1; min-width: 0; padding: 0.25rem 0.35rem; font-size: 0.8125rem; text-overflow: ellipsis; }
.uiapi-log-line time { color: var(--uiapi-muted); flex: none; font-variant-numeric: tabular-nums; }
.uiapi-row .uiapi-hint { font-variant-numeric: tabular-nums; }
.uiapi-bar { height: 0.375rem; border-radius: 0.25rem; background: var(--uiapi-raised); overflow: hidden; }
.uiapi-bar > div { height: 100%; background: var(--uiapi-primary); transform-origin: left; }
.uiapi-table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
.uiapi-table thead th { overflow-wrap: normal; }
.uiapi-files td:nth-child(2) { min-width: 7rem; }
.uiapi-files td:nth-child(4) { white-space: nowrap; }
.uiapi-table th { text-align: left; font-weight: 600; }
.uiapi-values :is(th, td), .uiapi-files :is(th, td) { min-width: 6rem; box-sizing: border-box; }
.uiapi-table th, .uiapi-table td { padding: 0.35rem 0.75rem 0.35rem 0; vertical-align: top; overflow-wrap: anywhere; border-bottom: 1px solid var(--uiapi-border); }
.uiapi input[type="text"], .uiapi input[type="search"], .uiapi select, .uiapi-dialog input, .uiapi-dialog select { width: 100%; box-sizing: border-box; padding: var(--uiapi-field-padding); border-radius: var(--uiapi-field-radius);
  border: 1px solid var(--uiapi-field-border); background: var(--uiapi-field); color: var(--uiapi-field-text); font: inherit; font-size: 0.875rem; line-height: 1.2; }
.uiapi-dialog :is(input[type="text"], input[type="password"], select) { height: var(--uiapi-dialog-field-height); padding: var(--uiapi-dialog-field-padding); font-size: var(--uiapi-dialog-field-size); }
:is(.uiapi, .uiapi-dialog) :is(input:not([type="checkbox"], [type="radio"]), select):focus { border-color: var(--uiapi-field-focus); outline: var(--uiapi-field-ring); outline-offset: 0; }
.uiapi :is(select, input) { text-overflow: ellipsis; }
.uiapi ::placeholder, .uiapi-dialog ::placeholder { color: var(--uiapi-muted); opacity: 1; }
.uiapi-search { position: relative; }
.uiapi-search > .pi { position: absolute; right: 0.75rem; top: 50%; transform: translateY(-50%); color: var(--uiapi-search-icon); pointer-events: none; }
.uiapi .uiapi-search > input { padding-right: 2.25rem; }
.uiapi .uiapi-search > input { height: var(--uiapi-button-height); font-size: var(--uiapi-search-size); }
.uiapi-look-own .uiapi-search > .pi { left: 0.75rem; right: auto; }
.uiapi-look-own .uiapi-search > input { padding-left: 2.25rem; padding-right: 0.75rem; }
.uiapi-dialog { display: flex; flex-direction: column; gap: 1rem; box-sizing: border-box; width: min(34rem, 80vw); min-width: 100%; max-width: 100%; max-height: 65vh; color: var(--uiapi-text); font-size: 1rem; line-height: 1.4; padding: 2px; }
.uiapi-dialog.uiapi-wide { width: min(45rem, 86vw); }
.uiapi-dialog p { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.uiapi-offer { display: flex; flex-direction: column; gap: 0.75rem; min-height: 0; }
.uiapi-picture { width: 100%; height: clamp(11rem, 100vh - 39rem, 18rem); flex: none; border: 1px solid var(--uiapi-border); border-radius: var(--uiapi-radius); background: var(--uiapi-raised); }
.uiapi-picture rect { fill: var(--uiapi-surface); stroke: var(--uiapi-muted); stroke-width: 2; vector-effect: non-scaling-stroke; }
.uiapi-picture text { fill: var(--uiapi-text); }
.uiapi-picture .uiapi-added rect { stroke: var(--uiapi-good); stroke-width: 3; }
.uiapi-picture .uiapi-changed rect { stroke: var(--uiapi-primary); stroke-width: 3; stroke-dasharray: 8 3; }
.uiapi-picture .uiapi-removed rect { fill: none; stroke-dasharray: 2 4; }
.uiapi-picture .uiapi-removed text { fill: var(--uiapi-muted); text-decoration: line-through; }
.uiapi-legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; margin: 0.35rem 0 0; padding: 0; list-style: none; font-size: 0.8125rem; }
.uiapi-legend li { display: flex; align-items: center; gap: 0.4rem; }
.uiapi-legend li::before { content: ""; width: 1.25rem; height: 0.75rem; border-radius: 0.2rem; border: 2px solid var(--uiapi-good); }
.uiapi-legend .uiapi-changed::before { border: 2px dashed var(--uiapi-primary); }
.uiapi-legend .uiapi-removed::before { border: 2px dotted var(--uiapi-muted); }
.uiapi-picture line { stroke: var(--uiapi-muted); stroke-width: 1; vector-effect: non-scaling-stroke; }
.uiapi-facts { display: grid; grid-template-columns: auto 1fr; gap: 0.25rem 0.75rem; margin: 0; }
.uiapi-facts dt { color: var(--uiapi-muted); }
.uiapi-facts dd { margin: 0; overflow-wrap: anywhere; }
.uiapi-actions { display: flex; justify-content: flex-end; gap: 1rem; flex: none; }
.uiapi-over, .uiapi-sweeps { display: flex; flex-direction: column; align-items: center; gap: 0.25rem; }
.graph-canvas-panel, #linearCenterPanel { anchor-name: --graph-canvas-panel; }
.uiapi-over { position: fixed; left: 50%; bottom: 4.75rem; transform: translateX(-50%); z-index: 10; width: max-content; max-width: 90vw; pointer-events: none; }
.uiapi-over > .uiapi-notice, .uiapi-badge .uiapi-icon { pointer-events: auto; }
.uiapi-badge { display: flex; align-items: center; gap: 0.5rem;
  padding: 0.35rem 0.75rem; border-radius: 1rem; border: 1px solid var(--uiapi-border); background: var(--uiapi-surface); color: var(--uiapi-text); font-size: 0.8125rem; font-variant-numeric: tabular-nums; max-width: 24rem; overflow-wrap: anywhere; }
.uiapi-badge > .pi, .uiapi-badge > .uiapi-preview { flex: none; }
.uiapi-models { table-layout: fixed; }
.uiapi-models th { font-weight: 600; }
.uiapi-models th:nth-child(1) { width: 38%; }
.uiapi-models th:nth-child(3) { width: 5.5rem; }
.uiapi-models th > .uiapi-hint { font-weight: 400; font-size: 0.8125rem; }
.uiapi-links { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; font-size: 0.8125rem; }
.uiapi-links a { color: inherit; }
.uiapi-dialog form { display: contents; }
.uiapi-dialog .uiapi-actions { align-items: center; }
.uiapi-dialog .uiapi-actions > .uiapi-grow { flex: 1; }
.uiapi-choice { border: 0; margin: 0; padding: 0; min-width: 0; display: flex; flex-direction: column; gap: 0.35rem; }
.uiapi-choice legend { padding: 0; font-weight: 600; overflow-wrap: anywhere; }
.uiapi-choice .uiapi-grow { overflow-wrap: anywhere; }
.uiapi-choice .uiapi-hint { flex: none; }
.uiapi-dialog input[type="checkbox"], .uiapi-dialog input[type="radio"] { width: 1rem; height: 1rem; flex: none; accent-color: var(--uiapi-primary); }
.uiapi-models td > div { white-space: pre-wrap; margin-top: 0.25rem; }
.uiapi-models .uiapi-folder { margin-top: 0.25rem; }
.uiapi-folder .uiapi-hint { flex: none; }
.uiapi-models select:not([hidden]) + input:not([hidden]) { margin-top: 0.25rem; }
.uiapi-notice { order: -1; display: flex; align-items: center; gap: 0.5rem; box-sizing: border-box; max-width: min(40rem, 100%); margin-bottom: 0.25rem;
  padding: 0.4rem 0.5rem 0.4rem 0.75rem; border-radius: 0.5rem; border: 1px solid var(--uiapi-border); background: var(--uiapi-surface); color: var(--uiapi-text); font-size: 0.8125rem; }
.uiapi-notice[hidden], .uiapi-notice [hidden] { display: none; }
.uiapi-lines { display: flex; flex-direction: column; gap: 0.35rem; flex: 1; min-width: 0; }
.uiapi-lines .uiapi-grow { flex: 1; overflow-wrap: anywhere; }
.uiapi-nodes { table-layout: fixed; }
.uiapi-nodes th:nth-child(1) { width: 28%; }
.uiapi-nodes th:nth-child(2) { width: 22%; }
.uiapi-nodes th:nth-child(4) { width: 7rem; }
.uiapi-nodes select { max-width: 100%; }
.uiapi-preview { width: 3rem; height: 3rem; margin: 0 0 0 -0.35rem; border-radius: 0.5rem; object-fit: cover; }
.uiapi-badge[hidden], .uiapi-preview[hidden] { display: none; }
.uiapi-paused { position: fixed; left: 50%; top: 6rem; transform: translateX(-50%); z-index: 10; display: flex; align-items: center; gap: 0.5rem; max-width: 90vw;
  padding: 0.35rem 0.5rem 0.35rem 0.75rem; border-radius: 1rem; border: 1px solid var(--error-text); background: var(--uiapi-surface); color: var(--uiapi-text); font-size: 0.8125rem; }
/* In the middle of what the sidebar leaves of the canvas, in browsers that have this. */
@supports (left: anchor(center)) { .uiapi-over, .uiapi-paused { position-anchor: --graph-canvas-panel; position-visibility: always; left: anchor(center, 50%); } }
.uiapi-paused .uiapi-link { display: inline-flex; align-items: center; gap: 0.5rem; }
`;

/**
 * Adds the styles to the page.
 *
 * @param {import("../../page/frontend.js").Look} look
 */
export function addStyles(look) {
  const style = document.createElement("style");
  style.textContent = variablesOf(look) + RULES;
  document.head.append(style);
  document.body.classList.add(`uiapi-look-${look}`);
}
