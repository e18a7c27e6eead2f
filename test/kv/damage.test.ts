import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { StoreError } from "../../src/errors.ts";
import { Kv } from "../../src/kv/kv.ts";
import { salvage } from "../../src/kv/salvage.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const ROWS = 400;
const keyOf = (row: number): Buffer => Buffer.from(`key ${row}`);
const valueOf = (row: number, round: number): Buffer => Buffer.alloc(200, `${row} in ${round};`);

/** Two rounds of the same keys, the second in part in the log: the older values lie in tables. */
async function makeDatabase(directory: string): Promise<void> {
  await using kv = await Kv.open(directory, { create: true });
  for (const round of [1, 2]) {
    for (let row = 0; row < ROWS; row++)
      await kv.write([{ type: "put", key: keyOf(row), value: valueOf(row, round) }], { sync: row === ROWS - 1 });
    if (round === 1) await kv.barrier();
  }
}

async function contentOf(directory: string): Promise<ReadonlyMap<string, string>> {
  await using kv = await Kv.open(directory, { create: false });
  const found = new Map<string, string>();
  for await (const [key, value] of kv.iterate({}))
    found.set(Buffer.from(key).toString("latin1"), Buffer.from(value).toString("latin1"));
  return found;
}

test("damage: what is lost of a closed database's CURRENT, MANIFEST or log is noticed when it is opened", async () => {
  await using directory = await temporaryDirectory();
  const whole = `${directory.path}/whole`;
  await makeDatabase(whole);
  // The log before may be there still, and nobody's.
  const log = readdirSync(whole)
    .filter((name) => name.endsWith(".log"))
    .at(-1);
  const names = readdirSync(whole).filter((name) => /^(CURRENT|MANIFEST-.*)$/.test(name) || name === log);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...names),
      fc.constantFrom("flip", "zero", "truncate", "delete"),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      async (name, kind, where) => {
        const damaged = `${directory.path}/damaged`;
        rmSync(damaged, { recursive: true, force: true });
        cpSync(whole, damaged, { recursive: true });
        const bytes = readFileSync(`${damaged}/${name}`);
        const before = Buffer.from(bytes);
        const at = Math.floor(where * bytes.length);
        if (kind === "flip") bytes[at] = (bytes[at] ?? 0) ^ 4;
        if (kind === "zero")
          bytes.subarray(at - (at % 4096)).fill(0, 0, Math.min(4096, bytes.length - at + (at % 4096)));
        writeFileSync(`${damaged}/${name}`, bytes);
        if (kind === "truncate") truncateSync(`${damaged}/${name}`, at);
        if (kind === "delete") rmSync(`${damaged}/${name}`);
        const isSame = (kind === "flip" || kind === "zero") && before.equals(bytes);
        if (!isSame) await assert.rejects(Kv.open(damaged, { create: false }), { code: "FORMAT_INVALID" });
      },
    ),
    { numRuns: 120 },
  );
});

test("damage: without CURRENT and MANIFEST all that was written last is salvaged, and the damaged one is as it was", async () => {
  await using directory = await temporaryDirectory();
  const [whole, salvaged] = [`${directory.path}/whole`, `${directory.path}/salvaged`];
  await makeDatabase(whole);
  for (const name of readdirSync(whole)) if (/^(CURRENT|MANIFEST)/.test(name)) rmSync(`${whole}/${name}`);
  const before = readdirSync(whole).map((name) => [name, readFileSync(`${whole}/${name}`)]);
  await salvage(whole, salvaged, { writeBufferBytes: 4 << 20, isWrittenOnce: false });
  const found = await contentOf(salvaged);
  assert.equal(found.size, ROWS);
  for (let row = 0; row < ROWS; row++)
    assert.equal(found.get(keyOf(row).toString("latin1")), valueOf(row, 2).toString("latin1"));
  assert.deepEqual(
    readdirSync(whole).map((name) => [name, readFileSync(`${whole}/${name}`)]),
    before,
  );
});

test("damage: a killed process's log may end anywhere, and the database opens", async () => {
  await using directory = await temporaryDirectory();
  const whole = `${directory.path}/whole`;
  await makeDatabase(whole);
  rmSync(`${whole}/LEFT`);
  const log = readdirSync(whole).find((name) => name.endsWith(".log")) ?? "";
  const { length } = readFileSync(`${whole}/${log}`);
  for (const cut of [1, 5, 100, 250, 5000, length]) {
    const damaged = `${directory.path}/cut-${cut}`;
    cpSync(whole, damaged, { recursive: true });
    truncateSync(`${damaged}/${log}`, length - cut);
    assert.equal((await contentOf(damaged)).size, ROWS);
  }
});

test("damage: each byte of a table is covered by what looks through the tables", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/whole`;
  await makeDatabase(path);
  await contentOf(path);
  await using kv = await Kv.open(path, { create: false });
  assert.deepEqual([...kv.damagedFiles("blocks")], []);
  const table = readdirSync(path).find((name) => name.endsWith(".ldb")) ?? "";
  const bytes = readFileSync(`${path}/${table}`);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
      writeFileSync(`${path}/${table}`, damaged);
      // What fills the footer up is nobody's.
      if (at < bytes.length - 48) assert.equal([...kv.damagedFiles("blocks")].length, 1, `${table} ${bytes.length}`);
    }),
  );
  writeFileSync(`${path}/${table}`, bytes);
  rmSync(`${path}/${table}`);
  assert.deepEqual(
    [...kv.damagedFiles("frames")].map(({ reason }) => reason),
    ["is lost"],
  );
  writeFileSync(`${path}/${table}`, bytes);
});

test("damage: an error of an open names what can be done", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/whole`;
  await makeDatabase(path);
  rmSync(`${path}/CURRENT`);
  await assert.rejects(
    Kv.open(path, { create: false }),
    (error) => error instanceof StoreError && error.hint?.includes("delta0 fsck") === true,
  );
});
