/** query_fields, tested with the same cases as the server's answers from a snapshot. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { query } from "../../../web/graph/query.js";

const { nodes, cases } = JSON.parse(readFileSync(new URL("../../harness/query_cases.json", import.meta.url), "utf8"));

/** The graph of the nodes whose id has this prefix. */
function graphOf(prefix) {
  const graph = { nodes: [], links: new Map() };
  for (const { id, subgraph, path: _, ...node } of nodes) {
    if (!id.startsWith(prefix) || id.slice(prefix.length).includes(":")) continue;
    const inner = subgraph ? Object.assign(graphOf(`${id}:`), { inputNode: { id: -10, slots: [] } }) : undefined;
    graph.nodes.push({ ...node, id: Number(id.slice(prefix.length)), subgraph: inner, graph });
  }
  return graph;
}

for (const { name, query: filters, code, keys, ...expected } of cases) {
  test(`a tab selects: ${name}`, () => {
    if (code) return assert.throws(() => query(graphOf(""), filters), { code });
    const { nodes: found, ...rest } = query(graphOf(""), filters);
    assert.deepEqual({ ids: found.map(({ id }) => id), ...rest }, expected);
    for (const node of found) {
      if (keys) assert.deepEqual(Object.keys(node).sort(), keys);
      else assert.deepEqual(node, nodes.find(({ id }) => id === node.id));
    }
  });
}
