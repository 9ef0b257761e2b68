/**
 * The looks of the frontend's own panels and dialogs as CSS variables, one set per generation of the frontend.
 *
 * Each value refers to a variable of the frontend, so palettes apply by themselves. Text on the primary colour is dark in
 * every palette: the frontend's own white does not have the contrast that small text needs.
 */

/** @type {Record<import("../../page/frontend.js").Look, Record<string, string>>} */
const LOOKS = {
  primevue: {
    surface: "var(--p-content-background)",
    text: "var(--p-text-color)",
    muted: "var(--p-text-muted-color)",
    border: "var(--p-content-border-color)",
    raised: "var(--p-content-hover-background)",
    field: "var(--p-inputtext-background)",
    "field-text": "var(--p-inputtext-color)",
    "field-border": "var(--p-inputtext-border-color)",
    "field-radius": "var(--p-inputtext-border-radius)",
    "field-padding": "0.5rem 0.75rem",
    "field-focus": "var(--p-inputtext-focus-border-color)",
    radius: "var(--p-button-border-radius)",
    button: "var(--p-button-secondary-background)",
    "button-text": "var(--p-button-secondary-color)",
    "button-hover": "var(--p-button-secondary-hover-background)",
    "button-size": "1rem",
    "button-weight": "400",
    "button-height": "2.25rem",
    "button-padding": "0.5rem 0.75rem",
    primary: "var(--p-button-primary-background)",
    "primary-text": "var(--p-surface-900)",
    "primary-hover": "var(--p-button-primary-hover-background)",
    ghost: "var(--p-button-text-secondary-color)",
    "ghost-hover": "var(--p-content-hover-background)",
    good: "var(--p-green-500)",
    ring: "var(--p-focus-ring-color)",
    tab: "var(--interface-menu-component-surface-hovered, var(--p-content-hover-background))",
    bar: "2.25rem",
    "bar-large": "2.75rem",
    "bar-padding": "0.25rem 0.5rem",
    "title-weight": "400",
    "title-size": "0.75rem",
    "title-size-large": "0.875rem",
    "title-case": "uppercase",
    gap: "0.5rem",
  },
  own: {
    surface: "var(--background)",
    text: "var(--foreground)",
    muted: "var(--muted-foreground)",
    border: "var(--border)",
    raised: "var(--secondary)",
    field: "var(--secondary)",
    "field-text": "var(--foreground)",
    "field-border": "transparent",
    "field-radius": "var(--radius-lg)",
    "field-padding": "0.375rem 0.75rem",
    "field-focus": "var(--ring)",
    radius: "var(--radius-lg)",
    button: "var(--secondary)",
    "button-text": "var(--foreground)",
    "button-hover": "var(--accent)",
    "button-size": "0.75rem",
    "button-weight": "500",
    "button-height": "2rem",
    "button-padding": "0.5rem",
    primary: "var(--primary)",
    "primary-text": "var(--color-charcoal-800)",
    "primary-hover": "color-mix(in oklab, var(--primary) 90%, transparent)",
    ghost: "var(--muted-foreground)",
    "ghost-hover": "var(--accent)",
    good: "var(--color-success)",
    ring: "var(--ring)",
    tab: "var(--accent)",
    bar: "4rem",
    "bar-large": "4rem",
    "bar-padding": "0 1rem",
    "title-weight": "700",
    "title-size": "1rem",
    "title-size-large": "1rem",
    "title-case": "none",
    gap: "1rem",
  },
};

/**
 * @param {import("../../page/frontend.js").Look} look
 * @returns {string} the rule that defines the variables
 */
export function variablesOf(look) {
  const lines = Object.entries(LOOKS[look]).map(([name, value]) => `--uiapi-${name}: ${value};`);
  // As variables of the palette are set on the body.
  return `body { ${lines.join(" ")} }`;
}
