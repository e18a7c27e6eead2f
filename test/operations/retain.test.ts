import assert from "node:assert/strict";
import { test } from "node:test";
import { create, importLayer, list, listSnapshots, pin, rename, retain, snapshot, tag, undo } from "../../src/index.ts";
import { openTestHost } from "./support.ts";
import type { TestHost } from "./support.ts";

/** Two containers with four snapshots each, "web@snap0" pinned. */
async function openHost(): Promise<TestHost> {
  const at = await openTestHost();
  for (const name of ["web", "db"]) {
    await create(at.context, { source: at.source, name, noLxc: true });
    for (let i = 0; i < 4; i++) await snapshot(at.context, { name, pinned: name === "web" && i === 0 });
  }
  return at;
}

async function snapshots({ context }: TestHost, name: string): Promise<string[]> {
  return (await listSnapshots(context, { name })).map(
    ({ snapshot, pinned }) => `${snapshot}${pinned ? " pinned" : ""}`,
  );
}

test("retain: thins out each container by itself, in one change that an undo takes back, pins with it", async () => {
  await using at = await openHost();
  const { context } = at;
  const planned = await retain(context, { keepLast: 2, dryRun: true });
  assert.equal((await snapshots(at, "web")).length, 4);
  const done = await retain(context, { keepLast: 2 });
  assert.deepEqual(done.items, planned.items);
  assert.deepEqual(await snapshots(at, "web"), ["snap0 pinned", "snap2", "snap3"]);
  assert.deepEqual(await snapshots(at, "db"), ["snap2", "snap3"]);
  assert.deepEqual(
    (await retain(context, { names: ["db"], keepLast: 1 })).items.map(({ ref, reasons }) => [ref, ...reasons]),
    [["db@snap3", "last 1"], ["db@snap2"]],
  );
  await undo(context, { count: 2 });
  assert.deepEqual(await snapshots(at, "web"), ["snap0 pinned", "snap1", "snap2", "snap3"]);
  assert.deepEqual(await snapshots(at, "db"), ["snap0", "snap1", "snap2", "snap3"]);
});

test("retain: thins out layers by a pattern of their names, and never a snapshot with them", async () => {
  await using at = await openHost();
  const { context } = at;
  for (const name of ["nightly-1", "nightly-2", "nightly-3", "base"])
    await importLayer(context, { source: at.source, name });
  await retain(context, { layers: "nightly-*", keepLast: 1 });
  const names = (await list(context, { only: "layers" })).map(({ name }) => name);
  assert.deepEqual(names, ["base", "nightly-3"]);
  assert.equal((await snapshots(at, "db")).length, 4);
});

test("pin: goes with a rename, not with a tag; unpinned it is thinned out like others; a container cannot be pinned", async () => {
  await using at = await openHost();
  const { context } = at;
  await rename(context, { from: "web", to: "shop" });
  assert.deepEqual((await snapshots(at, "shop"))[0], "snap0 pinned");
  await tag(context, { ref: "shop@snap0", name: "kept" });
  await importLayer(context, { source: at.source, name: "kept-2" });
  await retain(context, { layers: "kept*", keepLast: 1 });
  assert.deepEqual(
    (await list(context, { only: "layers" })).map(({ name }) => name),
    ["kept-2"],
  );
  await pin(context, { refs: ["shop@snap0", "shop@snap1"], pinned: false });
  await pin(context, { refs: ["shop@snap1"], pinned: true });
  await retain(context, { names: ["shop"], keepLast: 1 });
  assert.deepEqual(await snapshots(at, "shop"), ["snap1 pinned", "snap3"]);
  await assert.rejects(pin(context, { refs: ["shop"], pinned: true }), { code: "USAGE" });
  await assert.rejects(pin(context, { refs: ["shop@snap9"], pinned: true }), { code: "NOT_FOUND" });
});

test("retain: rules that keep nothing are refused, and names that are no containers", async () => {
  await using at = await openHost();
  const { context } = at;
  for (const rules of [{}, { keepLast: 0, keepDaily: 0 }])
    await assert.rejects(retain(context, rules), { code: "USAGE" });
  await assert.rejects(retain(context, { names: ["nobody"], keepLast: 1 }), { code: "NOT_FOUND" });
  await assert.rejects(retain(context, { names: ["web"], layers: "*", keepLast: 1 }), { code: "USAGE" });
  assert.equal((await snapshots(at, "db")).length, 4);
});
