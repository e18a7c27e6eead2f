import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Kv } from "../../src/kv/kv.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireLoop } from "../support/requirements.ts";

interface Survivors {
  /** Records that the cut left. */
  readonly records: number;
  /** Of these, those of which a chunk is missing. */
  readonly incomplete: number;
}

/**
 * Writes chunks without sync, more than a memtable of them, then a record that names them with sync, over and over, on a
 * filesystem of its own. Then its power is cut: nothing that is in memory reaches the disk.
 */
async function writeAndCut(how: "barrier" | "sync alone", cutAfterMilliseconds: number): Promise<Survivors> {
  await using filesystem = await loopFilesystem("ext4", 512);
  const script = fileURLToPath(new URL("power-cut-writer.ts", import.meta.url));
  const args = [script, filesystem.path, how, String(cutAfterMilliseconds)];
  const writer = spawn(process.execPath, ["--import", "tsx", ...args], { stdio: "inherit" });
  await once(writer, "exit");
  assert.equal(writer.signalCode, "SIGKILL");

  await filesystem.remount();
  await using kv = await Kv.open(join(filesystem.path, "db"), { create: false });
  let records = 0;
  let incomplete = 0;
  for await (const [key, value] of kv.iterate({ gte: Buffer.from("r"), lt: Buffer.from("s") })) {
    records++;
    const round = Buffer.from(key).toString("latin1", 1);
    const count = Number(Buffer.from(value).toString("latin1"));
    const chunks = Array.from({ length: count }, (_, i) => kv.getSync(Buffer.from(`c${round}-${i}`)));
    if (chunks.includes(undefined)) incomplete++;
  }
  return { records, incomplete };
}

const CUTS_MILLISECONDS = [150, 275, 400, 525];

test("kv: after a power cut, each record that was written after a barrier has all that was written before it", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  let records = 0;
  for (const cut of CUTS_MILLISECONDS) {
    const survivors = await writeAndCut("barrier", cut);
    assert.equal(survivors.incomplete, 0);
    records += survivors.records;
  }
  assert.ok(records >= CUTS_MILLISECONDS.length, `${records} records`);
});

test("kv: without the barrier a record can outlive its chunks, though it was written with sync", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  // If this never fails, the test above proves nothing.
  for (let round = 0; round < 5; round++) {
    for (const cut of CUTS_MILLISECONDS) if ((await writeAndCut("sync alone", cut)).incomplete > 0) return;
  }
  assert.fail("no chunk was ever lost");
});
