/**
 * The entry that ComfyUI's page loads: puts the parts together and registers the extension.
 */

// Relative, since ComfyUI may be served below a path. Only the page has these files, so the compiler can't see them.
// @ts-ignore
import { api } from "../../scripts/api.js";
// @ts-ignore
import { app } from "../../scripts/app.js";
import { commands, given } from "./commands.js";
import { createDialogs } from "./dialogs.js";
import { CommandError } from "./errors.js";
import { createEvents } from "./events.js";
import { createFrontend } from "./frontend.js";
import { createHistory } from "./history.js";
import { createLastSeen } from "./lastseen.js";
import { createLoader } from "./loading.js";
import { createRevisions } from "./revision.js";
import { createRuns } from "./runs.js";
import { createTabs } from "./tabs.js";
import { createTransport } from "./transport.js";
import { unlessCancelled } from "./waiting.js";
import { createWorkflows } from "./workflows.js";

const TOKEN_KEY = "ComfyUI-uiapi.token";

const CAPABILITIES = ["execute.fields", "revisions", "tabs", "batch", "watch", "gather"];

const frontend = createFrontend(app, api, window);

function start() {
  const dialogs = createDialogs(frontend);
  const workflows = createWorkflows(frontend);
  const revisions = createRevisions(frontend, workflows, window);
  const means = {
    frontend,
    dialogs,
    workflows,
    revisions,
    history: createHistory(frontend, workflows),
    tabs: createTabs(frontend, workflows),
    runs: createRuns(frontend),
    loader: createLoader(frontend, workflows),
  };

  const transport = createTransport({
    url: frontend.socketUrl,
    info: frontend.info,
    sid: () => api.clientId,
    capabilities: CAPABILITIES,
    token: () => localStorage.getItem(TOKEN_KEY),
    async askToken(wrong) {
      const title = wrong ? "The token was wrong" : "ComfyUI-uiapi needs its token";
      const message = "Token (UIAPI_TOKEN on the server)";
      const given = (await dialogs.prompt({ title, message }, new AbortController().signal))?.trim();
      if (!given) return null;
      localStorage.setItem(TOKEN_KEY, given);
      return given;
    },
    handle(command, data, call) {
      if (!Object.hasOwn(commands, command)) {
        throw new CommandError("tab_failed", `This page does not know the command ${command}; reload it.`);
      }
      const carryOut = () => {
        means.tabs.require(call.workflow_tab);
        return commands[command](means, given(data ?? {}), call);
      };
      // Half a graph is nothing to read from or write to.
      const busy = workflows.loading();
      return busy ? unlessCancelled(busy, call.signal).then(carryOut) : carryOut();
    },
    beside: () => ({ revision: revisions.revision(), workflow_tab: revisions.activeTab() }),
    hear(event, data) {
      if (event === "watch") events.watch(data?.events);
    },
    greeted() {
      // Who listens is said anew by every server that is met.
      events.watch([]);
      lastSeen.anew();
    },
  });

  const parts = { ...means, tell: transport.tell };
  const events = createEvents(parts, window);
  const lastSeen = createLastSeen(parts, window);

  api.addEventListener("reconnected", transport.hurry);
  window.addEventListener("pagehide", transport.stop);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) transport.start();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return;
    transport.hurry();
    transport.probe();
  });
  frontend.onWorkflowName(transport.changed);
  transport.start();
}

app.registerExtension({
  name: "ComfyUI.uiapi",
  setup() {
    // Not awaited: the page restores its last workflow only after every extension is set up.
    frontend.restored().then(start);
  },
});
