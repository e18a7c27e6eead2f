/**
 * Works on a store until it is killed: worker.ts STORE LXCPATH SOURCE SCRATCH SEED
 *
 * Each line it prints is what it is about to do, or has done: {"at":"begin"|"done","verb","names","digest"?}.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync, writeSync } from "node:fs";
import {
  capture,
  clone,
  commit,
  create,
  exportTree,
  gc,
  importLayer,
  list,
  preStart,
  remove,
  rename,
  reset,
  rollback,
  show,
  snapshot,
  Store,
} from "../../src/index.ts";

const [directory = "", lxcPath = "", source = "", scratch = "", seedText = "1"] = process.argv.slice(2);
let seed = Number(seedText);
const random = (below: number): number => {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
};
let serial = 0;
const newName = (): string => `n${seedText}-${serial++}`;

await using store = await Store.open(directory, { create: true, command: "worker" });
const context = { store, command: "worker" };

while (true) {
  const items = await list(context);
  const containers = items.filter(({ type }) => type === "container").map(({ name }) => name);
  const layers = items.filter(({ type }) => type === "layer").map(({ name }) => name);
  const container = containers[random(containers.length)];
  const layer = layers[random(layers.length)];
  switch (random(13)) {
    case 0:
      await importOne(newName());
      break;
    case 1:
    case 2:
      if (layer === undefined) await importOne(newName());
      else await createOne(layer);
      break;
    case 3:
      if (container !== undefined) await cloneSome(container);
      break;
    case 4:
      if (container !== undefined) await captureOne(container);
      break;
    case 5:
      if (container !== undefined) await commitOne(container);
      break;
    case 6:
      if (container !== undefined) await exportOne(container);
      break;
    case 7:
      if (container !== undefined) await renameOne(container);
      break;
    case 8:
      if (containers.length > 6 && container !== undefined) await removeOne(container);
      else if (layers.length > 6 && layer !== undefined) await removeOne(layer);
      else if (container !== undefined) await makeStartable(container);
      break;
    case 9:
      if (container !== undefined) await snapshotOne(container);
      break;
    case 10:
      if (container !== undefined) await rollbackOne(container);
      break;
    case 11:
      if (container !== undefined) await resetOne(container);
      break;
    case 12:
      begin("gc", []);
      await gc(context, { grace: "0" });
      done("gc", [], "");
  }
}

async function importOne(name: string): Promise<void> {
  writeFileSync(`${source}/changing`, randomBytes(3_000_000));
  begin("import", [name]);
  const { digest } = await importLayer(context, { source, name });
  done("import", [name], digest);
}

async function createOne(layer: string): Promise<void> {
  const name = newName();
  begin("create", [name]);
  const { digest } = await create(context, { source: layer, name, lxcPath });
  done("create", [name], digest);
}

async function cloneSome(container: string): Promise<void> {
  const names = Array.from({ length: 1 + random(3) }, newName);
  begin("clone", names);
  const { digest } = await clone(context, { ref: container, names, lxcPath });
  done("clone", names, digest);
}

/** As a start, a change and a stop would leave it. */
async function captureOne(container: string): Promise<void> {
  await makeStartable(container);
  const delta = `${lxcPath}/${container}/delta0`;
  begin("capture", [container]);
  mkdirSync(`${lxcPath}/${container}/work`, { recursive: true });
  writeFileSync(`${delta}/written-${random(5)}`, randomBytes(200_000));
  const { digest } = await capture(context, { name: container });
  done("capture", [container], digest);
}

async function commitOne(container: string): Promise<void> {
  const layer = newName();
  const { digest } = await show(context, { ref: container });
  begin("commit", [container, layer]);
  await commit(context, { name: container, layer });
  done("commit", [container, layer], digest);
}

async function exportOne(container: string): Promise<void> {
  const target = `${scratch}/${newName()}`;
  begin("export", [target]);
  const { digest } = await exportTree(context, { ref: container, target });
  done("export", [target], digest);
}

async function renameOne(container: string): Promise<void> {
  const to = newName();
  const { digest } = await show(context, { ref: container });
  begin("rename", [container, to]);
  await rename(context, { from: container, to });
  done("rename", [container, to], digest);
}

async function snapshotOne(container: string): Promise<void> {
  const key = newName();
  begin("snapshot", [`${container}@${key}`]);
  const { ref, digest } = await snapshot(context, { name: container, snapshot: key });
  done("snapshot", [ref], digest);
}

async function rollbackOne(container: string): Promise<void> {
  const { container: found } = await show(context, { ref: container });
  const snapshots = found?.snapshots ?? [];
  const key = snapshots[random(snapshots.length)]?.snapshot;
  if (key === undefined) return await snapshotOne(container);
  begin("rollback", [container]);
  const { digest } = await rollback(context, { name: container, snapshot: key });
  done("rollback", [container], digest);
}

async function resetOne(container: string): Promise<void> {
  begin("reset", [container]);
  const { digest } = await reset(context, { name: container });
  done("reset", [container], digest);
}

async function removeOne(name: string): Promise<void> {
  begin("rm", [name]);
  await remove(context, { names: [name] });
  done("rm", [name]);
}

/** What the pre-start hook does: the shared export, and the delta where it is pending. */
async function makeStartable(container: string): Promise<void> {
  const { container: found } = await show(context, { ref: container });
  if (found === null || !existsSync(`${lxcPath}/${container}/config`)) return;
  const rootfsPath = `${store.exports.path(found.lower)}:${lxcPath}/${container}/delta0`;
  begin("start", [container]);
  await preStart(context, { configFile: `${lxcPath}/${container}/config`, rootfsPath });
  done("start", [container], (await show(context, { ref: container })).digest);
}

function begin(verb: string, names: readonly string[]): void {
  say({ at: "begin", verb, names });
}

function done(verb: string, names: readonly string[], digest?: string): void {
  say({ at: "done", verb, names, digest });
}

/** At once: what is not written when the kill comes was not acknowledged. */
function say(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
