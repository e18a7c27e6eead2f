import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { capture, clone, commit, create, importLayer, info, show, status, Store } from "../../src/index.ts";
import { run } from "../support/run.ts";
import { FOR_ANYBODY, openTestHost, runContainer } from "./support.ts";
import type { TestHost } from "./support.ts";

const CLONES = 1000;
const names = (prefix: string): string[] => Array.from({ length: CLONES }, (_, i) => `${prefix}${i}`);

/** Apparent bytes of the closed store; it is opened again. */
async function storeBytes({ context }: { context: { store: Store } }): Promise<number> {
  const { directory } = context.store.paths;
  await context.store[Symbol.asyncDispose]();
  // What LevelDB needs to begin with, such as a new log, comes and goes with each opening.
  for (let i = 0; i < 2; i++) await (await Store.open(directory))[Symbol.asyncDispose]();
  const bytes = await run("du", ["-sb", directory]);
  context.store = await Store.open(directory);
  return parseInt(bytes, 10);
}

async function inodesIn(directory: string): Promise<number> {
  return (await run("find", [directory, "-printf", "."])).length;
}

async function withContainer(): Promise<{ at: TestHost; context: { store: Store; command: string } }> {
  const at = await openTestHost();
  const context = { store: at.store, command: "test" };
  await create(context, { source: at.source, name: "web", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/new`, Buffer.alloc(50_000, "new")));
  await capture(context, { name: "web" });
  return { at, context };
}

test(`clone: each of ${CLONES} in one command costs at most 1 KiB of store, and at most 4 inodes outside`, async () => {
  const { at, context } = await withContainer();
  await using _at = at;
  const empty = await storeBytes({ context });
  await clone(context, { ref: "web", names: names("bare"), noLxc: true });
  const bare = await storeBytes({ context });
  assert.ok(bare - empty <= CLONES * 1024, `${(bare - empty) / CLONES} bytes each`);
  // Of a container with changes the upper is a promise; of a layer it is made.
  await commit(context, { name: "web", layer: "base" });
  for (const [i, ref] of ["bare0", "base"].entries()) {
    const before = await storeBytes({ context });
    await clone(context, { ref, names: names(`lxc${i}-`), lxcPath: at.lxcPath });
    const after = await storeBytes({ context });
    assert.ok(after - before <= CLONES * 1024, `${(after - before) / CLONES} bytes each`);
    assert.equal(await inodesIn(at.lxcPath), 1 + 4 + (i + 1) * CLONES * 4);
  }
  assert.equal((await info(context)).containers, 3 * CLONES + 1);
  await context.store[Symbol.asyncDispose]();
});

test("clone: of a clone of a clone, 200 deep, each step costs the same, and so does looking", async () => {
  await using at = await openTestHost();
  const { context } = at;
  for (let i = 0; i < 600; i++) writeFileSync(`${at.source}/bin/tool${i}`, `${i}`);
  await importLayer(context, { source: at.source, name: "base" });
  await create(context, { source: "base", name: "c0", noLxc: true });
  const delta = `${at.path}/delta`;
  await mkdir(`${delta}/etc`, { recursive: true });
  const nodesOfStep: number[] = [];
  for (let i = 1; i <= 200; i++) {
    const before = (await info(context)).nodes;
    await clone(context, { ref: `c${i - 1}`, names: [`c${i}`], noLxc: true });
    await writeFile(`${delta}/etc/hosts`, `step ${String(i).padStart(3, "0")}`);
    await capture(context, { name: `c${i}`, from: delta, dialect: "user" });
    const { changes } = await status(context, { name: `c${i}` });
    assert.ok(changes.length <= 3 && changes.some(({ path }) => path === "etc/hosts"));
    await commit(context, { name: `c${i}`, layer: `l${i}` });
    nodesOfStep.push((await info(context)).nodes - before);
  }
  // Two directories above one changed file, and the tree.
  assert.deepEqual([...new Set(nodesOfStep)], [3]);
  const { container, layer, files } = await show(context, { ref: "c200" });
  assert.equal(files, 606);
  assert.equal(container?.generation, 3, "made, captured, committed");
  assert.equal(layer?.parentDigest, (await show(context, { ref: "l199" })).digest);
});
