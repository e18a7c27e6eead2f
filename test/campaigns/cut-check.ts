import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname, extname } from "node:path";
import {
  capture,
  fsck,
  gc,
  importLayer,
  list,
  listExports,
  preStart,
  receive,
  remove,
  repairExports,
  restore,
  Store,
} from "../../src/index.ts";
import type { Context, ListItem } from "../../src/index.ts";
import { partsOfKey } from "../../src/exports/export-key.ts";
import { getValue } from "../../src/lxc/config-file.ts";
import { readContainerDirectory } from "../../src/lxc/container-directory.ts";
import { parseDigest } from "../../src/model/digest.ts";
import type { Digest } from "../../src/model/digest.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import { reachTree } from "../../src/trees/reach.ts";
import { run } from "../support/run.ts";
import { namesIn } from "./cut-hand.ts";
import type { Places } from "./cut-hand.ts";
import type { Known, Plan } from "./cut-model.ts";

export interface CheckOptions {
  /** What was done or begun since the last check. */
  readonly plans: readonly Plan[];
  /** The one of them that was cut. */
  readonly cut: Plan | undefined;
  /** The power was cut: of what nobody synced, anything may be there. */
  readonly isPowerCut: boolean;
  /** Collects, too, and counts what is left. */
  readonly isCollecting: boolean;
}

/** Fails unless the store opens, and all that was acknowledged is there and whole, and nothing half-made is. */
export async function check(places: Places, known: Known, options: CheckOptions): Promise<void> {
  const { plans, cut, isCollecting } = options;
  const before = new Map(known.names);
  await using store = await Store.open(places.store, { create: true, command: "check" });
  const context = { store, command: "check", onWarning: (warning: string) => assert.fail(warning) };
  requireSwept(store, places);
  const present = await namesIn(context);
  const hasHappened = known.judge(present, cut);
  for (const digest of new Set([...present].flatMap(([name, digest]) => (name.startsWith("=") ? [] : digest))))
    readAll(store, digest);
  if (hasHappened && cut !== undefined) await checkOutcome(context, places, cut, before, present, options);
  await checkDirectories(context, places, known, cut);
  await checkExports(context, cut);
  await checkPlaces(context, known, cut);
  await checkInit(places);
  // Whatever of it was collected, and how far: what is put anew is there.
  if (plans.some(({ verb }) => verb === "gc" || verb === "rm --now"))
    readAll(store, await treeIn(context, places.source));
  const touched = new Set(plans.flatMap(({ names = {} }) => Object.keys(names)));
  for (const item of await list(context)) if (touched.has(item.name)) await checkStart(context, item);
  if (isCollecting) await collect(context, places);
}

/** What was on its way into being when the end came is gone, now that the store is open. */
function requireSwept({ paths }: Store, { scratch, lxc }: Places): void {
  assert.deepEqual(readdirSync(paths.staging), [], "stagings");
  assert.deepEqual(existsSync(paths.partials) ? readdirSync(paths.partials) : [], [], "partials");
  const targets = readdirSync(scratch, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const directory of [scratch, lxc, paths.privateExports, ...targets.map(({ name }) => `${scratch}/${name}`)])
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.startsWith(".")),
      [],
      directory,
    );
}

/** Each node and each chunk, all of which are proven when they are read. */
function readAll({ trees, content }: Store, digest: string): void {
  for (const { after } of diffTrees(trees, undefined, trees.tree(digestOf(digest)))) {
    if (after?.type !== "file") continue;
    let size = 0;
    for (const piece of content.pieces(after.content)) size += typeof piece === "number" ? piece : piece.length;
    assert.equal(size, after.content.size);
  }
}

async function checkOutcome(
  context: Context,
  { path }: Places,
  { names = {}, changes = {}, source }: Plan,
  before: ReadonlyMap<string, string>,
  present: ReadonlyMap<string, string>,
  { isPowerCut }: CheckOptions,
): Promise<void> {
  const { trees } = context.store;
  for (const [name, paths] of Object.entries(changes)) {
    const [was, is] = [before.get(name), present.get(name)];
    assert.ok(was !== undefined && is !== undefined);
    const changed = [...diffTrees(trees, trees.tree(digestOf(was)), trees.tree(digestOf(is)))];
    const seen = changed.flatMap(({ path }) => (path === "" ? [] : path)).sort();
    if (isPowerCut) for (const path of seen) assert.ok(paths.includes(path), path);
    else assert.deepEqual(seen, [...paths].sort(), `${name} was changed by half`);
  }
  // What nobody synced is cut, too.
  if (source === undefined || (isPowerCut && source.startsWith(`${path}/`))) return;
  for (const name of Object.keys(names)) assert.equal(present.get(name), await treeIn(context, source), name);
}

async function checkDirectories(context: Context, { lxc }: Places, known: Known, cut: Plan | undefined): Promise<void> {
  const items = (await list(context)).filter(({ lxcDirectory }) => lxcDirectory !== null);
  for (const { name, lxcDirectory } of items) {
    const found = readContainerDirectory(lxcDirectory ?? "");
    assert.equal(found.type, "container", name);
    assert.ok(found.hasUpper || found.pendingGeneration !== undefined, `${name} has lost its delta`);
    assert.ok(found.rootfs.upper.startsWith(`${lxcDirectory}/`), `${name} has the upper of another`);
  }
  const ours = items.flatMap(({ name, lxcDirectory }) => (lxcDirectory === `${lxc}/${name}` ? name : []));
  const copies = [...known.places.keys(), ...Object.keys(cut?.places ?? {})];
  const others = copies.flatMap((place) => (place.startsWith(`${lxc}/`) ? basename(dirname(place)) : []));
  const unknown = readdirSync(lxc).filter((name) => !ours.includes(name) && !others.includes(name));
  assert.deepEqual(unknown, [], "directories of nobody");
}

/** Each is what it says: an unfinished export is no export. */
async function checkExports(context: Context, cut: Plan | undefined): Promise<void> {
  // As the first start after a boot does it.
  await context.store.exports.protect();
  if (cut?.verb === "exports --repair") await repairExports(context);
  for (const { digest, over, path, changed } of await listExports(context)) {
    assert.deepEqual(changed, [], path);
    if (over === null) assert.equal(await treeIn(context, path), digest);
  }
}

/** Exports, backups and copies are whole, and there if they were acknowledged; then they go. */
async function checkPlaces(context: Context, known: Known, cut: Plan | undefined): Promise<void> {
  const acknowledged = new Map(known.places);
  for (const [place, digest] of [...acknowledged, ...Object.entries(cut?.places ?? {})]) {
    const found = await digestIn(context, place);
    if (acknowledged.has(place) || found !== undefined) assert.equal(found, digest, place);
    await run("rm", ["-rf", place.endsWith("/rootfs") ? dirname(place) : place]);
  }
  known.places.clear();
}

/** @returns undefined if there is nothing, be it an empty directory */
async function digestIn(context: Context, place: string): Promise<string | undefined> {
  if (!existsSync(place)) return undefined;
  switch (extname(place)) {
    case ".backup":
      return await taken(
        context,
        async () => (await restore(context, { file: place, name: "check", noLxc: true })).digest,
      );
    case ".sent":
      return await taken(
        context,
        async () => (await receive(context, { file: place, as: "check" })).received[0]?.digest,
      );
    case ".store": {
      await using store = await Store.open(place, { create: true });
      return (await namesIn({ store, command: "check" })).get("copied");
    }
    case "":
      return readdirSync(place).length === 0 ? undefined : await treeIn(context, place);
    default:
      return await treeIn(context, place);
  }
}

async function checkInit({ scratch }: Places): Promise<void> {
  const directory = `${scratch}/init`;
  if (!existsSync(directory)) return;
  {
    await using store = await Store.open(directory, { create: true });
    assert.deepEqual(await list({ store, command: "check" }), []);
  }
  rmSync(directory, { recursive: true });
}

/** It starts as what the record says: as a start and a stop that change nothing would leave it. */
async function checkStart(context: Context, { name, lxcDirectory, digest }: ListItem): Promise<void> {
  if (lxcDirectory === null) return;
  const found = readContainerDirectory(lxcDirectory);
  assert.equal(found.type, "container");
  const rootfsPath = getValue(found.config, "lxc.rootfs.path") ?? "";
  await preStart(context, { configFile: `${lxcDirectory}/config`, rootfsPath });
  mkdirSync(`${dirname(found.rootfs.upper)}/work`);
  assert.equal((await capture(context, { name })).digest, digest, `${name} starts as another`);
}

/** After two collections nothing is left that no name reaches, and nothing that is on its way into being. */
async function collect(context: Context, { lxc }: Places): Promise<void> {
  const { store } = context;
  assert.deepEqual((await fsck(context, { deep: true })).damage, []);
  // What the history still has is there, too.
  await gc(context, { grace: "1h" });
  for (let i = 0; i < 2; i++) await gc(context, { grace: "0" });
  for (const directory of [
    store.paths.directory,
    store.paths.manifests,
    store.paths.lxc,
    ...readdirSync(lxc).map((name) => `${lxc}/${name}`),
  ])
    assert.deepEqual(
      readdirSync(directory).filter((name) => /\.tmp$|^\./.test(name)),
      [],
      directory,
    );
  const chunks = new Set<Digest>();
  const nodes = new Set<Digest>();
  const reach = {
    enter: (digest: Digest) => !nodes.has(digest) && nodes.add(digest).has(digest),
    node: () => undefined,
    chunk: (digest: Digest) => chunks.add(digest),
  };
  for (const tree of await rootsOf(context)) if (store.nodes.has(tree)) reachTree(store.nodes, tree, reach);
  const usage = await store.usage();
  assert.ok(usage.chunks <= chunks.size, `${usage.chunks} chunks, where ${chunks.size} are reached`);
  assert.ok(usage.nodes <= nodes.size, `${usage.nodes} nodes, where ${nodes.size} are reached`);
}

async function rootsOf(context: Context): Promise<Set<Digest>> {
  const { store } = context;
  const roots = new Set<Digest>();
  for (const name of (await namesIn(context)).keys()) {
    const ref = store.refs.find(name);
    if (ref?.type === "container") roots.add(ref.tree).add(ref.lower);
    let layer = ref?.type === "layer" ? ref.layer : (ref?.base ?? null);
    for (; layer !== null; layer = store.refs.layer(layer).parent) roots.add(store.refs.layer(layer).tree);
  }
  for (const key of store.exports.keys()) roots.add(partsOfKey(key).tree);
  return roots;
}

async function treeIn(context: Context, source: string): Promise<string> {
  return await taken(context, async () => (await importLayer(context, { source, name: "check" })).digest);
}

/** Takes something in by the name "check", for a moment. */
async function taken<T>(context: Context, takeIn: () => Promise<T>): Promise<T> {
  const digest = await takeIn();
  await remove(context, { names: ["check"] });
  return digest;
}

function digestOf(text: string): Digest {
  return parseDigest(text) ?? assert.fail(text);
}
