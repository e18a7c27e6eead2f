import assert from "node:assert/strict";
import { lstatSync, mkdirSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { stackOver, wholeStack } from "../../src/exports/export-stack.ts";
import type { ExportStack } from "../../src/exports/export-stack.ts";
import { SharedExports } from "../../src/exports/shared-exports.ts";
import type { Dialect } from "../../src/format/overlay-xattrs.ts";
import { formatRootfsPath } from "../../src/lxc/rootfs-path.ts";
import type { RawChange } from "../../src/model/change.ts";
import { parseIdMap } from "../../src/model/id-map.ts";
import type { IdMap } from "../../src/model/id-map.ts";
import { deltaChanges } from "../../src/sources/delta.ts";
import { directoryChanges } from "../../src/sources/directory.ts";
import { StorePaths } from "../../src/store-paths.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import type { Tree } from "../../src/trees/tree-store.ts";
import { changeSteps, expectedManifest, isWhiteout, makeTree, steps, wholeTree } from "../sinks/support.ts";
import { compareEntries, readManifest } from "../support/compare.ts";
import { openEngine } from "../support/engine.ts";
import type { Engine } from "../support/engine.ts";
import * as fileCalls from "../support/file-calls.ts";
import { loopFilesystem, skipReason } from "../support/loop.ts";
import { requireRoot } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** All ids as they are: what is tested is the dialect that goes with an id map. */
const SAME_IDS = parseIdMap(["b:0:0:4294967295"]);

const DIALECTS: readonly (readonly [dialect: Dialect, idMap: IdMap | null])[] = [
  ["trusted", null],
  ["user", SAME_IDS],
];

/** Shared exports in a new directory, and what mounts stacks of them. */
async function exportsAt(engine: Engine, path: string) {
  const paths = new StorePaths(path);
  for (const part of [paths.exports, paths.privateExports, paths.manifests, paths.lxc])
    mkdirSync(part, { recursive: true });
  const exports = new SharedExports(paths, engine.trees, engine.content);
  const mounted = async <T>(stack: ExportStack, idMap: IdMap | null, upper: string, look: (at: string) => T) => {
    const at = `${path}/mounted`;
    for (const directory of [at, upper, `${upper}.work`]) mkdirSync(directory, { recursive: true });
    await exports.ensure(stack, { idMap });
    const rootfs = formatRootfsPath({ lowers: exports.pathsOf(stack), upper });
    const lowerdir = rootfs.slice("overlay:".length, -`:${upper}`.length);
    const options = `lowerdir=${lowerdir},upperdir=${upper},workdir=${upper}.work${idMap === null ? "" : ",userxattr"}`;
    await run("mount", ["-t", "overlay", "overlay", "-o", options, at]);
    try {
      return await look(at);
    } finally {
      await run("umount", [at]);
    }
  };
  const unmount = async (): Promise<void> => {
    const script = 'for at; do mountpoint -q "$at" && umount "$at"; done; true';
    await run("sh", ["-c", script, "sh", paths.exports, paths.mapped]);
  };
  return { exports, mounted, [Symbol.asyncDispose]: unmount };
}

for (const [dialect, idMap] of DIALECTS) {
  test(`stacks, ${dialect}: of any trees one over the other, the kernel shows the topmost`, async (t) => {
    if (!requireRoot(t)) return;
    await using directory = await temporaryDirectory();
    await using engine = await openEngine();
    const options = { privileged: true };
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        steps(options),
        fc.array(changeSteps(options), { minLength: 1, maxLength: 4 }),
        async (first, later) => {
          const path = `${directory.path}/${round++}`;
          mkdirSync(path);
          await using at = await exportsAt(engine, path);
          let tree = makeTree(engine, first);
          let stack = wholeStack(tree.digest, idMap);
          for (const changes of later) {
            const next = makeTree(engine, changes, tree);
            if (next.digest !== tree.digest) stack = stackOver(next.digest, idMap, stack);
            tree = next;
          }
          const expected = expectedManifest(wholeTree(engine, tree), engine.content, (_, node) => !isWhiteout(node));
          const shown = await at.mounted(stack, idMap, `${path}/upper`, (mounted) => readManifest(mounted));
          // An upper that overlayfs made has a root of its own.
          for (const manifest of [expected, shown]) manifest.delete("");
          assert.deepEqual(compareEntries(expected, shown, { ignore: ["blocks"] }), []);
        },
      ),
      { numRuns: 25 },
    );
  });

  test(`stacks, ${dialect}: what a container changes over one is captured, and is the next one`, async (t) => {
    if (!requireRoot(t)) return;
    await using directory = await temporaryDirectory();
    await using engine = await openEngine();
    let round = 0;
    const calls = fc.array(fileCalls.steps, { minLength: 10, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(calls, fc.array(calls, { minLength: 2, maxLength: 5 }), async (first, later) => {
        const path = `${directory.path}/${round++}`;
        mkdirSync(`${path}/first`, { recursive: true });
        fileCalls.makeSome(`${path}/first`);
        for (const call of first) if (call.kind !== "mark") fileCalls.perform(`${path}/first`, call);
        await using at = await exportsAt(engine, `${path}/store`);
        let tree = await treeOf(engine, directoryChanges(`${path}/first`, engine.content.writer()));
        let stack = wholeStack(tree.digest, idMap);
        for (const [i, changes] of later.entries()) {
          const upper = `${path}/upper${i}`;
          await at.mounted(stack, idMap, upper, (mounted) => {
            for (const call of changes) fileCalls.perform(mounted, call);
          });
          // As the next mount shows it: until then overlayfs remembers by its inode number a file that had another name below.
          const shown = await at.mounted(stack, idMap, upper, (mounted) =>
            treeOf(engine, directoryChanges(mounted, engine.content.writer())),
          );
          const captured = await treeOf(engine, deltaChanges(upper, engine.content.writer(), { dialect }), tree);
          assert.deepEqual([...diffTrees(engine.trees, shown, captured)], []);
          if (captured.digest !== tree.digest) stack = stackOver(captured.digest, idMap, stack);
          tree = captured;
        }
      }),
      { numRuns: 12 },
    );
  });
}

test("whole exports: one of a near tree shares its blocks on xfs, and is the same as one that does not", async (t) => {
  const reason = skipReason("xfs");
  if (reason !== undefined) {
    t.skip(reason);
    return;
  }
  await using xfs = await loopFilesystem("xfs", 400);
  await using engine = await openEngine();
  const first = `${xfs.path}/first`;
  mkdirSync(`${first}/d`, { recursive: true });
  await run("sh", ["-ec", "for i in $(seq 32); do head -c 1M /dev/urandom >$i; done; ln 8 d/9", "sh"], {
    cwd: first,
  });
  const one = await treeOf(engine, directoryChanges(first, engine.content.writer()));
  await run("sh", ["-ec", "echo x >>1; chown 5:5 2; rm 3; echo new >new; setfattr -n user.x -v y 4"], { cwd: first });
  const two = await treeOf(engine, directoryChanges(first, engine.content.writer()));
  await using at = await exportsAt(engine, `${xfs.path}/store`);
  const used = async (): Promise<number> =>
    Number((await run("df", ["--output=used", "-B1", xfs.path])).split("\n")[1]);
  await at.exports.ensure(wholeStack(one.digest, null));
  const before = await used();
  // Somebody has changed this one: it is not what was exported, and is not shared.
  const spoilt = `${xfs.path}/store/private/exports/${one.digest}/5`;
  await run("sh", [
    "-ec",
    `mtime=$(stat -c %y "$1"); printf x | dd of="$1" conv=notrunc status=none; touch -d "$mtime" "$1"`,
    "sh",
    spoilt,
  ]);
  await at.exports.ensure(wholeStack(two.digest, null));
  assert.ok((await used()) - before < 6 * 2 ** 20, "two files of 1 MiB were written, and the others shared");
  const path = at.exports.path(wholeStack(two.digest, null)[0]);
  const written = await treeOf(engine, directoryChanges(path, engine.content.writer()));
  assert.deepEqual([...diffTrees(engine.trees, two, written)], []);
  assert.equal(lstatSync(`${path}/8`).ino, lstatSync(`${path}/d/9`).ino);
});

async function treeOf(engine: Engine, batches: AsyncIterable<readonly RawChange[]>, base?: Tree): Promise<Tree> {
  const builder = new TreeBuilder(engine.trees, base);
  for await (const batch of batches) for (const change of batch) builder.apply(change);
  return builder.finish();
}
