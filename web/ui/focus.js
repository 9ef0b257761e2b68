/**
 * Keeps the focus in open dialogs when the page takes it away by itself, since the person's typing would be lost.
 */

// Unlimited attempts could fight with the page for ever.
const GIVEN_BACK_AT_MOST = 3;
// Milliseconds after the last input in which the focus may move.
const PERSON_FOR = 300;
// The keys that move the focus or act like a click.
const MOVING = new Set(["Tab", "Enter", "Escape"]);

/**
 * Returns the focus to a dialog when the page moves it without input of the person, as a dialog of the page does that
 * is still opening when this one opens. Moves by the person are respected; inside the dialog the focus may also move
 * without a key or a click, as screen readers and password managers do.
 *
 * @param {HTMLElement} dialog
 * @param {() => boolean} onTop whether no other dialog is above it
 * @param {AbortSignal} closed
 */
export function keepFocus(dialog, onTop, closed) {
  const options = { capture: true, signal: closed };
  let left = GIVEN_BACK_AT_MOST;
  let person = false;
  let timer = 0;

  /** @param {boolean} moves whether the input may move the focus */
  function acted(moves) {
    person = moves;
    clearTimeout(timer);
    if (moves) timer = setTimeout(() => (person = false), PERSON_FOR);
  }

  /** @param {FocusEvent} event */
  function lost({ target }) {
    if (person || left === 0 || !dialog.contains(/** @type {Node} */ (target)) || !onTop()) return;
    const had = /** @type {HTMLInputElement} */ (target);
    const { selectionStart, selectionEnd } = had;
    // Deferred: the page may be handling the same event, and when 1.58 returns the focus itself, it selects the whole
    // text, which the next key would replace.
    queueMicrotask(() => {
      if (closed.aborted) return;
      const moved = document.activeElement !== had;
      if (moved && dialog.contains(document.activeElement)) return;
      if (!moved && had.selectionStart === selectionStart && had.selectionEnd === selectionEnd) return;
      left--;
      if (moved) had.focus();
      if (typeof selectionStart === "number") had.setSelectionRange(selectionStart, selectionEnd);
    });
  }

  for (const name of ["pointerdown", "click"]) document.addEventListener(name, () => acted(true), options);
  document.addEventListener("keydown", ({ key }) => acted(MOVING.has(key)), options);
  document.addEventListener("focusout", lost, options);
}
