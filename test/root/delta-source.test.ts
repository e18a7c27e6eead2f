import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { Dialect } from "../../src/format/overlay-xattrs.ts";
import type { RawChange } from "../../src/model/change.ts";
import type { TreePath } from "../../src/model/name.ts";
import { deltaChanges } from "../../src/sources/delta.ts";
import { directoryChanges } from "../../src/sources/directory.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import type { Tree } from "../../src/trees/tree-store.ts";
import { type Engine, openEngine } from "../support/engine.ts";
import { makeSome, perform, steps } from "../support/file-calls.ts";
import { requireRoot } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** How `mount -t overlay` is asked to keep its marks. */
interface Variant {
  readonly options: string;
  readonly dialect: Dialect;
}

const VARIANTS: Readonly<Record<string, Variant>> = {
  "LXC's default options": { options: "", dialect: "trusted" },
  userxattr: { options: ",userxattr", dialect: "user" },
  "redirects and metadata-only copies": { options: ",redirect_dir=on,metacopy=on", dialect: "trusted" },
};

for (const [name, { options, dialect }] of Object.entries(VARIANTS)) {
  test(`delta source: over its base, a delta of the kernel with ${name} is the tree that the mount showed`, async (t) => {
    if (!requireRoot(t)) return;
    await using directory = await temporaryDirectory();
    await using engine = await openEngine();
    let round = 0;
    const lowers = fc.array(steps, { minLength: 15, maxLength: 30 });
    const work = fc.array(steps, { minLength: 30, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(lowers, work, async (before, after) => {
        const { lower, upper, mounted } = await mountOverlay(`${directory.path}/${round++}`, options, (at) => {
          makeSome(at);
          for (const step of before) if (step.kind !== "mark") perform(at, step);
        });
        for (const step of after) perform(mounted, step);
        const shown = await treeOf(engine, directoryChanges(mounted, engine.content.writer()));
        await run("umount", [mounted]);

        const base = await treeOf(engine, directoryChanges(lower, engine.content.writer()));
        const captured = await treeOf(engine, deltaChanges(upper, engine.content.writer(), { dialect }), base);
        assert.deepEqual([...diffTrees(engine.trees, shown, captured)], []);
        assert.equal(captured.digest, shown.digest);
      }),
      { numRuns: 30 },
    );
  });
}

test("delta source: redirects are paths of the base, also of directories moved and renamed within moved ones", async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  await using engine = await openEngine();
  const { lower, upper, mounted } = await mountOverlay(directory.path, ",redirect_dir=on,metacopy=on", (at) => {
    fs.mkdirSync(`${at}/p/q/r`, { recursive: true });
    fs.mkdirSync(`${at}/d`);
    for (const path of ["p/f", "p/q/f", "p/q/r/f"]) fs.writeFileSync(`${at}/${path}`, path);
  });
  const move = (from: TreePath, to: TreePath): void => fs.renameSync(`${mounted}/${from}`, `${mounted}/${to}`);
  move("p/q/r", "d/inner");
  move("p", "d/outer");
  move("d/outer/q", "d/outer/renamed");
  move("d/inner", "d/outer/renamed/r");
  fs.chmodSync(`${mounted}/d/outer/renamed/f`, 0o600);
  move("d/outer/renamed/f", "d/outer/renamed/r/g");
  fs.chmodSync(`${mounted}/d/outer/renamed/r/f`, 0o640);
  fs.mkdirSync(`${mounted}/p`);
  const shown = await treeOf(engine, directoryChanges(mounted, engine.content.writer()));
  await run("umount", [mounted]);

  const base = await treeOf(engine, directoryChanges(lower, engine.content.writer()));
  const changes: RawChange[] = [];
  for await (const batch of deltaChanges(upper, engine.content.writer())) changes.push(...batch);
  assert.deepEqual(
    changes.flatMap((change) => (change.kind === "redirect" ? [[change.path, change.from]] : [])).sort(),
    [
      ["d/outer", "p"],
      ["d/outer/renamed", "p/q"],
      ["d/outer/renamed/r", "p/q/r"],
    ],
  );
  assert.deepEqual([...diffTrees(engine.trees, shown, await treeOf(engine, [changes], base))], []);
});

test("delta source: hard links that index=on keeps elsewhere are refused, not read as broken", async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  await using engine = await openEngine();
  const { upper, mounted } = await mountOverlay(directory.path, ",index=on", makeSome);
  fs.appendFileSync(`${mounted}/linked1`, "more");
  await run("umount", [mounted]);
  await assert.rejects(treeOf(engine, deltaChanges(upper, engine.content.writer())), { code: "UNSUPPORTED" });
});

interface Overlay {
  readonly lower: string;
  readonly upper: string;
  readonly mounted: string;
}

async function mountOverlay(path: string, options: string, makeLower: (at: string) => void): Promise<Overlay> {
  const [lower = "", upper = "", work = "", mounted = ""] = ["lower", "upper", "work", "mounted"].map(
    (name) => `${path}/${name}`,
  );
  for (const each of [lower, upper, work, mounted]) fs.mkdirSync(each, { recursive: true });
  makeLower(lower);
  const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  await run("mount", ["-t", "overlay", "overlay", "-o", layers + options, mounted]);
  return { lower, upper, mounted };
}

async function treeOf(
  engine: Engine,
  batches: AsyncIterable<readonly RawChange[]> | Iterable<readonly RawChange[]>,
  base?: Tree,
): Promise<Tree> {
  const builder = new TreeBuilder(engine.trees, base);
  for await (const batch of batches) for (const change of batch) builder.apply(change);
  return builder.finish();
}
