/** Only the page's own draws are deferred to the next frame. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createFrontend } from "../../../web/page/frontend.js";
import { nextTask } from "../../../web/common/waiting.js";
import { showPage } from "../page.mjs";

test("a picture taken while the page's draws are put off is drawn at once", async () => {
  const { app } = showPage([]);
  const onto = [];
  let dirty = 0;
  app.canvas = {
    canvas: "page",
    draw() {
      onto.push(this.canvas);
    },
    setDirty: () => dirty++,
  };
  createFrontend(app, {}, {}).drawLater();
  app.canvas.draw();
  assert.deepEqual([onto, dirty], [[], 1]);
  app.canvas.canvas = "picture";
  app.canvas.draw();
  assert.deepEqual([onto, dirty], [["picture"], 1]);
  app.canvas.canvas = "page";
  await nextTask();
  app.canvas.draw();
  assert.deepEqual([onto, dirty], [["picture", "page"], 1]);
});
