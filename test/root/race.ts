import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { importLayer } from "../../src/index.ts";
import { isStoreError, StoreError } from "../../src/errors.ts";
import { digestOf } from "../../src/format/blake3.ts";
import { writeDirectory } from "../../src/sinks/directory.ts";
import { deltaChanges } from "../../src/sources/delta.ts";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import type { TestStore } from "../support/store.ts";
import { openTestStore } from "../support/store.ts";

/** How often a part came to its end, and how often it was refused for what changed under it. */
export interface RaceTally {
  whole: number;
  refused: number;
}

const SECRET = Buffer.alloc(10_000, "nobody outside may read this ");
const PROGRAM = fileURLToPath(new URL("race-attacker.py", import.meta.url));

/**
 * Imports a directory, captures it as a delta and exports to it, for `ms` each, while another process swaps its directories and files for
 * symlinks to outside: nothing of what is outside gets into the store, and nothing outside changes.
 */
export async function race(ms: number): Promise<Record<"import" | "capture" | "export", RaceTally>> {
  await using at = await openTestStore();
  const outside = `${at.path}/outside`;
  makeTree(outside, SECRET);
  writeFileSync(`${outside}/secret`, SECRET);
  chmodSync(outside, 0o751);
  const before = stateOf(outside);
  const source = `${at.path}/source`;
  makeTree(source, Buffer.from("what may be read"));
  const { digest } = await importLayer(at.context, { source, name: "base" });
  const tree = at.store.trees.tree(digest);

  const tallies = {
    import: await under(source, outside, "", ms, (i) => importLayer(at.context, { source, name: `n${i}` })),
    capture: await under(source, outside, "", ms, () => capture(at, source)),
    // Without what syncs, which takes most of the time. Node's own way to remove a tree would be led outside.
    export: await under(at.path, outside, "target", ms, async (i) => {
      const target = `target${i}`;
      try {
        await writeDirectory(`${at.path}/${target}`, diffTrees(at.store.trees, undefined, tree), at.store.content);
      } finally {
        using parent = DirectoryHandle.open(at.path);
        parent.removeTree(target);
      }
    }),
  };
  assert.equal(at.store.chunks.has(digestOf(SECRET)), false, "what is outside was read into the store");
  assert.deepEqual(stateOf(outside), before, "what is outside was changed");
  return tallies;
}

async function under(
  directory: string,
  outside: string,
  prefix: string,
  ms: number,
  attempt: (i: number) => Promise<unknown>,
): Promise<RaceTally> {
  const attacker = spawn("python3", [PROGRAM, directory, outside, prefix], { stdio: ["pipe", "inherit", "inherit"] });
  const tally: RaceTally = { whole: 0, refused: 0 };
  try {
    for (const end = performance.now() + ms; performance.now() < end;) {
      try {
        await attempt(tally.whole + tally.refused);
        tally.whole++;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        tally.refused++;
      }
    }
  } finally {
    attacker.stdin.end();
    await once(attacker, "exit");
  }
  return tally;
}

/** By a type; or, of an export whose own names were taken away meanwhile, by the call that failed. */
function isRefusal(error: unknown): boolean {
  if (error instanceof StoreError) return !isStoreError(error, "CHUNK_CORRUPT");
  return error instanceof Error && "syscall" in error && "code" in error && REFUSALS.has(String(error.code));
}

const REFUSALS: ReadonlySet<string> = new Set([
  "ENOENT",
  "ENOTDIR",
  "ELOOP",
  "EEXIST",
  "ENOTEMPTY",
  "ESTALE",
  "EISDIR",
]);

async function capture({ store }: TestStore, directory: string): Promise<void> {
  using _operation = store.begin();
  const builder = new TreeBuilder(store.trees);
  for await (const batch of deltaChanges(directory, store.content.writer()))
    for (const change of batch) builder.apply(change);
  builder.finish();
  await store.chunks.flush();
}

/** Directories of directories of files. */
function makeTree(path: string, bytes: Uint8Array): void {
  for (const [i, name] of ["a", "b", "c", "d"].entries())
    for (let j = 0; j < 5; j++) {
      mkdirSync(`${path}/${name}/${j}`, { recursive: true });
      for (let k = 0; k < 10; k++)
        writeFileSync(`${path}/${name}/${j}/f${k}`, Buffer.concat([bytes, Buffer.of(i, j, k)]));
      writeFileSync(`${path}/${name}/${j}/same`, bytes);
    }
}

function stateOf(path: string): unknown {
  if (!existsSync(path)) return undefined;
  const { mode, uid, gid, mtimeMs, ctimeMs, size } = lstatSync(path);
  const names = lstatSync(path).isDirectory() ? readdirSync(path) : [];
  return [mode, uid, gid, mtimeMs, ctimeMs, size, names.map((name) => [name, stateOf(`${path}/${name}`)])];
}
