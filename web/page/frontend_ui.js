/**
 * The parts of the frontend's user interface that the extension uses: dialogs, the sidebar, settings, toasts and the language.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 * @typedef {import("./frontend.js").OpenDialog} OpenDialog
 */

const ERROR_KEY = "global-error";
// Milliseconds: how often to look for a category in the settings, and for how long.
const LOOK_EVERY = 50;
const LOOK_FOR = 5_000;

/**
 * @param {any} app ComfyUI's app
 * @param {any} api ComfyUI's api
 * @param {any} page the window
 * @param {() => any} manager returns what the frontend offers to extensions
 */
export function createFrontendUi(app, api, page, manager) {
  /**
   * Returns the frontend's store of open dialogs. Extensions have no access to it, but every store leads to the others.
   * If it can't be found, a dialog that is no longer needed stays open until the person closes it.
   *
   * @returns {any}
   */
  const dialogStore = () => manager()?._p?._s?.get("dialog");

  return {
    /**
     * @param {string} key
     * @returns {unknown} the value of a setting of the frontend
     */
    setting: (key) => manager()?.setting?.get(key),

    /**
     * @param {string} key
     * @param {unknown} value the new value of a setting of the frontend
     */
    setSetting: (key, value) => manager()?.setting?.set(key, value),

    /** @returns {string} the language that the person has chosen, such as zh-TW */
    locale: () => manager()?.setting?.get("Comfy.Locale") ?? "en",

    /**
     * Returns the texts of all packs by language. The frontend reads them too, but neither gives extensions access to its
     * translations nor, in 1.32, keeps those of languages that it loads later.
     *
     * @returns {Promise<Record<string, any>>}
     */
    translations: () =>
      api.getCustomNodesI18n().then(keptIn(page)).catch((/** @type {unknown} */ error) => {
        page.console.warn("ComfyUI-uiapi: its texts could not be loaded, and their names are shown instead", error);
        return {};
      }),

    /** @param {(locale: string) => void} changed called when the person chooses another language */
    onLocale(changed) {
      // 1.32 sends the event before the setting has the new value.
      app.ui?.settings?.addEventListener?.("Comfy.Locale.change", (/** @type {CustomEvent} */ { detail }) => changed(detail.value));
    },

    /** @returns {any} the frontend's dialogs for extensions: confirm and prompt */
    dialogs: () => manager()?.dialog,

    /**
     * Opens a dialog of the frontend around an element.
     *
     * @param {{key: string, title: string, element: HTMLElement, wide?: boolean, opened: () => void, closed: () => void}} facts
     * @returns {() => void} closes it
     */
    showElement({ key, title, element, wide = false, opened, closed }) {
      // A minimal component that only contains the element.
      const component = {
        render: () => null,
        /** @this {any} */
        mounted() {
          this.$el.parentNode.insertBefore(element, this.$el);
          opened();
        },
        unmounted: closed,
      };
      // `closeDialog` of 1.32 looks for the key without the prefix.
      const own = `extension-${key}`;
      // 1.45 has two kinds of dialogs; the older kind gets neither focus nor clicks on top of the newer one.
      const look = { onClose: closed, size: wide ? "lg" : "md", renderer: "reka" };
      return manager().dialog.showExtensionDialog({ key: own, title, component, dialogComponentProps: look }).closeDialog;
    },

    /**
     * Adds a tab to the sidebar.
     *
     * @param {{id: string, icon: string, title: string, tooltip: string, render: (element: HTMLElement) => void,
     *   destroy: () => void}} tab
     */
    addSidebarTab(tab) {
      // 1.58 has a documented store of tabs, 1.32 an undocumented one; the older function logs a warning in 1.58.
      const place = manager().sidebarTab?.registerSidebarTab ? manager().sidebarTab : manager();
      place.registerSidebarTab({ ...tab, type: "custom" });
    },

    /**
     * @param {string} id of a tab of the sidebar
     * @returns {boolean} whether it is open
     */
    sidebarShows: (id) => manager()?.sidebarTab?.activeSidebarTabId === id,

    /** @returns {import("./frontend.js").Look} 1.32 draws its panels with PrimeVue, 1.58 with components of its own */
    look: () => (page.getComputedStyle(page.document.body).getPropertyValue("--p-content-background") ? "primevue" : "own"),

    /** @returns {string | null} the class of the icon that closes the frontend's panels; 1.32 has none */
    closeIcon() {
      return this.look() === "own" ? "icon-[lucide--x] size-4" : null;
    },

    /** @param {string} id of a tab of the sidebar, to be opened or closed */
    toggleSidebar: (id) => manager()?.command?.execute(`Workspace.ToggleSidebarTab.${id}`),

    /** Runs the open workflow as the Run button does. */
    run: () => manager()?.command?.execute("Comfy.QueuePrompt"),

    /**
     * Marks a tab of the sidebar, which redraws its icon.
     *
     * @param {string} id
     * @param {{badge: string | null, tooltip: string}} mark
     */
    markSidebarTab(id, { badge, tooltip }) {
      const tab = manager()?.getSidebarTabs?.().find((/** @type {any} */ one) => one.id === id);
      if (tab) Object.assign(tab, { iconBadge: badge, tooltip });
    },

    /**
     * Opens the settings of the frontend at a category. Extensions can only open the dialog itself, so its entry is
     * clicked once it is there.
     *
     * @param {string} category as it was declared
     * @param {string} name of the category in the person's language
     */
    async openSettings(category, name) {
      await manager()?.command?.execute("Comfy.ShowSettingsDialog");
      const until = page.performance.now() + LOOK_FOR;
      const entry = () =>
        [...page.document.querySelectorAll('[role="dialog"] [data-nav-id], [role="dialog"] [role="option"]')].find(
          ({ dataset, textContent }) => dataset.navId === `root/${category}` || [category, name].includes(textContent.trim()),
        );
      while (!entry() && page.performance.now() < until) await new Promise((resume) => page.setTimeout(resume, LOOK_EVERY));
      entry()?.click();
    },

    /**
     * Copies a text for the person. Browsers offer the clipboard only to pages of this computer and over https.
     *
     * @param {string} text
     * @returns {Promise<boolean>} whether it was copied
     */
    async copy(text) {
      try {
        await page.navigator.clipboard.writeText(text);
        return true;
      } catch {
        const field = page.document.createElement("textarea");
        field.value = text;
        page.document.body.append(field);
        field.select();
        const copied = page.document.execCommand("copy");
        field.remove();
        return copied;
      }
    },

    /** @returns {any[]} the selected nodes */
    selectedNodes: () => Object.values(app.canvas?.selected_nodes ?? {}),

    /** @returns {{node: any, widget: any} | null} the widget under the pointer, or else the one with the focus */
    pointedWidget() {
      const { document } = page;
      const hovered = [...document.querySelectorAll(":hover")].pop();
      return widgetOf(app, hovered) ?? widgetOf(app, document.activeElement);
    },

    /** @returns {string} the URL of ComfyUI for programs, without a slash at the end */
    url: () => page.location.origin + api.fileURL("").replace(/\/$/, ""),

    /** @returns {string} the URL of the page that describes the commands */
    docsUrl: () => api.fileURL("/uiapi/docs"),

    /** @param {(preview: Blob) => void} listener called with each preview of a picture that ComfyUI is making */
    onPreview: (listener) => api.addEventListener("b_preview", (/** @type {any} */ { detail }) => detail instanceof Blob && listener(detail)),

    /** @returns {OpenDialog[]} the open dialogs, as far as known */
    openDialogs: () => [...(dialogStore()?.dialogStack ?? [])],

    /** @returns {string | undefined} the key of the topmost dialog, as far as known */
    topDialog: () => dialogStore()?.activeKey,

    /** @param {OpenDialog} dialog */
    closeDialog: (dialog) => dialogStore()?.closeDialog(dialog),

    /**
     * @param {"info" | "warn" | "error"} severity
     * @param {string} summary
     * @param {string} detail
     */
    toast: (severity, summary, detail) => manager()?.toast?.add({ severity, summary, detail, life: 8000 }),
  };
}

/**
 * Keeps the texts of packs in the frontend, so that settings, commands and menus have names in the person's language: 1.32
 * replaces all texts of a language when it has loaded its own. Where its texts can't be found, these names are English.
 *
 * @param {any} page the window
 * @returns {(served: Record<string, any>) => Record<string, any>} returns what it is given
 */
function keptIn(page) {
  return (served) => {
    const vue = page.document.getElementById("vue-app")?.__vue_app__;
    const texts = vue?._context?.provides?.[vue.__VUE_I18N_SYMBOL__]?.global;
    if (typeof texts?.setLocaleMessage !== "function" || typeof texts.mergeLocaleMessage !== "function") return served;
    const { setLocaleMessage } = texts;
    texts.setLocaleMessage = (/** @type {string} */ locale, /** @type {any} */ messages) => {
      setLocaleMessage(locale, messages);
      if (served[locale]) texts.mergeLocaleMessage(locale, served[locale]);
    };
    for (const [locale, messages] of Object.entries(served)) texts.mergeLocaleMessage(locale, messages);
    return served;
  };
}

/**
 * @param {any} app ComfyUI's app
 * @param {Element | null | undefined} element
 * @returns {{node: any, widget: any} | null} the widget that an element of the page shows
 */
function widgetOf({ canvas }, element) {
  if (!element || !canvas?.graph) return null;
  // Nodes 2.0 are elements of the page.
  const row = /** @type {HTMLElement | null} */ (element.closest("[data-widget-name]"));
  const box = /** @type {HTMLElement | null | undefined} */ (row?.closest("[data-node-id]"));
  for (const node of canvas.graph.nodes) {
    const shown = (/** @type {any} */ widget) =>
      row ? String(node.id) === box?.dataset.nodeId && widget.name === row.dataset.widgetName : widget.element?.contains(element);
    const widget = node.widgets?.find(shown);
    if (widget) return { node, widget };
  }
  if (element !== canvas.canvas) return null;
  const node = canvas.graph.getNodeOnPos(...canvas.graph_mouse);
  const widget = node && canvas.getWidgetAtCursor(node);
  return widget ? { node, widget } : null;
}

/**
 * Returns the error dialog that was opened since, if any.
 *
 * @param {Frontend} frontend
 * @param {OpenDialog[]} before the dialogs that were open before
 * @returns {OpenDialog | undefined}
 */
export function newError(frontend, before) {
  if (before.some(({ key }) => key === ERROR_KEY)) return undefined;
  return frontend.openDialogs().find(({ key }) => key === ERROR_KEY);
}
