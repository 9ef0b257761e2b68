/**
 * The script of /uiapi/docs: search, the server's own address in the examples, and requests to try out.
 *
 * It stands inside the page as text, loads nothing, and writes answers as text only.
 */

// A module of its own for the type checker as well, as in the page.
export {};

const BASE = "http://127.0.0.1:8188";
// Where the page was opened, without /uiapi/docs: ComfyUI can be behind a proxy under a path.
const server = location.href.split("/uiapi/docs")[0];
const articles = [...document.querySelectorAll("article")];
const token = /** @type {HTMLInputElement} */ (document.getElementById("token"));
const search = /** @type {HTMLInputElement} */ (document.getElementById("search"));
const found = /** @type {HTMLElement} */ (document.getElementById("found"));

for (const part of document.querySelectorAll(".script")) part.removeAttribute("hidden");
for (const part of document.querySelectorAll("pre[data-language]")) {
  part.textContent = (part.textContent ?? "").replaceAll(BASE, server);
}
showLanguage("curl");
for (const article of articles) {
  for (const button of article.querySelectorAll("button[data-show]")) {
    button.addEventListener("click", () => showLanguage(/** @type {HTMLElement} */ (button).dataset.show ?? "curl"));
  }
  article.querySelector("button.copy")?.addEventListener("click", (event) => void copy(article, event));
  const form = article.querySelector("form");
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    void send(/** @type {HTMLElement} */ (article), form);
  });
}
// The token is read when a request is sent.
document.getElementById("access")?.addEventListener("submit", (event) => event.preventDefault());
search.addEventListener("input", filter);
search.addEventListener("keydown", (event) => {
  const first = /** @type {HTMLAnchorElement | null} */ (document.querySelector("nav li:not([hidden]) a"));
  if (event.key === "Enter") first?.click();
  if (event.key === "Escape") (search.value = ""), filter();
});
document.addEventListener("keydown", (event) => {
  const typing = /** @type {HTMLElement} */ (event.target).closest("input, textarea");
  if (event.key === "/" && !typing) event.preventDefault(), search.focus();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) typing?.closest("form")?.requestSubmit();
});
addEventListener("hashchange", markCurrent);
markCurrent();

/** @param {string} language */
function showLanguage(language) {
  for (const part of document.querySelectorAll("pre[data-language]")) {
    part.toggleAttribute("hidden", /** @type {HTMLElement} */ (part).dataset.language !== language);
  }
  for (const button of document.querySelectorAll("button[data-show]")) {
    button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.show === language));
  }
}

/** Show the commands whose name, text, fields or error codes contain every word. */
function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const article of articles) {
    const text = `${article.id.replaceAll("_", " ")} ${article.textContent}`.toLowerCase();
    const fits = words.every((word) => text.includes(word));
    article.toggleAttribute("hidden", !fits);
    document.querySelector(`nav a[href="#${article.id}"]`)?.parentElement?.toggleAttribute("hidden", !fits);
    shown += fits ? 1 : 0;
  }
  for (const section of document.querySelectorAll("nav section")) {
    section.toggleAttribute("hidden", !section.querySelector("li:not([hidden])"));
  }
  found.textContent = words.length ? `${shown} of ${articles.length} commands` : "";
}

function markCurrent() {
  const link = document.querySelector(`nav a[href="#${CSS.escape(location.hash.slice(1))}"]`);
  for (const other of document.querySelectorAll("nav a[aria-current]")) other.removeAttribute("aria-current");
  link?.setAttribute("aria-current", "true");
}

/**
 * @param {Element} article
 * @param {Event} event
 */
async function copy(article, event) {
  const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
  const text = article.querySelector("pre[data-language]:not([hidden])")?.textContent ?? "";
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Browsers have no clipboard for pages that are neither HTTPS nor loopback.
    button.textContent = "Select the text and press Ctrl+C";
  }
}

/**
 * @param {HTMLElement} article
 * @param {HTMLFormElement} form
 */
async function send(article, form) {
  const outcome = /** @type {HTMLElement} */ (form.querySelector(".outcome"));
  const shown = /** @type {HTMLElement} */ (form.querySelector(".answer"));
  const stop = /** @type {HTMLButtonElement} */ (form.querySelector(".stop"));
  const submit = /** @type {HTMLButtonElement} */ (form.querySelector("button:not([type])"));
  const cancel = new AbortController();
  stop.onclick = () => cancel.abort();
  submit.disabled = true;
  stop.disabled = false;
  outcome.textContent = "Waiting for the answer…";
  outcome.classList.remove("failed");
  const begun = performance.now();
  try {
    const { address, options } = request(article, form);
    const response = await fetch(address, { ...options, signal: cancel.signal });
    const text = await response.text();
    const taken = Math.round(performance.now() - begun);
    outcome.textContent = `${response.status} ${response.statusText} · ${taken} ms`;
    outcome.classList.toggle("failed", !response.ok);
    shown.textContent = indented(text);
    shown.hidden = false;
  } catch (error) {
    const stopped = cancel.signal.aborted;
    outcome.textContent = stopped ? "Stopped; the server may have begun." : /** @type {Error} */ (error).message;
    outcome.classList.add("failed");
    shown.hidden = true;
  }
  submit.disabled = false;
  stop.disabled = true;
}

/**
 * @param {HTMLElement} article
 * @param {HTMLFormElement} form
 */
function request(article, form) {
  const method = article.dataset.method ?? "POST";
  let path = article.dataset.path ?? "";
  /** @type {Record<string, string>} */
  const headers = token.value ? { Authorization: `Bearer ${token.value}` } : {};
  const values = new FormData(form);
  if (method === "GET") {
    const query = new URLSearchParams();
    for (const [name, value] of values) {
      const place = `{${name}}`;
      if (path.includes(place)) path = path.replace(place, () => encodeURIComponent(String(value)));
      else if (value) query.set(name, String(value));
    }
    return { address: `${server}${path}${query.size ? `?${query}` : ""}`, options: { method, headers } };
  }
  const body = String(values.get("body"));
  headers["Content-Type"] = "application/json";
  return { address: server + path, options: { method, headers, body } };
}

/**
 * Indent JSON without decoding it, since numbers above 2^53, such as seeds, would become others.
 *
 * @param {string} text
 */
function indented(text) {
  if (!/^\s*[{[]/.test(text)) return text;
  let depth = 0;
  let result = "";
  for (const [part] of text.matchAll(/"(?:\\.|[^"\\])*"|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    const line = (/** @type {number} */ change) => `\n${"  ".repeat((depth += change))}`;
    if (part === "{" || part === "[") result += part + line(1);
    else if (part === "}" || part === "]") result += line(-1) + part;
    else if (part === ",") result += part + line(0);
    else result += part === ":" ? ": " : part;
  }
  return result;
}
