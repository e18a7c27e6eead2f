import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  capture,
  clone,
  commit,
  create,
  importLayer,
  list,
  remove,
  rename,
  rollback,
  snapshot,
  Store,
  undo,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { assertNothingHalfMade, FOR_ANYBODY, runContainer, startContainer } from "../operations/support.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { upToStep } from "./steps.ts";

interface Case {
  readonly what: string;
  /** Of a container NAME with a snapshot and a change since; what it makes has names that begin with NAME. */
  readonly work: (context: Context, name: string, lxcPath: string) => Promise<unknown>;
  readonly count?: number;
}

const make = (context: Context, name: string, lxcPath: string): Promise<unknown> =>
  create(context, { source: "base", name, lxcPath, ...FOR_ANYBODY });

const CASES: readonly Case[] = [
  { what: "a clone", work: (context, name, lxcPath) => clone(context, { ref: name, names: [`${name}-x`], lxcPath }) },
  { what: "a removal", work: (context, name) => remove(context, { names: [name] }) },
  { what: "a rename", work: (context, name) => rename(context, { from: name, to: `${name}-new` }) },
  { what: "a commit", work: (context, name) => commit(context, { name, layer: `${name}-layer` }) },
  { what: "a rollback", work: (context, name) => rollback(context, { name, snapshot: "snap0" }) },
  {
    what: "a removal, and another container by its name",
    work: async (context, name, lxcPath) => {
      await remove(context, { names: [name] });
      await make(context, name, lxcPath);
    },
    count: 2,
  },
  {
    what: "a swap of two names, and a change",
    work: async (context, name, lxcPath) => {
      await make(context, `${name}-other`, lxcPath);
      await rename(context, { from: name, to: `${name}-kept` });
      await rename(context, { from: `${name}-other`, to: name });
      await rename(context, { from: `${name}-kept`, to: `${name}-other` });
      await commit(context, { name: `${name}-other`, layer: `${name}-layer` });
    },
    count: 4,
  },
];

for (const { what, work, count } of CASES) {
  test(`kill: at each step of undoing ${what} leaves names and directories wholly as before it, or as after`, async (t) => {
    await using directory = await temporaryDirectory();
    const lxcPath = `${directory.path}/lxc`;
    const source = `${directory.path}/source`;
    for (const path of [lxcPath, source]) mkdirSync(path);
    writeFileSync(`${source}/file`, "file");
    const open = (): Promise<Store> => Store.open(`${directory.path}/store`, { create: true });

    const seenAfter = async (step: number): Promise<{ killed: boolean; seen: string }> => {
      // Not hexadecimal, so that it is in no digest.
      const name = `web${step}`;
      const store = await open();
      const context = { store, command: "test" };
      await make(context, name, lxcPath);
      await snapshot(context, { name });
      await runContainer(context, name, (upper) => {
        writeFileSync(`${upper}/changed`, "changed");
        // The same at any time: what is captured is one tree.
        for (const path of [`${upper}/changed`, upper]) utimesSync(path, 1e9, 1e9);
      });
      await capture(context, { name });
      await work(context, name, lxcPath);
      const killed = await upToStep(step, () => undo(context, count === undefined ? {} : { count }));
      await store[Symbol.asyncDispose]();

      await using reopened = await open();
      const after = { store: reopened, command: "test" };
      const seen = await observed(after, lxcPath, name);
      assertNothingHalfMade(after, lxcPath);
      await remove(after, { names: seen.map(([known]) => known) });
      assert.deepEqual(readdirSync(lxcPath), []);
      return { killed, seen: JSON.stringify(seen).replaceAll(name, "web") };
    };

    {
      await using store = await open();
      await importLayer({ store, command: "test" }, { source, name: "base" });
    }
    const before = (await seenAfter(0)).seen;
    const after = (await seenAfter(10_000)).seen;
    assert.notEqual(before, after);
    let step = 0;
    let changedAt: number | undefined;
    for (let killed = true; killed;) {
      const result = await seenAfter(++step);
      killed = result.killed;
      if (changedAt === undefined && result.seen !== before) changedAt = step;
      assert.equal(result.seen, changedAt === undefined ? before : after, `step ${step}`);
    }
    t.diagnostic(`${step} steps; done from step ${changedAt ?? 0} on`);
  });
}

type Seen = readonly [name: string, digest: string | null, snapshots: readonly string[], hostName: string | null];

/** What there is, as records have it, as configs have it, and as it would start. */
async function observed(context: Context, lxcPath: string, prefix: string): Promise<Seen[]> {
  const items = await list(context, { pattern: `${prefix}*` });
  const containers = items.filter(({ type }) => type === "container").map(({ name }) => name);
  assert.deepEqual(readdirSync(lxcPath).sort(), containers.sort());
  const seen: Seen[] = [];
  for (const { name, type, digest, state, snapshots } of items) {
    if (type === "layer") {
      seen.push([name, null, [], null]);
      continue;
    }
    assert.equal(state, "stopped", name);
    const config = readFileSync(`${lxcPath}/${name}/config`, "utf8");
    assert.ok(config.includes(`:${lxcPath}/${name}/delta0\n`), `${name} has an upper of its own`);
    seen.push([name, digest, snapshots, /^lxc\.uts\.name = (.*)$/m.exec(config)?.[1] ?? null]);
    await startContainer(context, name);
    mkdirSync(`${lxcPath}/${name}/work`);
    assert.equal((await capture(context, { name })).digest, digest, `${name} starts as another`);
  }
  return seen;
}
