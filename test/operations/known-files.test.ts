import assert from "node:assert/strict";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { gc, importLayer, openView, remove } from "../../src/index.ts";
import { openTestStore } from "../support/store.ts";
import type { TestStore } from "../support/store.ts";

const FILES = 60;
const LARGE_BYTES = 700_000;

/** Files that were written long enough ago to be known once they are read. */
async function settledFiles(path: string): Promise<string[]> {
  mkdirSync(path);
  const names = Array.from({ length: FILES }, (_, i) => `${path}/${i}`);
  for (const [i, name] of names.entries()) writeFileSync(name, Buffer.alloc(i % 10 === 0 ? LARGE_BYTES : 100 + i, i));
  linkSync(names[0]!, `${path}/linked`);
  await setTimeout(2500);
  return names;
}

function bytesRead(): number {
  return Number(/rchar: (\d+)/.exec(readFileSync("/proc/self/io", "latin1"))?.[1]);
}

/** What a store that never saw it makes of a directory. */
async function freshDigest(source: string): Promise<string> {
  await using at = await openTestStore();
  return (await importLayer(at.context, { source, name: "fresh" })).digest;
}

function knownFiles({ path }: TestStore): string[] {
  const directory = `${path}/store/private/known-files`;
  return readdirSync(directory).map((name) => `${directory}/${name}`);
}

/** Each as if nobody had written: same size, and the mtime it had. */
function changeSilently(names: readonly string[], value: number): void {
  for (const name of names) {
    const { size, mtime } = statSync(name);
    writeFileSync(name, Buffer.alloc(size, value));
    utimesSync(name, mtime, mtime);
  }
}

test("known files: what is unchanged is not read again, and what is changed in any way is", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  const names = await settledFiles(source);
  let imports = 0;
  const digest = async (): Promise<string> => {
    const { digest } = await importLayer(at.context, { source, name: `n${imports++}` });
    return digest;
  };
  const first = await digest();
  const before = bytesRead();
  assert.equal(await digest(), first);
  assert.ok(bytesRead() - before < LARGE_BYTES, "not even one large file is read");

  changeSilently(names.slice(0, 20), 0xaa);
  assert.equal(await digest(), await freshDigest(source));
  // Within the same tick of the clock as what was just read of it.
  for (let round = 0; round < 5; round++) {
    changeSilently(names.slice(5, 15), 0xb0 + round);
    const now = await digest();
    changeSilently(names.slice(10, 20), 0xc0 + round);
    assert.notEqual(await digest(), now);
    assert.equal(await digest(), await freshDigest(source));
  }
  chmodSync(names[21]!, 0o600);
  truncateSync(names[22]!, 50);
  rmSync(names[23]!);
  renameSync(names[24]!, names[25]!);
  renameSync(names[30]!, `${source}/moved`);
  writeFileSync(`${source}/new`, "new");
  assert.equal(await digest(), await freshDigest(source));
});

test("known files: what was collected since is read again", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  await settledFiles(source);
  const { digest } = await importLayer(at.context, { source, name: "first" });
  await remove(at.context, { names: ["first"] });
  const { chunks } = await gc(at.context, { grace: "0" });
  assert.ok(chunks.count > 0);
  const again = await importLayer(at.context, { source, name: "again" });
  assert.equal(again.digest, digest);
  const view = await openView(at.context, { ref: "again" });
  for (const name of readdirSync(source))
    assert.ok(view.readFileSync(`/${name}`).equals(readFileSync(`${source}/${name}`)));
});

test("known files: a record that is damaged, cut short or another directory's is none", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  const names = await settledFiles(source);
  const { digest } = await importLayer(at.context, { source, name: "first" });
  const [record] = knownFiles(at);
  assert.ok(record);
  const whole = readFileSync(record);
  changeSilently(names.slice(0, 3), 1);
  const changed = await freshDigest(source);
  assert.notEqual(changed, digest);
  let imports = 0;
  for (const bytes of [
    whole.subarray(0, 1000),
    Buffer.alloc(0),
    whole.map((byte, i) => (i === 5000 ? byte ^ 1 : byte)),
  ]) {
    writeFileSync(record, bytes);
    assert.equal((await importLayer(at.context, { source, name: `n${imports++}` })).digest, changed);
  }
  const other = `${at.path}/other`;
  mkdirSync(other);
  writeFileSync(`${other}/file`, "other");
  await setTimeout(2500);
  await importLayer(at.context, { source: other, name: "other" });
  const records = knownFiles(at).filter((path) => path !== record);
  assert.equal(records.length, 1);
  writeFileSync(records[0]!, whole);
  const { digest: read } = await importLayer(at.context, { source: other, name: "other-again" });
  assert.equal(read, await freshDigest(other));
});
