import assert from "node:assert/strict";
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  capture,
  clone,
  commit,
  create,
  importLayer,
  list,
  rebase,
  remove,
  rename,
  reset,
  rollback,
  show,
  snapshot,
  Store,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { assertNothingHalfMade, FOR_ANYBODY, runContainer, startContainer } from "../operations/support.ts";
import { upToStep } from "./steps.ts";

interface Host {
  readonly lxcPath: string;
  /** What "base" was imported from. */
  readonly source: string;
}

interface Case {
  readonly verb: string;
  /** Of a container NAME with one snapshot, and changes after it that nobody has captured. What it makes has names that begin with NAME. */
  readonly work: (context: Context, name: string, host: Host) => Promise<unknown>;
  readonly ephemeral?: boolean;
}

const CASES: readonly Case[] = [
  { verb: "snapshot", work: (context, name) => snapshot(context, { name }) },
  { verb: "rollback", work: (context, name) => rollback(context, { name, snapshot: "snap0" }) },
  { verb: "reset", work: (context, name) => reset(context, { name }) },
  { verb: "rename", work: (context, name) => rename(context, { from: name, to: `${name}-new` }) },
  { verb: "rm", work: (context, name) => remove(context, { names: [name] }) },
  {
    verb: "create of a layer",
    work: (context, name, { lxcPath }) =>
      create(context, { source: "base", name: `${name}-new`, lxcPath, ...FOR_ANYBODY }),
  },
  {
    verb: "create of a directory",
    work: (context, name, { lxcPath, source }) =>
      create(context, { source, name: `${name}-new`, lxcPath, ...FOR_ANYBODY }),
  },
  {
    verb: "clone",
    work: (context, name, { lxcPath }) =>
      clone(context, { ref: name, names: [`${name}-one`, `${name}-two`], lxcPath, ...FOR_ANYBODY }),
  },
  {
    verb: "clone of a snapshot",
    work: (context, name, { lxcPath }) =>
      clone(context, { ref: `${name}@snap0`, names: [`${name}-one`], lxcPath, ...FOR_ANYBODY }),
  },
  { verb: "rebase", work: (context, name) => rebase(context, { name, onto: "newer" }) },
  { verb: "commit", work: (context, name) => commit(context, { name, layer: `${name}-layer` }) },
  { verb: "ls", work: (context) => list(context), ephemeral: true },
];

for (const { verb, work, ephemeral = false } of CASES) {
  test(`kill: at each step of ${verb} leaves a container wholly before it or after it, snapshots and directory too`, async (t) => {
    await using directory = await temporaryDirectory();
    const lxcPath = `${directory.path}/lxc`;
    const source = `${directory.path}/source`;
    for (const path of [lxcPath, source]) mkdirSync(path);
    for (let i = 0; i < 3; i++) writeFileSync(`${source}/file${i}`, `file ${i}`);
    const storePath = `${directory.path}/store`;
    const open = (): Promise<Store> => Store.open(storePath, { create: true });

    /** Makes one, does the work up to a step, and tells what is there when the store is opened anew. */
    const seenAfter = async (step: number): Promise<{ killed: boolean; seen: string }> => {
      // Not hexadecimal: below it is taken out of what is seen, digests and all.
      const name = `web${step}`;
      const store = await open();
      const context = { store, command: "test" };
      await clone(context, { ref: "base", names: [name], lxcPath, ephemeral, ...FOR_ANYBODY });
      if (!ephemeral) await runContainer(context, name, (upper) => write(upper, "file0"));
      await snapshot(context, { name });
      await runContainer(context, name, (upper) => write(upper, "new0", "new1", "new2"));
      const killed = await upToStep(step, () => work(context, name, { lxcPath, source }));
      await store[Symbol.asyncDispose]();

      await using reopened = await open();
      const after = { store: reopened, command: "test" };
      const seen = await observed(after, lxcPath, name);
      assertNothingHalfMade(after, lxcPath);
      await remove(after, { names: seen.map(([known]) => known) });
      assert.deepEqual(readdirSync(lxcPath), []);
      return { killed, seen: JSON.stringify(seen).replaceAll(`"${name}`, `"web`) };
    };

    {
      await using store = await open();
      await importLayer({ store, command: "test" }, { source, name: "base" });
      writeFileSync(`${source}/file1`, "file 1 is newer");
      await importLayer({ store, command: "test" }, { source, name: "newer" });
    }
    // From then on the files count as known, and each round has the same steps.
    if (verb === "create of a directory") await sleep(KNOWN_AFTER_MS);
    const before = (await seenAfter(0)).seen;
    const after = (await seenAfter(10_000)).seen;
    let changedAt: number | undefined;
    let step = 0;
    for (let killed = true; killed;) {
      step++;
      const result = await seenAfter(step);
      const { seen } = result;
      killed = result.killed;
      assert.ok(seen === before || seen === after, `after step ${step}: ${seen}, not ${before} or ${after}`);
      if (changedAt !== undefined) assert.equal(seen, after, `step ${step} undid it`);
      if (seen === after) changedAt ??= step;
    }
    assert.ok(changedAt !== undefined);
    t.diagnostic(`${step} steps; done from step ${changedAt} on`);
  });
}

const KNOWN_AFTER_MS = 2500;

/** The same at any time: what is captured of it is one tree. */
function write(upper: string, ...names: readonly string[]): void {
  for (const name of names) {
    writeFileSync(`${upper}/${name}`, name);
    utimesSync(`${upper}/${name}`, 1e9, 1e9);
  }
  utimesSync(upper, 1e9, 1e9);
}

/** What there is of a container, as records have it, and as it would start. */
async function observed(
  context: Context,
  lxcPath: string,
  prefix: string,
): Promise<readonly (readonly [name: string, digest: string, snapshots: string[]])[]> {
  const seen: [string, string, string[]][] = [];
  const items = await list(context, { pattern: `${prefix}*` });
  const containers = items.filter(({ type }) => type === "container").map(({ name }) => name);
  assert.deepEqual(readdirSync(lxcPath).sort(), containers.sort());
  for (const { name, type, digest, state, snapshots } of items) {
    if (type === "layer") {
      seen.push([name, digest ?? "", []]);
      continue;
    }
    assert.equal(state, "stopped", name);
    const kept = snapshots.map(async (key) => `${key} ${(await show(context, { ref: `${name}@${key}` })).digest}`);
    seen.push([name, digest ?? "", await Promise.all(kept)]);
    await startContainer(context, name);
    mkdirSync(`${lxcPath}/${name}/work`);
    assert.equal((await capture(context, { name })).digest, digest, `${name} starts as another`);
  }
  return seen;
}
