import assert from "node:assert/strict";
import fs, { closeSync, mkdirSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { test } from "node:test";
import fc from "fast-check";
import { fsck, gc, importLayer, Store } from "../../src/index.ts";
import type { FsckResult } from "../../src/index.ts";
import { digestOf } from "../../src/format/blake3.ts";
import { CODEC, decodeFrameRows } from "../../src/format/chunk-value.ts";
import type { FrameRow } from "../../src/format/chunk-value.ts";
import { idOfKey } from "../../src/format/keys.ts";
import type { ValuePlace } from "../../src/kv/tables.ts";
import { plainOf } from "../../src/sys/chunk-frames.ts";
import { openTestStore } from "../support/store.ts";
import type { TestStore } from "../support/store.ts";

interface Value {
  readonly id: number;
  readonly place: ValuePlace;
  readonly rows: readonly FrameRow[];
}

/** A store of files that compress and files that do not, closed; with its values in the order of their ids. */
async function closedStore(at: TestStore, files: number): Promise<Value[]> {
  const source = `${at.path}/source`;
  mkdirSync(source);
  for (let i = 0; i < files; i++) {
    writeFileSync(`${source}/raw${i}`, noise(i, 130_000));
    writeFileSync(`${source}/words${i}`, noise(files + i, 30_000).toString("hex"));
    writeFileSync(`${source}/small${i}`, `small ${i}`);
  }
  await importLayer(at.context, { source, name: "base" });
  const { chunks } = at.store.databases;
  await chunks.barrier();
  const values: Value[] = [];
  for await (const [key, bytes] of chunks.iterate({})) {
    const place = chunks.placeSync(key);
    assert.ok(place);
    values.push({ id: idOfKey(key), place, rows: decodeFrameRows(idOfKey(key), bytes) });
  }
  await at.store[Symbol.asyncDispose]();
  return values;
}

function noise(seed: number, bytes: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(bytes / 32) }, (_, i) =>
    Buffer.from(digestOf(Buffer.of(seed, i, i >> 8)), "hex"),
  );
  return Buffer.concat(blocks).subarray(0, bytes);
}

function flip({ file, position }: ValuePlace, offset: number, mask: number): void {
  const fd = openSync(file, "r+");
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, position + offset);
  byte[0]! ^= mask;
  writeSync(fd, byte, 0, 1, position + offset);
  closeSync(fd);
}

async function checkedWith(directory: string, ...flipped: Parameters<typeof flip>): Promise<FsckResult> {
  flip(...flipped);
  try {
    await using store = await Store.open(directory, { damaged: "look" });
    return await fsck({ store, command: "fsck" }, { deep: true });
  } finally {
    flip(...flipped);
  }
}

/** zstd does not look at all bits of a frame. */
function isChunkStill({ place }: Value, row: FrameRow, offset: number, mask: number): boolean {
  const stored = Buffer.alloc(row.storedBytes);
  const fd = openSync(place.file, "r");
  readSync(fd, stored, 0, stored.length, place.position + row.offset);
  closeSync(fd);
  stored[offset - row.offset]! ^= mask;
  try {
    return digestOf(plainOf(stored, row, row.digest, undefined)) === row.digest;
  } catch {
    return false;
  }
}

async function requireNamed(directory: string, value: Value, offset: number, mask: number): Promise<void> {
  const { id, place, rows } = value;
  const row = rows.find((row) => offset >= row.offset && offset < row.offset + row.storedBytes);
  if (row !== undefined && isChunkStill(value, row, offset, mask)) return;
  const { damage } = await checkedWith(directory, place, offset, mask);
  const expected = row === undefined ? `chunk value ${id}` : `chunk ${row.digest}`;
  assert.deepEqual(
    damage.filter(({ kind }) => kind !== "accounting").map(({ what }) => what),
    [expected],
  );
}

for (const [size, files, numRuns] of [
  ["as other threads prove it", 120, 10],
  ["as this thread proves it", 8, 60],
] as const)
  test(`fsck --deep: a flipped byte anywhere in the chunks of a store, ${size}, is named, and nothing else is`, async () => {
    await using at = await openTestStore();
    const values = await closedStore(at, files);
    const directory = `${at.path}/store`;
    const last = values.at(-1)!;
    await requireNamed(directory, last, last.place.length - 1, 0xff);
    const raw = values.find(({ rows }) => rows.some(({ codec }) => codec === CODEC.raw))!;
    const { offset } = raw.rows.find(({ codec, storedBytes }) => codec === CODEC.raw && storedBytes > 100_000)!;
    await requireNamed(directory, raw, offset + 77_777, 0x01);
    for (let offset = 0; offset < 3; offset++) await requireNamed(directory, values[0]!, offset, 0xff);
    const flips = fc.record({
      value: fc.constantFrom(...values),
      // Half of them in what the value says of itself.
      at: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.nat(200)),
      mask: fc.integer({ min: 1, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(flips, async ({ value, at, mask }) => {
        const { length } = value.place;
        await requireNamed(directory, value, at < 1 ? Math.floor(at * length) : at % length, mask);
      }),
      { numRuns },
    );
  });

test("fsck --deep: a chunk whose last bytes the disk does not give is named", async (t) => {
  await using at = await openTestStore();
  const value = (await closedStore(at, 3)).at(-1)!;
  const bad = value.place.position + value.place.length - 1;
  const read = fs.readSync;
  const whole = t.mock.method(
    fs,
    "readSync",
    (fd: number, buffer: Buffer, from: number, length: number, position: number) => {
      const isThere =
        position > bad || position + length <= bad || fs.readlinkSync(`/proc/self/fd/${fd}`) !== value.place.file;
      if (!isThere) throw Object.assign(new Error("EIO: i/o error, read"), { code: "EIO", errno: -5, syscall: "read" });
      return read(fd, buffer, from, length, position);
    },
  );
  syncBuiltinESMExports();
  try {
    await using store = await Store.open(`${at.path}/store`, { damaged: "look" });
    const { damage } = await fsck({ store, command: "fsck" }, { deep: true });
    assert.ok(damage.some(({ what }) => what === `chunk ${value.rows.at(-1)!.digest}`));
  } finally {
    whole.mock.restore();
    syncBuiltinESMExports();
  }
});

test("fsck: chunks of a value that does not say what it holds are moved to one that does", async () => {
  await using at = await openTestStore();
  const [value] = await closedStore(at, 3);
  flip(value!.place, 1, 0xff);
  await using store = await Store.open(`${at.path}/store`, { damaged: "mend" });
  const context = { store, command: "fsck" };
  const { damage, repaired } = await fsck(context, { deep: true, repair: true });
  assert.deepEqual(damage, []);
  assert.notEqual(repaired.length, 0);
  await gc(context, { grace: "0" });
  assert.deepEqual((await fsck(context, { deep: true })).damage, []);
  for (const { digest } of value!.rows) store.chunks.get(digest);
});
