/** What the person is warned of when a page from elsewhere asks to use ComfyUI. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { cautions } from "../../../../web/ui/panel/web_app_dialog.js";

const CASES = {
  "https://app.example": [],
  "http://127.0.0.1:8000": [],
  "http://localhost": [],
  "http://[::1]:8000": [],
  "http://studio.localhost:8000": [],
  "http://app.example": ["webAppInsecure"],
  "http://localhost.app.example": ["webAppInsecure"],
  "http://127.0.0.1.app.example": ["webAppInsecure"],
  "https://xn--pple-43d.com": ["webAppPunycode"],
  "https://www.xn--pple-43d.com:8443": ["webAppPunycode"],
  "http://xn--pple-43d.com": ["webAppInsecure", "webAppPunycode"],
  "https://app-xn--pple.example": [],
};

for (const [origin, expected] of Object.entries(CASES)) {
  test(`the cautions about ${origin}`, () => assert.deepEqual(cautions(origin), expected));
}
