import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RawChange } from "../../src/model/change.ts";
import { tarStream } from "../../src/sinks/tar.ts";
import { tarChanges } from "../../src/sources/tar.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import type { Tree } from "../../src/trees/tree-store.ts";
import { openEngine } from "../support/engine.ts";
import type { Engine } from "../support/engine.ts";
import { makeTree, steps, wholeTree } from "./support.ts";

async function treeOf(engine: Engine, batches: AsyncIterable<readonly RawChange[]>): Promise<Tree> {
  const builder = new TreeBuilder(engine.trees);
  for await (const batch of batches) for (const change of batch) builder.apply(change);
  return builder.finish();
}

test("tar sink: our own reader gives the same tree back", async () => {
  await using engine = await openEngine();
  await fc.assert(
    fc.asyncProperty(steps({ privileged: true }), async (found) => {
      const kept = found.filter((step) => step.kind !== "put" || step.node.type !== "socket");
      const tree = makeTree(engine, kept);
      const stream = (async function* () {
        for await (const piece of tarStream(wholeTree(engine, tree), engine.content)) yield Buffer.from(piece);
      })();
      const again = await treeOf(engine, tarChanges(stream, engine.content.writer(), { source: "test" }));
      assert.deepEqual(wholeTree(engine, again), wholeTree(engine, tree));
      assert.equal(again.digest, tree.digest);
    }),
    { numRuns: 300 },
  );
});
