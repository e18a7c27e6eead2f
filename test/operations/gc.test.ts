import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { digestOf } from "../../src/format/blake3.ts";
import {
  clone,
  commit,
  configure,
  du,
  duBy,
  duIfRemoved,
  gc,
  importLayer,
  list,
  openView,
  put,
  reflog,
  remove,
  rename,
  snapshot,
  Store,
  tag,
  why,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { BLOCK_BYTES } from "../../src/model/node.ts";
import { upToStep } from "../crash/steps.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const NAMES = ["a", "b", "c", "d"] as const;
const name = fc.constantFrom<string>(...NAMES);
const file = fc.record({
  path: fc.constantFrom<string>("one", "two", "sub/one", "sub/deep/two"),
  seed: fc.integer({ min: 0, max: 4 }),
  size: fc.constantFrom<number>(0, 10, 5000, 200_000, 400_000),
});
const files = fc.array(file, { maxLength: 4 });
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ verb: fc.constant("import" as const), name, files }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("clone" as const), name, to: name }) },
  { weight: 3, arbitrary: fc.record({ verb: fc.constant("put" as const), name, file }) },
  fc.record({ verb: fc.constant("commit" as const), name, to: name }),
  fc.record({ verb: fc.constant("snapshot" as const), name }),
  fc.record({ verb: fc.constant("tag" as const), name, to: name }),
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("remove" as const), name }) },
  fc.record({ verb: fc.constant("collect" as const), grace: fc.constantFrom("0", "1h") }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type File = typeof file extends fc.Arbitrary<infer T> ? T : never;

test("gc: over any history it frees to the byte what du says, and what is left can be read", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 16 }),
      fc.uniqueArray(name, { maxLength: 3 }),
      async (steps, removed) => {
        await using directory = await temporaryDirectory();
        const path = `${directory.path}/store`;
        await inStore(path, async (context) => {
          for (const one of steps) await attempt(context, directory.path, one);
        });
        // What this process looked into is kept while it looks: a new one has looked into nothing.
        await inStore(path, (context) => gc(context, { grace: "0" }));
        const { before, set, said } = await inStore(path, async (context) => {
          const set = (await list(context, {}))
            .map((item) => item.name)
            .filter((name) => removed.some((r) => r === name));
          return { before: await accounted(context), set, said: await duIfRemoved(context, { refs: set }) };
        });
        await inStore(path, async (context) => {
          const contents = await everything(context, set);
          await remove(context, { names: set });
          assert.equal(await accounted(context), before, "rm frees nothing by itself");
          const told = await gc(context, { grace: "0", dryRun: true });
          assert.equal(await accounted(context), before, "nor does a dry run");
          const collected = await gc(context, { grace: "0" });
          assert.deepEqual([told.freedBytes, told.chunks.count], [collected.freedBytes, collected.chunks.count]);
          assert.equal(collected.freedBytes, said.freedBytes);
          assert.equal(before - (await accounted(context)), said.freedBytes);
          assert.deepEqual(await everything(context, []), contents);
        });
        await inStore(path, async (context) => {
          assert.equal((await gc(context, { grace: "0" })).freedBytes, 0, "nothing is left to free");
          const { items, storedBytes, unnamedBytes } = await du(context);
          for (const { name, sharedBytes, exclusiveBytes } of items) {
            const sums = await Promise.all((["dir", "type"] as const).map((by) => storedBy(context, name, by)));
            assert.equal(sums[0], sums[1], name);
            const byLayer = await storedBy(context, name, "layer");
            // A container may stand on what is neither a layer nor its tree.
            assert.ok(byLayer >= (sums[0] ?? 0) && byLayer <= (sharedBytes ?? 0) + exclusiveBytes, name);
          }
          assert.equal(unnamedBytes, 0);
          assert.equal(storedBytes, await accounted(context));
          for (const { name, exclusiveBytes } of items) {
            if (name.includes("@") || items.some((item) => item.name.startsWith(`${name}@`))) continue;
            assert.equal(exclusiveBytes, (await duIfRemoved(context, { refs: [name] })).freedBytes, name);
          }
        });
      },
    ),
    { numRuns: 30 },
  );
});

test("gc: beside imports, clones and removals in one process nothing that a name reaches goes", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/store`;
  const [importers, rounds] = [3, 6];
  await inStore(path, async (context) => {
    let isDone = false;
    let collections = 0;
    const collect = async (): Promise<void> => {
      while (!isDone) {
        await gc(context, { grace: "0" });
        collections++;
      }
    };
    const work = async (worker: number): Promise<void> => {
      const source = `${directory.path}/source${worker}`;
      for (let round = 0; round < rounds; round++) {
        rmSync(source, { recursive: true, force: true });
        mkdirSync(`${source}/sub`, { recursive: true });
        // What one worker's removal leaves for the collector is what the next one's import finds there.
        for (let i = 0; i < 60; i++)
          writeFileSync(`${source}/sub/${i}`, bytesOf({ path: "one", seed: (i + round) % 70, size: 40_000 }));
        const layer = `layer${worker}`;
        await importLayer(context, { source, name: layer, replace: true });
        const copy = `clone${worker}-${round}`;
        await clone(context, { ref: layer, names: [copy], noLxc: true });
        if (round > 1) await remove(context, { names: [`clone${worker}-${round - 2}`] });
      }
    };
    const collecting = collect();
    try {
      await Promise.all(Array.from({ length: importers }, (_, worker) => work(worker)));
    } finally {
      isDone = true;
      await collecting;
    }
    assert.ok(collections > 3, `${collections} collections`);
    const contents = await everything(context, []);
    assert.equal(contents.size, importers * 3);
    for (const rows of contents.values()) assert.equal(rows.length, 61);
  });
  await inStore(path, async (context) => {
    await gc(context, { grace: "0" });
    const said = await du(context);
    assert.equal(said.unnamedBytes, 0);
    assert.equal((await everything(context, [])).size, importers * 3);
  });
});

test("gc: a kill at any step loses nothing that a name reaches, and the next run frees the same", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/store`;
  const master = `${directory.path}/master`;
  const { contents, freed } = await inStore(master, async (context) => {
    for (const [name, seeds] of [
      ["a", [0, 1]],
      ["b", [1, 2]],
      ["c", [3]],
    ] as const)
      await perform(context, directory.path, {
        verb: "import",
        name,
        files: seeds.flatMap((seed) => [
          { path: "one", seed, size: 200_000 },
          { path: "two", seed: 9 + seed, size: 900 },
        ]),
      });
    await remove(context, { names: ["a", "c"] });
    const { freedBytes } = await gc(context, { grace: "0", dryRun: true });
    return { contents: await everything(context, []), freed: freedBytes };
  });
  assert.ok(freed > 200_000, `${freed} bytes`);
  let steps = 0;
  for (let isWhole = false; !isWhole; steps++) {
    rmSync(path, { recursive: true, force: true });
    cpSync(master, path, { recursive: true });
    isWhole = await upToStep(steps, () => inStore(path, (context) => gc(context, { grace: "0" }))).then((cut) => !cut);
    await inStore(path, async (context) => {
      assert.deepEqual(await everything(context, []), contents, `after ${steps} steps`);
      await gc(context, { grace: "0" });
      assert.deepEqual(await everything(context, []), contents, `after ${steps} steps and a second run`);
      assert.equal((await du(context)).unnamedBytes, 0);
    });
  }
  assert.ok(steps > 8, `${steps} steps`);
});

test("gc: the room on disk comes back, also where a part of what lies together goes", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/store`;
  const source = `${directory.path}/source`;
  mkdirSync(source);
  const [count, size] = [1000, 30_000];
  const used = async (): Promise<number> =>
    Number((await run("du", ["-sB1", "--exclude=reserve", path])).split("\t")[0]);
  for (let i = 0; i < count; i++) writeFileSync(`${source}/${i}`, randomBytes(size));
  await inStore(path, (context) => importLayer(context, { source, name: "all" }));
  // Of nine in ten nothing is left, anywhere.
  for (let i = 0; i < count; i++) if (i % 10 !== 0) rmSync(`${source}/${i}`);
  const full = await used();
  assert.ok(full > count * size);
  const left = await inStore(path, async (context) => {
    await importLayer(context, { source, name: "some" });
    await remove(context, { names: ["all"] });
    const { chunks } = await gc(context, { grace: "0" });
    assert.equal(chunks.count, count * 0.9);
    assert.ok(chunks.movedBytes >= 80 * size, `${chunks.movedBytes} bytes moved`);
    return await everything(context, []);
  });
  await inStore(path, async (context) => assert.deepEqual(await everything(context, []), left));
  // Tables of 4 MiB, and the logs of three databases.
  assert.ok((await used()) < 100 * size + 14 * 2 ** 20, `${await used()} bytes`);
});

test("rm --now: what it removes is gone from the history and the store, and a later gc and undo know nothing of it", async () => {
  await using directory = await temporaryDirectory();
  await inStore(`${directory.path}/store`, async (context) => {
    for (const [name, seed] of [
      ["a", 1],
      ["b", 2],
    ] as const)
      await perform(context, directory.path, { verb: "import", name, files: [{ path: "one", seed, size: 400_000 }] });
    await clone(context, { ref: "a", names: ["web"], noLxc: true });
    await perform(context, directory.path, { verb: "put", name: "web", file: { path: "", seed: 3, size: 400_000 } });
    await snapshot(context, { name: "web" });
    await rename(context, { from: "web", to: "www" });
    const before = await accounted(context);
    await remove(context, { names: ["www"], now: true });
    const freed = before - (await accounted(context));
    assert.ok(freed > 200_000, `${freed} bytes`);
    for (const name of ["web", "www", "www@snap0"])
      await assert.rejects(reflog(context, { name }), { code: "NOT_FOUND" }, name);
    await gc(context, {});
    assert.equal((await gc(context, { grace: "0" })).freedBytes, 0);
    assert.deepEqual([...(await everything(context, [])).keys()].sort(), ["a", "b"]);
  });
});

test("limit: a store that has reached it collects by itself, and refuses more when that does not help", async () => {
  await using directory = await temporaryDirectory();
  await inStore(`${directory.path}/store`, async (context) => {
    const source = `${directory.path}/source`;
    mkdirSync(source);
    const fill = (): void => writeFileSync(`${source}/big`, randomBytes(12 << 20));
    fill();
    await importLayer(context, { source, name: "first" });
    await configure(context, { key: "limit", value: "10M" });
    await assert.rejects(importLayer(context, { source, name: "second" }), { code: "NO_SPACE" });
    await remove(context, { names: ["first"] });
    await assert.rejects(importLayer(context, { source, name: "second" }), { code: "NO_SPACE" }, "within grace");
    await configure(context, { key: "gc.grace", value: "0" });
    fill();
    await importLayer(context, { source, name: "second" });
    assert.deepEqual([...(await everything(context, [])).keys()], ["second"]);
    await assert.rejects(configure(context, { key: "limit", value: "much" }), { code: "USAGE" });
  });
});

test("gc --auto: runs when the store has grown since the last one, and not right after it", async () => {
  await using directory = await temporaryDirectory();
  await inStore(`${directory.path}/store`, async (context) => {
    assert.equal((await gc(context, { auto: true })).skipped, false);
    assert.equal((await gc(context, { auto: true })).skipped, true);
    const source = `${directory.path}/source`;
    mkdirSync(source);
    writeFileSync(`${source}/big`, randomBytes(80 << 20));
    await importLayer(context, { source, name: "big" });
    assert.equal((await gc(context, { auto: true })).skipped, false);
    assert.equal((await gc(context, { auto: true })).skipped, true);
  });
});

test("why: tells each way that leads from a name to a tree, a layer, a page or a chunk, and when there is none", async () => {
  await using directory = await temporaryDirectory();
  await inStore(`${directory.path}/store`, async (context) => {
    const { store } = context;
    const files = [{ path: "sub/deep/two", seed: 1, size: 400_000 }];
    await perform(context, directory.path, { verb: "import", name: "a", files });
    await clone(context, { ref: "a", names: ["b"], noLxc: true });
    const view = await openView(context, { ref: "a" });
    const chunk = digestOf(view.readFileSync("/sub/deep/two").subarray(BLOCK_BYTES, 2 * BLOCK_BYTES));
    const ofChunk = await why(context, { ref: chunk.slice(0, 12) });
    assert.deepEqual(ofChunk.kind, "chunk");
    assert.deepEqual(
      ofChunk.reasons.filter(({ root }) => !root.startsWith("history")).map(({ root, path }) => [root, path]),
      [
        ["layer a", "sub/deep/two"],
        ["container b", "sub/deep/two"],
      ],
    );
    const ref = store.refs.find("a");
    assert.ok(ref?.type === "layer");
    const ofLayer = await why(context, { ref: ref.layer });
    assert.deepEqual(ofLayer.kind, "layer");
    assert.ok(
      ofLayer.reasons.some(({ root, links }) => root === "container b" && links[0] === `base layer ${ref.layer}`),
    );
    await remove(context, { names: ["a", "b"] });
    const left = await why(context, { ref: chunk });
    assert.deepEqual([...new Set(left.reasons.map(({ root }) => root.split(" ")[0]))], ["history"]);
    await store.refs.dropHistory("9999", { dryRun: false });
    assert.deepEqual((await why(context, { ref: chunk })).reasons, []);
    await assert.rejects(why(context, { ref: "0123456789abcdef" }), { code: "NOT_FOUND" });
  });
});

async function storedBy(context: Context, ref: string, by: "layer" | "dir" | "type"): Promise<number> {
  return (await duBy(context, { ref, by })).reduce((sum, { storedBytes }) => sum + storedBytes, 0);
}

async function inStore<T>(path: string, work: (context: Context) => Promise<T>): Promise<T> {
  await using store = await Store.open(path, { create: true });
  return await work({ store, command: "test" });
}

async function accounted({ store }: Context): Promise<number> {
  const { storedBytes, nodeBytes } = await store.usage();
  return storedBytes + nodeBytes;
}

/** All that can be read of all names but some. */
async function everything(context: Context, without: readonly string[]): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const { name } of await list(context, {})) {
    if (without.includes(name)) continue;
    const view = await openView(context, { ref: name });
    const rows: string[] = [];
    for (const entry of view.readdirSync("/", { recursive: true, withFileTypes: true })) {
      const path = `${entry.parentPath}/${entry.name}`;
      rows.push(`${path} ${entry.isFile() ? digestOf(view.readFileSync(path)) : ""}`);
    }
    found.set(name, rows.sort());
  }
  return found;
}

/** What cannot be done is not: any history will do. */
async function attempt(context: Context, path: string, one: Step): Promise<void> {
  try {
    await perform(context, path, one);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (!["NOT_FOUND", "EXISTS", "USAGE", "REFUSED"].includes(code)) throw error;
  }
}

async function perform(context: Context, path: string, one: Step): Promise<unknown> {
  switch (one.verb) {
    case "import": {
      const source = `${path}/source`;
      rmSync(source, { recursive: true, force: true });
      mkdirSync(`${source}/sub/deep`, { recursive: true });
      for (const file of one.files) writeFileSync(`${source}/${file.path}`, bytesOf(file));
      return await importLayer(context, { source, name: one.name, replace: true });
    }
    case "clone":
      return await clone(context, { ref: one.name, names: [one.to], noLxc: true });
    case "put": {
      writeFileSync(`${path}/file`, bytesOf(one.file));
      return await put(context, { sources: [`${path}/file`], target: `${one.name}:/put` });
    }
    case "commit":
      return await commit(context, { name: one.name, layer: one.to, replace: true });
    case "snapshot":
      return await snapshot(context, { name: one.name });
    case "tag":
      return await tag(context, { ref: one.name, name: one.to, replace: true });
    case "remove":
      return await remove(context, { names: [one.name] });
    case "collect":
      return await gc(context, { grace: one.grace });
  }
}

/** Half of it compresses, so that frames differ from what they hold. */
function bytesOf({ seed, size }: File): Buffer {
  const bytes = Buffer.alloc(size, `text ${seed} `);
  let state = seed + 1;
  for (let i = 0; i < size / 2; i++) bytes[i] = (state = Math.imul(state, 1_103_515_245) + 12_345) >>> 24;
  return bytes;
}
