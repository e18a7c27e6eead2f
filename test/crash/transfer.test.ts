import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { create, gc, importLayer, list, openContainer, snapshot, Store } from "../../src/index.ts";
import { requireWhole } from "../operations/transfer-support.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** More of them: DELTA0_KILLS=2000 npm run test:crash */
const KILLS = Number(process.env["DELTA0_KILLS"] ?? 60) / 4;

interface Line {
  readonly beginning?: string;
  readonly going?: readonly string[];
  readonly name?: string;
  readonly digest?: string | null;
}

test(`crash: after each of ${KILLS} SIGKILLs in copies and receives both stores open, and what was acknowledged is there and whole`, async (t) => {
  await using directory = await temporaryDirectory();
  const [from, to] = [`${directory.path}/from`, `${directory.path}/to`];
  await makeOrigin(from, `${directory.path}/source`);
  const known = new Map<string, string>();
  let cutInside = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    const lines = await workUntilKilled(from, to, kill);
    const unsure = new Set<string>();
    for (const { beginning, going, name, digest } of lines) {
      for (const begun of beginning === undefined ? (going ?? []) : [beginning]) unsure.add(begun);
      if (name === undefined) continue;
      unsure.delete(name);
      if (typeof digest === "string") known.set(name, digest);
      else known.delete(name);
    }
    if (unsure.size > 0) cutInside++;
    if (!existsSync(`${to}/format`)) continue;
    await using store = await Store.open(to);
    const items = new Map((await list({ store, command: "check" })).map((item) => [item.name, item]));
    for (const [name, digest] of known) {
      if (unsure.has(name) && !items.has(name)) known.delete(name);
      else assert.equal(items.get(name)?.digest, digest, name);
    }
    for (const { name, digest, snapshots } of items.values()) {
      assert.ok(known.has(name) || unsure.has(name), `${name} came from nowhere`);
      assert.ok(digest);
      known.set(name, digest);
      requireWhole(store, digest);
      for (const snapshot of snapshots) {
        const ref = store.refs.find(`${name}@${snapshot}`);
        assert.ok(ref);
        requireWhole(store, store.refs.treeOf(ref));
      }
    }
    // It would say so of anything that a name reaches and that is not there.
    await gc({ store, command: "check" }, { grace: "0", dryRun: true });
  }
  t.diagnostic(`killed inside of a step: ${cutInside} of ${KILLS}`);
});

/** Five layers, each made from the one before, and a container with a snapshot and a change. */
async function makeOrigin(path: string, source: string): Promise<void> {
  await using store = await Store.open(path, { create: true });
  const context = { store, command: "test" };
  for (let i = 0; i < 5; i++) {
    mkdirSync(`${source}/d${i}`, { recursive: true });
    for (let j = 0; j < 100; j++) writeFileSync(`${source}/d${i}/f${j}`, randomBytes(5000));
    writeFileSync(`${source}/large`, randomBytes(2_000_000));
    await importLayer(context, { source, name: `layer${i}`, ...(i > 0 && { parent: `layer${i - 1}` }) });
  }
  await create(context, { source: "layer4", name: "web", noLxc: true });
  await snapshot(context, { name: "web" });
  await using view = await openContainer(context, { name: "web" });
  await view.promises.writeFile("/changed", randomBytes(500_000));
}

async function workUntilKilled(from: string, to: string, seed: number): Promise<Line[]> {
  const program = fileURLToPath(new URL("transfer-worker.ts", import.meta.url));
  const args = ["--import", import.meta.resolve("tsx"), program, from, to, String(seed)];
  const worker = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  worker.stdout.on("data", (bytes: Buffer) => (text += bytes.toString()));
  const close = once(worker, "close");
  await Promise.race([once(worker.stdout, "data"), close]);
  await sleep(Math.random() ** 2 * 1500);
  assert.equal(worker.exitCode, null, `the worker failed; it said ${text}`);
  worker.kill("SIGKILL");
  await close;
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}
