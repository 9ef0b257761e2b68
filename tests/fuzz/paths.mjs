/** Resolves field paths for test_paths.py: one JSON request per line in, one answer per line out. */

import { createInterface } from "node:readline";

import { CommandError } from "../../web/common/errors.js";
import { pathOf, resolve } from "../../web/paths/paths.js";
import { walk } from "../../web/paths/subgraphs.js";
import { graph, host, node } from "../web/graphs.mjs";

/** A graph of `[title, type, widgets, inner nodes]`. */
const build = (nodes) => nodes.map(([title, type, widgets, inner]) => (inner ? host(title, build(inner)) : node(title, type, widgets)));

const facts = ({ kind, node: { id }, widget, slot }) => [kind, id, widget?.name ?? slot];

/** What a path leads to, or the code it is refused with; anything but a refusal in words is a crash. */
function led(root, path) {
  try {
    return { field: facts(resolve(root, path)) };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { code: error.code, said: error.message, ...error.details };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { nodes, path } = JSON.parse(line);
  const root = graph(...build(nodes));
  let answer;
  try {
    const astray = [];
    for (const { node: each, hosts } of walk(root)) {
      for (const widget of each.widgets) {
        // Two widgets of one name on one node cannot be distinguished by any path.
        if (each.widgets.filter(({ name }) => name.toLowerCase() === widget.name.toLowerCase()).length > 1) continue;
        const field = { kind: "widget", node: each, hosts, widget };
        const back = led(root, pathOf(root, field));
        if (JSON.stringify(back.field) !== JSON.stringify(facts(field))) astray.push([pathOf(root, field), facts(field), back]);
      }
    }
    const found = led(root, path);
    const offered = [...(found.candidates ?? []), ...(found.nearest ?? [])].filter((other) => !led(root, other).field);
    answer = { found, astray, offered };
  } catch (error) {
    answer = { crash: String(error.stack) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
