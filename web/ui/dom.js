/**
 * Creates and updates elements. Text is always set as text, so nothing that a program sends can become markup.
 *
 * @typedef {Node | string | null | undefined | false} Child
 */

/**
 * @param {string} tag
 * @param {Record<string, any>} [facts] `class`, `text`, `on…` listeners, and attributes; null and false are left out
 * @param {...Child} children
 * @returns {any} the element
 */
export function make(tag, facts = {}, ...children) {
  const element = document.createElement(tag);
  set(element, facts);
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * @param {string} text such as a path or the name of a file
 * @returns {Node[]} the same text, which breaks after its separators where it does not fit on a line
 */
export function breakable(text) {
  return text.split(/(?<=[\w)][/\\_.:-])(?=\w)/).flatMap((part, at) => [...(at > 0 ? [document.createElement("wbr")] : []), document.createTextNode(part)]);
}

/**
 * @param {any} element
 * @param {Record<string, any>} facts as of `make`
 */
export function set(element, facts) {
  for (const [name, value] of Object.entries(facts)) {
    if (name === "class") element.className = value;
    else if (name === "text") {
      if (element.textContent !== String(value)) element.textContent = value;
    } else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : value);
  }
}

/**
 * @param {string} icon of the frontend, such as "pi-pause", or the classes of one that is none of PrimeVue's
 * @returns {HTMLElement}
 */
export function iconOf(icon) {
  return make("i", { class: icon.startsWith("pi-") ? `pi ${icon}` : icon, "aria-hidden": "true" });
}

/**
 * @param {string} icon as of `iconOf`
 * @param {string} label for screen readers and the tooltip
 * @param {() => unknown} act
 * @returns {HTMLButtonElement}
 */
export function iconButton(icon, label, act) {
  const picture = iconOf(icon);
  return make("button", { class: "uiapi-icon", type: "button", title: label, "aria-label": label, onclick: act }, picture);
}

/**
 * @param {string} label
 * @param {(click: Event) => unknown} act
 * @param {{primary?: boolean, small?: boolean, icon?: string}} [look]
 * @returns {HTMLButtonElement}
 */
export function button(label, act, { primary = false, small = false, icon } = {}) {
  const look = `uiapi-button${primary ? " uiapi-primary" : ""}${small ? " uiapi-small" : ""}`;
  const picture = icon && iconOf(icon);
  return make("button", { class: look, type: "button", onclick: act }, picture, make("span", { text: label }));
}

/**
 * Updates a list of rows to match a list of things, with as few new, moved and removed rows as possible.
 *
 * @template T
 * @param {HTMLElement} list
 * @param {T[]} things
 * @param {(thing: T) => string} keyOf
 * @param {(thing: T) => any} create returns a row with a function `update` that receives the current thing
 */
export function arrangeRows(list, things, keyOf, create) {
  /** @type {Map<string, any>} */
  const known = new Map([...list.children].map((/** @type {any} */ row) => [row.uiapiKey, row]));
  let place = list.firstElementChild;
  for (const thing of things) {
    const key = keyOf(thing);
    let row = known.get(key);
    known.delete(key);
    if (!row) {
      row = create(thing);
      row.uiapiKey = key;
    }
    row.update(thing);
    if (row === place) place = place?.nextElementSibling ?? null;
    else list.insertBefore(row, place);
  }
  for (const row of known.values()) row.remove();
}

/**
 * @param {string} icon as of `iconOf`
 * @param {string} title
 * @param {string} [hint]
 * @returns {HTMLElement} what a panel shows while it has nothing else to show
 */
export function emptyState(icon, title, hint) {
  return make("div", { class: "uiapi-empty" }, iconOf(icon), make("h3", { text: title }), hint && make("p", { text: hint }));
}

/** @returns {HTMLElement} where notices and badges stand above each other, over the canvas or what is shown in its place */
export function overCanvas() {
  let place = document.querySelector(".uiapi-over");
  if (!place) document.body.append((place = make("div", { class: "uiapi-over" })));
  return /** @type {HTMLElement} */ (place);
}
