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
 * @param {string} icon of the frontend, such as "pi-pause"
 * @param {string} label for screen readers and the tooltip
 * @param {() => unknown} act
 * @returns {HTMLButtonElement}
 */
export function iconButton(icon, label, act) {
  const picture = make("i", { class: `pi ${icon}`, "aria-hidden": "true" });
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
  const picture = icon && make("i", { class: `pi ${icon}`, "aria-hidden": "true" });
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
