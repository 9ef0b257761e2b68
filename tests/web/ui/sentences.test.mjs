/** Sentences about programs: a question and a failure never say something else than what the command does. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { failure, wish, wordsFor } from "../../../web/ui/sentences.js";

const act = (kind, command) => ({ program: "Blender", kind, command });

test("a question about a command names it, where the words for its kind would say something else", () => {
  assert.equal(wish(act("run", "run")), "Blender wants to run the workflow");
  assert.equal(wish(act("run", "interrupt")), "Blender wants to use interrupt");
  assert.equal(wish(act("load", "close_tab")), "Blender wants to use close_tab");
  assert.equal(wish(act("download", "plan_downloads")), "Blender wants to use plan_downloads");
  assert.equal(wish(act("download", "download_models")), "Blender wants to download models");
});

test("a failed command is not said to have been another one", () => {
  assert.equal(failure(act("run", "queue_clear"), "the workflow"), "Blender could not use queue_clear");
  assert.equal(failure({ ...act("download", "add_model_url"), about: "a.safetensors" }, ""), "Blender could not use add_model_url (a.safetensors)");
  assert.equal(failure(act("download", "download_models"), "a.safetensors"), "Blender could not download a.safetensors");
});

test("the button that agrees is called after a kind only if that is what the command does", () => {
  assert.deepEqual([wordsFor(act("run", "run")), wordsFor(act("run", "interrupt"))], ["run", "use"]);
});
