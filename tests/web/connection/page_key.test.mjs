/** The page key, with a scripted server. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createPageKey } from "../../../web/connection/page_key.js";

/** A page and a server that answers in turn. */
function setUp(...answers) {
  const asked = [];
  const state = { token: null };
  const pageKey = createPageKey({
    url: () => "/uiapi/page_key",
    token: () => state.token,
    async fetch(url, { method, headers }) {
      asked.push({ url, method, headers });
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  return { asked, pageKey, state };
}

const gives = (key) => ({ ok: true, json: async () => ({ status: "ok", response: { page_key: key } }) });

test("the key is asked for by POST, which says where the page is from, with the token once there is one", async () => {
  const { asked, pageKey, state } = setUp(gives("k1"), gives("k2"));
  assert.equal(pageKey.current(), undefined);
  await pageKey.renew();
  assert.equal(pageKey.current(), "k1");
  state.token = "t";
  await pageKey.renew();
  assert.equal(pageKey.current(), "k2");
  assert.deepEqual(asked, [
    { url: "/uiapi/page_key", method: "POST", headers: {} },
    { url: "/uiapi/page_key", method: "POST", headers: { Authorization: "Bearer t" } },
  ]);
});

test("a server that refuses, is gone or answers nonsense leaves the page with the key it had", async (context) => {
  const warned = context.mock.method(console, "warn", () => {});
  const nonsense = { ok: true, json: async () => ({}) };
  const { pageKey } = setUp(gives("k1"), { ok: false }, new TypeError("Failed to fetch"), nonsense);
  for (let count = 0; count < 4; count++) {
    await pageKey.renew();
    assert.equal(pageKey.current(), "k1");
  }
  assert.equal(warned.mock.callCount(), 2);
});
