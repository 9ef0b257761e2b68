/**
 * The web pages from elsewhere in the panel, with the person's decision about each and its own rules.
 *
 * @typedef {import("./state.js").WebApp} WebApp
 */

import { arrangeRows, breakable, button, iconButton, make, set } from "../dom.js";
import { KINDS, RULES } from "../controls/settings.js";
import { named, t } from "../texts.js";

// Pages that are shown at first; a button shows the rest.
const SHOWN_AT_FIRST = 4;
const DECISIONS = ["allow", "session", "refuse"];

/**
 * @param {import("./state.js").State} state
 * @param {(command: string, data: any) => unknown} ask
 */
export function createWebApps(state, ask) {
  const list = make("div", { role: "list", "aria-label": t("webApps") });
  let all = false;
  const more = button("", () => {
    all = true;
    update();
  }, { small: true });
  const problem = make("p", { class: "uiapi-bad" });
  const element = make("section", { class: "uiapi-section" }, make("h3", { text: t("webApps") }), problem, list, more);

  /** @param {WebApp} first */
  function createRow({ origin }) {
    const undecided = make("option", { value: "", disabled: true });
    const decisions = DECISIONS.map((value) => make("option", { value, text: named("webAppDecisions", value) }));
    const decision = make(
      "select",
      { "aria-label": t("webAppDecision", { origin }), onchange: () => ask("panel_web_app", { origin, decision: decision.value }) },
      undecided,
      ...decisions,
    );
    const forget = iconButton("pi-trash", t("webAppForget", { origin }), () => ask("panel_forget_web_app", { origin }));
    const byOperator = make("span", { class: "uiapi-hint", text: t("webAppNamed") });
    const rules = KINDS.map((kind) => {
      const options = RULES.map((value) => make("option", { value, text: named("webAppRuleNames", value) }));
      const choice = make(
        "select",
        { "aria-label": t("webAppRule", { origin, kind: named("kinds", kind) ?? kind }), onchange: () => ask("panel_web_app", { origin, rules: { [kind]: choice.value } }) },
        ...options,
      );
      return { kind, choice };
    });
    const lines = rules.map(({ kind, choice }) => make("label", { class: "uiapi-line" }, make("span", { class: "uiapi-grow", text: named("kinds", kind) }), choice));
    const details = make("details", {}, make("summary", { text: t("webAppRules") }), ...lines);
    const title = make("strong", { class: "uiapi-grow uiapi-origin", dir: "ltr" }, ...breakable(origin));
    const row = make("div", { class: "uiapi-row", role: "listitem" }, make("div", { class: "uiapi-line" }, title, forget), decision, byOperator, details);
    row.update = (/** @type {WebApp} */ app) => {
      set(undecided, { text: app.asking ? t("webAppAsking") : t("webAppUndecided") });
      undecided.hidden = app.decision !== null;
      decision.value = app.decision ?? "";
      set(decision, { title: decision.selectedOptions[0]?.text });
      byOperator.hidden = !app.named;
      details.hidden = app.decision === null || app.decision === "refuse";
      for (const { kind, choice } of rules) choice.value = app.rules[kind];
    };
    return row;
  }

  function update() {
    const apps = state.server?.web_apps ?? [];
    const reason = state.server?.web_apps_problem;
    // Those that wait for the person come first.
    const sorted = [...apps].sort((a, b) => Number(b.asking) - Number(a.asking));
    element.hidden = apps.length === 0 && !reason;
    problem.hidden = !reason;
    set(problem, { text: reason ? t("webAppsProblem", { problem: reason }) : "" });
    more.hidden = all || apps.length <= SHOWN_AT_FIRST;
    set(more, { text: t("showAll", { count: apps.length }) });
    arrangeRows(list, all ? sorted : sorted.slice(0, SHOWN_AT_FIRST), ({ origin }) => origin, createRow);
  }

  return { element, update };
}
