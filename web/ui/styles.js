/**
 * The styles of the panel and the dialogs, in the colours of the frontend's palette.
 */

const RULES = `
.uiapi [hidden], .uiapi-dialog [hidden] { display: none !important; }
.uiapi { display: flex; flex-direction: column; height: 100%; color: var(--input-text); font-size: 0.8125rem; overflow: hidden; }
.uiapi h2, .uiapi h3 { margin: 0; font-size: 0.8125rem; font-weight: 600; }
.uiapi p { margin: 0; overflow-wrap: anywhere; }
.uiapi-fixes { display: flex; flex-wrap: wrap; gap: 0.25rem 0.5rem; }
.uiapi-fixes .uiapi-button { white-space: normal; overflow-wrap: anywhere; text-align: left; }
.uiapi-head { padding: 0.75rem; display: flex; flex-direction: column; gap: 0.5rem; border-bottom: 1px solid var(--border-color); }
.uiapi-head > .uiapi-button { align-self: flex-start; }
.uiapi-line { display: flex; align-items: center; gap: 0.5rem; min-width: 0; }
.uiapi-line > .uiapi-grow { flex: 1; min-width: 0; }
.uiapi-cut { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.uiapi-hint { color: var(--descrip-text); }
.uiapi-bad { color: color-mix(in srgb, var(--error-text) 50%, var(--input-text)); }
.uiapi-dot { width: 0.5rem; height: 0.5rem; border-radius: 50%; flex: none; background: var(--descrip-text); }
.uiapi-dot.uiapi-on { background: var(--p-green-500, var(--input-text)); }
.uiapi-button { display: inline-flex; align-items: center; gap: 0.4rem; padding: 0.4rem 0.75rem; border-radius: 0.375rem; cursor: pointer;
  border: 1px solid var(--border-color); background: var(--comfy-input-bg); color: var(--input-text); font: inherit; white-space: nowrap; }
.uiapi-button.uiapi-small { padding: 0.15rem 0.5rem; }
.uiapi-button.uiapi-primary { border-color: var(--input-text); font-weight: 600; }
.uiapi-icon { display: inline-flex; align-items: center; justify-content: center; width: 1.5rem; height: 1.5rem; flex: none; padding: 0;
  border: 0; border-radius: 0.25rem; cursor: pointer; background: none; color: var(--input-text); font: inherit; }
.uiapi-button:hover, .uiapi-icon:hover, .uiapi-link:hover { background: var(--border-color); }
.uiapi-button:focus-visible, .uiapi-icon:focus-visible, .uiapi-link:focus-visible, .uiapi-switch:focus-visible, .uiapi-tab:focus-visible,
.uiapi input:focus-visible, .uiapi-dialog input:focus-visible, .uiapi-dialog select:focus-visible { outline: 2px solid var(--input-text); outline-offset: 1px; }
.uiapi-button:disabled, .uiapi-icon:disabled { opacity: 0.5; cursor: default; }
.uiapi-link { border: 0; padding: 0 0.15rem; border-radius: 0.25rem; background: none; color: inherit; font: inherit; cursor: pointer; text-align: left; }
.uiapi-switch { display: flex; align-items: center; gap: 0.5rem; border: 0; padding: 0.15rem; background: none; color: inherit; font: inherit; cursor: pointer; text-align: left; border-radius: 0.25rem; }
.uiapi-switch::before { content: ""; width: 2rem; height: 1.125rem; border-radius: 1rem; flex: none; border: 1px solid var(--input-text);
  background: radial-gradient(circle at 0.5rem 50%, var(--input-text) 0.35rem, transparent 0.4rem) var(--comfy-input-bg); }
.uiapi-switch[aria-checked="true"]::before { background: radial-gradient(circle at 1.4rem 50%, var(--comfy-input-bg) 0.35rem, transparent 0.4rem) var(--input-text); }
.uiapi-tabs { display: flex; border-bottom: 1px solid var(--border-color); padding: 0 0.5rem; }
.uiapi-tab { flex: 1; border: 0; border-bottom: 2px solid transparent; padding: 0.5rem 0.25rem; background: none; color: var(--descrip-text); font: inherit; cursor: pointer; }
.uiapi-tab[aria-selected="true"] { border-bottom-color: var(--input-text); color: var(--input-text); }
.uiapi-body { flex: 1; min-height: 0; display: flex; flex-direction: column; }
.uiapi-section { padding: 0.5rem 0.75rem; display: flex; flex-direction: column; gap: 0.25rem; }
.uiapi-programs { max-height: 9.5rem; overflow-y: auto; }
.uiapi-row { content-visibility: auto; contain-intrinsic-size: auto 4rem; display: flex; flex-direction: column; gap: 0.1rem; padding: 0.25rem 0; }
.uiapi-scroll { overflow: auto; min-height: 0; }
.uiapi-fill { flex: 1; }
.uiapi-log { position: relative; flex: 1; min-height: 6rem; overflow-y: auto; overflow-x: hidden; contain: strict; }
.uiapi-log-line { position: absolute; left: 0; right: 0; height: 26px; padding: 0 0.75rem; display: flex; align-items: center; gap: 0.4rem; contain: strict; }
.uiapi-log-line.uiapi-detail { padding-left: 2rem; }
.uiapi-log-line time { color: var(--descrip-text); flex: none; font-variant-numeric: tabular-nums; }
.uiapi-bar { height: 0.375rem; border-radius: 0.25rem; background: var(--comfy-input-bg); border: 1px solid var(--border-color); overflow: hidden; }
.uiapi-bar > div { height: 100%; background: var(--input-text); transform-origin: left; }
.uiapi-table { border-collapse: collapse; width: 100%; }
.uiapi-files td:nth-child(2) { min-width: 7rem; }
.uiapi-files td:nth-child(4) { white-space: nowrap; }
.uiapi-table th { text-align: left; font-weight: 600; }
.uiapi-table th, .uiapi-table td { padding: 0.25rem 0.5rem 0.25rem 0; vertical-align: top; overflow-wrap: anywhere; border-bottom: 1px solid var(--border-color); }
.uiapi input[type="text"], .uiapi input[type="search"], .uiapi-dialog input, .uiapi-dialog select, .uiapi-dialog textarea { width: 100%; box-sizing: border-box; padding: 0.35rem 0.5rem; border-radius: 0.25rem;
  border: 1px solid var(--border-color); background: var(--comfy-input-bg); color: var(--input-text); font: inherit; }
.uiapi-dialog { display: flex; flex-direction: column; gap: 0.75rem; width: min(34rem, 80vw); max-width: 100%; max-height: 65vh; color: var(--input-text); font-size: 0.875rem; padding: 2px; }
.uiapi-dialog.uiapi-wide { width: min(45rem, 86vw); }
.uiapi-dialog p { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.uiapi-offer { display: flex; flex-direction: column; gap: 0.75rem; min-height: 0; }
.uiapi-picture { width: 100%; height: 11rem; flex: none; border: 1px solid var(--border-color); border-radius: 0.375rem; background: var(--comfy-input-bg); }
.uiapi-picture rect { fill: var(--comfy-menu-bg); stroke: var(--descrip-text); stroke-width: 2; vector-effect: non-scaling-stroke; }
.uiapi-picture rect.uiapi-fresh { stroke: var(--p-green-500, var(--input-text)); }
.uiapi-picture line { stroke: var(--descrip-text); stroke-width: 1; vector-effect: non-scaling-stroke; }
.uiapi-facts { display: grid; grid-template-columns: auto 1fr; gap: 0.25rem 0.75rem; margin: 0; }
.uiapi-facts dt { color: var(--descrip-text); }
.uiapi-facts dd { margin: 0; overflow-wrap: anywhere; }
.uiapi-actions { display: flex; justify-content: flex-end; gap: 0.5rem; flex: none; }
.uiapi-badge { position: fixed; left: 50%; bottom: 4rem; transform: translateX(-50%); z-index: 10; pointer-events: none; display: flex; align-items: center; gap: 0.5rem;
  padding: 0.35rem 0.75rem; border-radius: 1rem; border: 1px solid var(--border-color); background: var(--comfy-menu-bg); color: var(--input-text); font-size: 0.8125rem; max-width: 24rem; }
.uiapi-models { table-layout: fixed; }
.uiapi-models th { font-weight: 600; }
.uiapi-models th:nth-child(1) { width: 21.5%; }
.uiapi-models th:nth-child(2) { width: 17%; }
.uiapi-models th:nth-child(3) { width: 22.5%; }
.uiapi-models th:nth-child(5) { width: 3rem; }
.uiapi-dialog form { display: contents; }
.uiapi-dialog .uiapi-actions { align-items: center; }
.uiapi-dialog .uiapi-actions > .uiapi-grow { flex: 1; }
.uiapi-choice { border: 0; margin: 0; padding: 0; min-width: 0; display: flex; flex-direction: column; gap: 0.35rem; }
.uiapi-choice legend { padding: 0; font-weight: 600; overflow-wrap: anywhere; }
.uiapi-choice .uiapi-grow { overflow-wrap: anywhere; }
.uiapi-choice .uiapi-hint { flex: none; }
.uiapi-dialog input[type="checkbox"], .uiapi-dialog input[type="radio"] { width: 1rem; height: 1rem; flex: none; }
.uiapi-models td > div { white-space: pre-wrap; margin-top: 0.25rem; }
.uiapi-models select:not([hidden]) + input:not([hidden]) { margin-top: 0.25rem; }
.uiapi-notice { position: fixed; left: 50%; bottom: 7rem; transform: translateX(-50%); z-index: 10; display: flex; align-items: center; gap: 0.5rem; max-width: min(40rem, 90vw);
  padding: 0.4rem 0.5rem 0.4rem 0.75rem; border-radius: 0.5rem; border: 1px solid var(--border-color); background: var(--comfy-menu-bg); color: var(--input-text); font-size: 0.8125rem; }
.uiapi-notice[hidden], .uiapi-notice [hidden] { display: none; }
.uiapi-lines { display: flex; flex-direction: column; gap: 0.35rem; flex: 1; min-width: 0; }
.uiapi-lines .uiapi-grow { flex: 1; overflow-wrap: anywhere; }
.uiapi-nodes { table-layout: fixed; }
.uiapi-nodes th:nth-child(1) { width: 28%; }
.uiapi-nodes th:nth-child(2) { width: 22%; }
.uiapi-nodes th:nth-child(4) { width: 3.5rem; }
.uiapi-nodes select { max-width: 100%; padding: 0.2rem; border-radius: 0.375rem; border: 1px solid var(--border-color); background: var(--comfy-input-bg); color: inherit; font: inherit; }
.uiapi-badge[hidden] { display: none; }
`;

/** Adds the styles to the page. */
export function addStyles() {
  const style = document.createElement("style");
  style.textContent = RULES;
  document.head.append(style);
}
