import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import {
  cat,
  clone,
  commit,
  create,
  list,
  put,
  remove,
  rename,
  reset,
  rollback,
  snapshot,
  Store,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const NO_LXC = { noLxc: true } as const;

const NAMES = ["a", "b", "c"] as const;
const SNAPSHOTS = ["snap0", "snap1", "other"] as const;

/** What a container is to somebody who looks from outside: a text in it, and one in what it stands on. */
interface State {
  readonly base: string;
  readonly text: string;
}

interface Model extends State {
  readonly snapshots: ReadonlyMap<string, State>;
}

const name = fc.constantFrom(...NAMES);
const snapshotName = fc.constantFrom(...SNAPSHOTS);
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ verb: fc.constant("write" as const), name, text: fc.string({ maxLength: 3 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      verb: fc.constant("snapshot" as const),
      name,
      snapshot: fc.option(snapshotName, { nil: undefined }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ verb: fc.constant("rollback" as const), name, snapshot: snapshotName }) },
  fc.record({ verb: fc.constant("forget" as const), name, snapshot: snapshotName }),
  fc.record({ verb: fc.constant("reset" as const), name }),
  fc.record({ verb: fc.constant("commit" as const), name }),
  fc.record({ verb: fc.constant("rename" as const), name, to: name }),
  fc.record({ verb: fc.constant("remove" as const), name }),
  fc.record({ verb: fc.constant("clone" as const), name, to: name }),
  fc.record({ verb: fc.constant("cloneSnapshot" as const), name, snapshot: snapshotName, to: name }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

test("snapshots: any run of snapshots, rollbacks, resets, renames, removals and clones leaves what a table says", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
      await using directory = await temporaryDirectory();
      await using store = await Store.open(`${directory.path}/store`, { create: true });
      const context = { store, command: "test" };
      mkdirSync(`${directory.path}/source`);
      writeFileSync(`${directory.path}/source/text`, "");
      const model = new Map<string, Model>([["a", { base: "", text: "", snapshots: new Map() }]]);
      await create(context, { source: `${directory.path}/source`, name: "a", ...NO_LXC });
      for (const one of steps) {
        const expected = applied(model, one);
        const failed = await attempt(context, directory.path, one);
        assert.equal(failed, expected, JSON.stringify(one));
      }
      assert.deepEqual(await observed(context), plain(model));
    }),
    { numRuns: 25 },
  );
});

/** Does a step to the table. @returns the code of what a command should fail with */
function applied(model: Map<string, Model>, one: Step): string | undefined {
  const at = model.get(one.name);
  if (at === undefined) return "NOT_FOUND";
  const change = (changes: Partial<Model>): void => void model.set(one.name, { ...at, ...changes });
  const { base, text, snapshots } = at;
  switch (one.verb) {
    case "write":
      change({ text: one.text });
      return undefined;
    case "snapshot": {
      const numbers = [...snapshots.keys()].flatMap((key) => (key.startsWith("snap") ? [Number(key.slice(4))] : []));
      const key = one.snapshot ?? `snap${Math.max(-1, ...numbers) + 1}`;
      if (snapshots.has(key)) return "EXISTS";
      change({ snapshots: new Map([...snapshots, [key, { base, text }]]) });
      return undefined;
    }
    case "rollback": {
      const state = snapshots.get(one.snapshot);
      if (state === undefined) return "NOT_FOUND";
      change(state);
      return undefined;
    }
    case "forget":
      if (!snapshots.has(one.snapshot)) return "NOT_FOUND";
      change({ snapshots: new Map([...snapshots].filter(([key]) => key !== one.snapshot)) });
      return undefined;
    case "reset":
      change({ text: base });
      return undefined;
    case "commit":
      change({ base: text });
      return undefined;
    case "rename":
      if (model.has(one.to)) return "EXISTS";
      model.set(one.to, at);
      model.delete(one.name);
      return undefined;
    case "remove":
      model.delete(one.name);
      return undefined;
    case "clone":
    case "cloneSnapshot": {
      const state = one.verb === "clone" ? at : snapshots.get(one.snapshot);
      if (state === undefined) return "NOT_FOUND";
      if (model.has(one.to)) return "EXISTS";
      model.set(one.to, { base: state.base, text: state.text, snapshots: new Map() });
      return undefined;
    }
  }
}

/** Does a step to the store. @returns the code of the failure */
async function attempt(context: Context, path: string, one: Step): Promise<string | undefined> {
  const { name } = one;
  try {
    switch (one.verb) {
      case "write":
        writeFileSync(`${path}/text`, one.text);
        await put(context, { sources: [`${path}/text`], target: `${name}:/text` });
        return undefined;
      case "snapshot":
        await snapshot(context, { name, ...(one.snapshot !== undefined && { snapshot: one.snapshot }) });
        return undefined;
      case "rollback":
        await rollback(context, { name, snapshot: one.snapshot });
        return undefined;
      case "forget":
        await remove(context, { names: [`${name}@${one.snapshot}`] });
        return undefined;
      case "reset":
        await reset(context, { name });
        return undefined;
      case "commit":
        await commit(context, { name, layer: "committed", replace: true });
        return undefined;
      case "rename":
        await rename(context, { from: name, to: one.to });
        return undefined;
      case "remove":
        await remove(context, { names: [name] });
        return undefined;
      case "clone":
        await clone(context, { ref: name, names: [one.to], ...NO_LXC });
        return undefined;
      case "cloneSnapshot":
        await clone(context, { ref: `${name}@${one.snapshot}`, names: [one.to], ...NO_LXC });
        return undefined;
    }
  } catch (error) {
    if (error instanceof Error && "code" in error) return String(error.code);
    throw error;
  }
}

async function observed(context: Context): Promise<unknown> {
  const seen: Record<string, unknown> = {};
  for (const { name, snapshots } of await list(context, { only: "containers" })) {
    const kept: Record<string, string> = {};
    for (const key of snapshots) kept[key] = await textOf(context, `${name}@${key}`);
    seen[name] = { text: await textOf(context, name), kept };
  }
  return seen;
}

function plain(model: ReadonlyMap<string, Model>): unknown {
  return Object.fromEntries(
    Array.from(model, ([name, { text, snapshots }]) => {
      const kept = Object.fromEntries(Array.from(snapshots, ([key, state]) => [key, state.text]));
      return [name, { text, kept }];
    }),
  );
}

async function textOf(context: Context, ref: string): Promise<string> {
  const bytes: Uint8Array[] = [];
  const output = (piece: Uint8Array): Promise<void> => Promise.resolve(void bytes.push(piece.slice()));
  await cat({ ...context, output }, { files: [`${ref}:/text`] });
  return Buffer.concat(bytes).toString();
}
