/**
 * Replaces methods of the page for a while.
 */

/**
 * Replaces a method, if the owner has it.
 *
 * @param {any} owner
 * @param {string} name
 * @param {(original: (...args: any[]) => any) => (this: any, ...args: any[]) => any} replacing returns the replacement
 * @returns {() => void} restores the method, unless something else has replaced it in the meantime
 */
export function replaceMethod(owner, name, replacing) {
  const original = owner?.[name];
  if (typeof original !== "function") return () => {};
  const own = Object.hasOwn(owner, name);
  const replaced = replacing(original);
  owner[name] = replaced;
  return () => {
    if (owner[name] !== replaced) return;
    if (own) owner[name] = original;
    else delete owner[name];
  };
}
