/** What only happens over time: the JavaScript client in the scenario named first, with the URL that follows. */

import { connect } from "../../../client/js/index.js";

const [name, url] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));

/** @type {Record<string, () => Promise<void>>} */
const scenarios = {
  /** Listens until two events have come. */
  async listen() {
    const client = await connect(url, { name: "listener" });
    let left = 2;
    const end = await client.on("output", (event) => {
      say(event);
      if (--left === 0) (end(), client.close());
    });
    say("listening");
  },

  /** Runs with events and prints them, and then the result. */
  async run() {
    const client = await connect(url);
    try {
      const done = await client.run({ onEvent: (event) => say(event) });
      say({ prompt_id: done.prompt_id });
    } catch (error) {
      say({ code: error.code });
    }
    client.close();
  },

  /** Reads a field for as long as the server is away. */
  async read() {
    const client = await connect(url, { reconnect: 20 });
    say("connected");
    say(await client.set("A.b", 1));
  },

  /** Gives up a run. */
  async abort() {
    const client = await connect(url);
    const control = new AbortController();
    const running = client.run({ signal: control.signal, onEvent: () => control.abort(new Error("enough")) });
    say(await running.catch((error) => error.message));
    client.close();
  },

  /** Iterates over a sweep to its end, and over another to its second item. */
  async sweep() {
    const client = await connect(url);
    for await (const item of client.sweep({ "A.b": [1, 2, 3] })) say([item.index, item.fields, item.images.length, item.warnings]);
    for await (const item of client.sweep({ "A.b": [1, 2, 3] })) if (item.index === 1) break;
  },

  /** Sweeps over the contents of files, one of which has a name. */
  async pictures() {
    const client = await connect(url);
    const picture = new Uint8Array([0xff, 0xd8, 0xff]);
    const named = new File(["1\n00:00"], "a.srt");
    for await (const item of client.sweep({ "A.b": [1, picture.buffer, named] })) say(item.index);
  },

  /** Closes while the connection for events is being opened. */
  async hasty() {
    const client = await connect(url);
    const listening = client.on("output", () => {});
    client.close();
    say(await listening.catch((error) => error.code));
    say(await client.on("output", () => {}).catch((error) => error.code));
  },

  /** Gives up a sweep when an event comes. */
  async abandon() {
    const client = await connect(url);
    const control = new AbortController();
    await client.on("output", () => control.abort(new Error("enough")));
    const items = client.sweep({ "A.b": [1, 2, 3] }, { signal: control.signal });
    say(await items.next().catch((error) => error.message));
    client.close();
  },

  /** Does without a WebSocket, as Node.js 20. */
  async without() {
    delete globalThis.WebSocket;
    const client = await connect(url);
    say(await client.get("A.b"));
    say(await client.on("output", () => {}).catch((error) => [error.code, error.message]));
  },
};

await scenarios[name]();
