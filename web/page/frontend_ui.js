/**
 * What the extension uses of the frontend's windows: dialogs, the sidebar, settings, toasts and the language.
 *
 * @typedef {import("./frontend.js").Frontend} Frontend
 * @typedef {import("./frontend.js").OpenDialog} OpenDialog
 */

const ERROR_KEY = "global-error";

/**
 * @param {any} api ComfyUI's api
 * @param {any} page the window
 * @param {() => any} manager returns what the frontend offers to extensions
 */
export function createFrontendUi(api, page, manager) {
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
      api.getCustomNodesI18n().catch((/** @type {unknown} */ error) => {
        page.console.warn("ComfyUI-uiapi: its texts could not be loaded, and their names are shown instead", error);
        return {};
      }),

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

    /** Opens the settings of the frontend. */
    openSettings: () => manager()?.command?.execute("Comfy.ShowSettingsDialog"),

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
