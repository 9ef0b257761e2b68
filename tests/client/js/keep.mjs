/** Keeps one promise of promises.json with the JavaScript client: reads the case, prints what came of it. */

import { Client } from "../../../client/js/index.js";

const { url, token, call: [method, ...given] } = JSON.parse(process.argv[2]);
const client = new Client(url, { token, reconnect: 0 });

/** Contents are given as {bytes: base64}. */
function plain(value) {
  return value?.bytes ? new Uint8Array(Buffer.from(value.bytes, "base64")) : value;
}

async function contents(files) {
  return Promise.all(
    files.map(async (file) => [file.filename, Buffer.from(await file.blob.arrayBuffer()).toString("base64")]),
  );
}

const outcome = {};
try {
  await client.ready.catch(() => {});
  const result = await client[method](...given.map(plain));
  outcome.returns = result ?? null;
  if (method === "run") Object.assign(outcome, { files: await contents(result.files), images: result.images.length });
} catch (error) {
  outcome.raises = { code: error.code, says: error.message, candidates: error.candidates ?? [] };
}
outcome.revision = client.revision;
console.log(JSON.stringify(outcome));
