import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { configure, create, importLayer, openContainer, rename, snapshot, Store, tag } from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { exportKey } from "../../src/exports/export-key.ts";
import { digestOf } from "../../src/format/blake3.ts";
import type { Digest } from "../../src/model/digest.ts";
import type { Node } from "../../src/model/node.ts";
import { errnoOf, StoreError } from "../../src/errors.ts";
import { setImmutable } from "../../src/sys/attributes.ts";
import { unmountBelow } from "../support/temporary.ts";
import type { Random } from "./damage-random.ts";

/** The container that views have changed, and whose changes are in no tree yet. */
export const CHANGED = "changed";
/** The layer that is exported where a case damages an export. */
export const EXPORTED = "base";

/** What a sound store shows: of each name its tree, of each path what is there. */
export interface Expected {
  readonly trees: ReadonlyMap<string, Digest>;
  readonly entries: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** What a view of the changed container shows; undefined if that may be lost. */
  readonly upper: ReadonlyMap<string, string> | undefined;
}

export interface Scene {
  readonly path: string;
  readonly store: string;
  /** A second store that holds the same, and the directory that all came from. */
  readonly other: string;
  readonly source: string;
  readonly expected: Expected;
}

export const NAMES: readonly string[] = [
  "base",
  "next",
  "stable",
  "latest",
  "still",
  CHANGED,
  "renamed",
  "still@first",
  "still@second",
];

/** A small store with all kinds of records, and what it should show. */
export async function makeScene(path: string, random: Random): Promise<Scene> {
  const [source, store, other] = [`${path}/source`, `${path}/store`, `${path}/other`];
  makeSource(source, random);
  {
    await using opened = await Store.open(store, { create: true });
    const context: Context = { store: opened, command: "a scene" };
    await importLayer(context, { source, name: "base" });
    writeFileSync(`${source}/etc/later`, random.bytes(5000));
    await importLayer(context, { source, name: "next", parent: "base" });
    await tag(context, { ref: "base", name: "stable" });
    for (const name of ["still", CHANGED, "gone"]) await create(context, { source: "next", name, noLxc: true });
    await snapshot(context, { name: "still", snapshot: "first" });
    await rename(context, { from: "gone", to: "renamed" });
    await configure(context, { key: "gc.grace", value: "30d" });
    await changeByView(context, random);
  }
  // Opening it puts what is in its logs into tables.
  {
    await using opened = await Store.open(store);
    const context: Context = { store: opened, command: "a scene" };
    await tag(context, { ref: "next", name: "latest" });
    await snapshot(context, { name: "still", snapshot: "second" });
    await using view = await openContainer(context, { name: CHANGED });
    await view.promises.writeFile("/srv/late", random.bytes(9000));
  }
  cpSync(store, other, { recursive: true });
  await using opened = await Store.open(other);
  const expected = await readAll(opened, NAMES);
  if (expected.problems.length > 0) throw new Error(expected.problems.join("\n"));
  return { path, store, other, source, expected };
}

function makeSource(source: string, random: Random): void {
  for (const directory of ["etc", "bin", "many", "empty"]) mkdirSync(`${source}/${directory}`, { recursive: true });
  for (let i = 0; i < 12; i++) writeFileSync(`${source}/etc/file-${i}`, random.bytes(random.below(4000)));
  // More entries than a page has.
  for (let i = 0; i < 300; i++) writeFileSync(`${source}/many/entry-${i}`, i % 50 === 0 ? random.bytes(300) : "");
  for (let i = 0; i < 6; i++) writeFileSync(`${source}/bin/tool-${i}`, random.bytes(10_000 + i * 60_000));
  writeFileSync(`${source}/bin/text`, "a line that compresses well\n".repeat(20_000));
  symlinkSync("tool-1", `${source}/bin/link`);
  linkSync(`${source}/bin/tool-2`, `${source}/bin/hard`);
  utimesSync(`${source}/etc`, 1_700_000_000, 1_700_000_000);
}

async function changeByView(context: Context, random: Random): Promise<void> {
  await using view = await openContainer(context, { name: CHANGED });
  await view.promises.writeFile("/etc/new", random.bytes(10_000));
  await view.promises.writeFile("/etc/file-1", "written anew");
  const handle = await view.promises.open("/bin/tool-5", "r+");
  await handle.write(random.bytes(5000), 0, 5000, 200_000);
  await handle.close();
  await view.promises.mkdir("/srv");
  for (let i = 0; i < 20; i++) await view.promises.writeFile(`/srv/${i}`, `number ${i}`);
  await view.promises.rename("/many", "/moved");
  await view.promises.unlink("/etc/file-2");
}

/** A copy to be damaged, without exports: their manifests would not fit copies. */
export function copyStore(scene: Scene, name: string): string {
  const copy = `${scene.path}/${name}`;
  discard(copy);
  cpSync(scene.store, copy, { recursive: true });
  return copy;
}

export function discard(store: string): void {
  const exports = `${store}/private/exports`;
  if (existsSync(exports)) for (const name of readdirSync(exports)) setImmutable(`${exports}/${name}`, false);
  rmSync(store, { recursive: true, force: true });
}

export async function withExport(directory: string): Promise<string> {
  try {
    await using store = await Store.open(directory);
    const ref = store.refs.find(EXPORTED);
    if (ref === undefined) throw new Error("no layer to export");
    const key = exportKey(store.refs.treeOf(ref), null);
    await store.exports.ensure([key]);
    const home = store.exports.home(key);
    setImmutable(home, false);
    return home;
  } finally {
    await unmountBelow(directory);
  }
}

export interface ReadBack extends Expected {
  readonly upper: ReadonlyMap<string, string>;
  /** What could not be read, by name and path: "still: etc/file-1: CHUNK_CORRUPT". */
  readonly problems: readonly string[];
  /** Names of `problems`. */
  readonly hit: ReadonlySet<string>;
}

/** Reads all that these names show. What cannot be read is a problem, if it says so as documented. */
export async function readAll(store: Store, names: readonly string[]): Promise<ReadBack> {
  const trees = new Map<string, Digest>();
  const entries = new Map<string, Map<string, string>>();
  const problems: string[] = [];
  const hit = new Set<string>();
  const known = new Map<Digest, { entries: Map<string, string>; problems: string[] }>();
  const problem = (name: string, what: string, error: unknown): void => {
    problems.push(`${name}: ${what}: ${codeOf(error)}`);
    hit.add(name);
  };
  for (const name of names) {
    try {
      const ref = store.refs.find(name);
      if (ref === undefined) throw new StoreError("NOT_FOUND", { what: name });
      const tree = store.refs.treeOf(ref);
      trees.set(name, tree);
      const read = known.get(tree) ?? readTree(store, tree);
      known.set(tree, read);
      entries.set(name, read.entries);
      for (const what of read.problems) problem(name, what, undefined);
    } catch (error) {
      problem(name, "", error);
    }
  }
  const upper = new Map<string, string>();
  if (names.includes(CHANGED)) {
    try {
      await readView(store, upper, (what, error) => problem(UPPER, what, error));
    } catch (error) {
      problem(UPPER, "", error);
    }
  }
  return { trees, entries, upper, problems, hit };
}

/** In `hit`, what views see of the changed container. */
export const UPPER = "upper";

function readTree(store: Store, tree: Digest): { entries: Map<string, string>; problems: string[] } {
  const entries = new Map<string, string>();
  const problems: string[] = [];
  const pending = [""];
  try {
    const { root } = store.trees.tree(tree);
    const directories = new Map<string, Extract<Node, { type: "directory" }>>([["", root]]);
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      const directory = directories.get(path)!;
      try {
        for (const [name, node] of store.trees.entries(directory.listing)) {
          const below = path === "" ? name : `${path}/${name}`;
          if (node.type === "directory") {
            directories.set(below, node);
            pending.push(below);
          }
          try {
            entries.set(below, signatureOf(store, node));
          } catch (error) {
            problems.push(`${below}: ${codeOf(error)}`);
          }
        }
      } catch (error) {
        problems.push(`${path}/: ${codeOf(error)}`);
      }
    }
  } catch (error) {
    problems.push(codeOf(error));
  }
  return { entries, problems };
}

function signatureOf(store: Store, node: Node): string {
  if (node.type !== "file") return JSON.stringify({ ...node, listing: undefined });
  const pieces: Buffer[] = [];
  // They are borrowed until the next one.
  for (const piece of store.content.pieces(node.content))
    pieces.push(typeof piece === "number" ? Buffer.alloc(piece) : Buffer.from(piece));
  return `${JSON.stringify({ ...node, content: node.content.size })} ${digestOf(Buffer.concat(pieces))}`;
}

async function readView(
  store: Store,
  found: Map<string, string>,
  problem: (what: string, error: unknown) => void,
): Promise<void> {
  await using view = await openContainer({ store, command: "reading back" }, { name: CHANGED });
  const pending = ["/"];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    let names: string[];
    try {
      names = view.readdirSync(path);
    } catch (error) {
      problem(path, error);
      continue;
    }
    for (const name of names) {
      const below = `${path === "/" ? "" : path}/${name}`;
      try {
        const stats = view.lstatSync(below);
        if (stats.isDirectory()) pending.push(below);
        const bytes = stats.isFile() ? digestOf(view.readFileSync(below)) : "";
        found.set(below, `${stats.mode} ${stats.size} ${bytes}`);
      } catch (error) {
        problem(below, error);
      }
    }
  }
}

/** @throws what is no failure that is documented for damage */
function codeOf(error: unknown): string {
  if (error === undefined) return "damaged";
  if (error instanceof StoreError) return (error as StoreError).code;
  const code = errnoOf(error) ?? (error instanceof Error && "code" in error ? String(error.code) : undefined);
  if (code === "EIO" || code === "LEVEL_CORRUPTION") return code;
  throw error instanceof Error ? error : new Error("no error", { cause: error });
}

/** What was read and is not what it should be: never to happen, whatever is damaged. */
export function wrongIn(read: ReadBack, { trees, entries, upper }: Expected): string[] {
  const wrong: string[] = [];
  for (const [name, tree] of read.trees) if (trees.get(name) !== tree) wrong.push(`${name} is another tree`);
  for (const [name, found] of read.entries)
    for (const [path, signature] of found)
      if (entries.get(name)?.get(path) !== signature) wrong.push(`${name}: ${path} reads as something else`);
  for (const [path, signature] of read.upper)
    if (upper !== undefined && upper.get(path) !== signature)
      wrong.push(`${CHANGED}: ${path} reads as something else in the view`);
  return wrong;
}

/** What should be there and is not, though nothing says that it cannot be read. */
export function missingIn(read: ReadBack, expected: Expected): string[] {
  const missing: string[] = [];
  for (const [name, entries] of expected.entries) {
    if (read.hit.has(name)) continue;
    const found = read.entries.get(name)?.size ?? 0;
    if (found !== entries.size) missing.push(`${name} shows ${found} of ${entries.size} entries`);
  }
  const entries = expected.upper?.size;
  if (entries !== undefined && !read.hit.has(UPPER) && read.upper.size !== entries)
    missing.push(`the view shows ${read.upper.size} of ${entries} entries`);
  return missing;
}

export function filesIn(directory: string): string[] {
  return readdirSync(directory).sort();
}
