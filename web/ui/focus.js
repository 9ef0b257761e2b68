/**
 * The focus of our open dialogs, kept from a page that takes it away by itself: what the person types would be lost.
 */

// Whoever insists fights with the page for ever.
const GIVEN_BACK_AT_MOST = 3;
// Milliseconds in which the focus may move because of what the person did last.
const PERSON_FOR = 300;
// The keys that move the focus, or do what a click does.
const MOVING = new Set(["Tab", "Enter", "Escape"]);

/**
 * Put the focus back into a dialog when it leaves without the person's doing, as a dialog of the page takes it that is
 * still on its way in when ours opens. Where the person goes they stay; in the dialog the focus may also go without a
 * key or a click, as a screen reader or a password manager moves it.
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

  /** @param {boolean} moves whether what the person does may move the focus */
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
    // Not at once: the page may be answering the same event, and 1.58 selects all that is written where it brings the
    // focus back itself, so that the next key replaces it.
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
