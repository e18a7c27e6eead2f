import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fsck, Store } from "../../src/index.ts";
import type { Fscked } from "../../src/index.ts";
import { errnoOf, StoreError } from "../../src/errors.ts";
import type { Digest } from "../../src/model/digest.ts";
import { unmountBelow } from "../support/temporary.ts";
import { damage, DAMAGE_KINDS } from "./damage-cases.ts";
import type { DamageDone } from "./damage-cases.ts";
import { Random } from "./damage-random.ts";
import { copyStore, discard, makeScene, missingIn, NAMES, readAll, UPPER, wrongIn } from "./damage-scene.ts";
import type { Expected, ReadBack, Scene } from "./damage-scene.ts";

export interface CaseResult {
  readonly seed: number;
  readonly done: DamageDone;
  readonly detected: boolean;
  /** All is as it was. */
  readonly healed: boolean;
  readonly failures: readonly string[];
}

/**
 * Damages a store again and again, each time a copy and one thing of it, and holds what follows against what is promised: damage is noticed,
 * nothing wrong is read, what is not hit can be read, and what a second store or the source has is as it was after a repair.
 */
export async function runDamageCampaign(
  path: string,
  { cases, seed }: { readonly cases: number; readonly seed: number },
  onCase: (result: CaseResult) => void,
): Promise<void> {
  const scene = await makeScene(path, new Random(seed));
  for (let i = 0; i < cases; i++) onCase(await runCase(scene, seed + i, DAMAGE_KINDS[i % DAMAGE_KINDS.length]!));
}

async function runCase(scene: Scene, seed: number, kind: string): Promise<CaseResult> {
  const random = new Random(seed);
  const [store, again] = [copyStore(scene, "case"), `${scene.path}/again`];
  const done = await damage(store, kind, random);
  const failures: string[] = [];
  try {
    const looked = await look(scene, store, done, failures);
    discard(again);
    cpSync(store, again, { recursive: true });
    const opened = await openAsUsual(scene, again, done, failures);
    const detected = looked.found.damage.length > 0 || opened === undefined || opened.problems.length > 0;
    if (done.matters && !detected) failures.push("nothing noticed it");
    if (done.matters && looked.found.damage.length === 0) failures.push("fsck did not notice it");
    // A tree's bytes are in the directory as well.
    const from = kind.startsWith("chunks") && random.below(2) === 0 ? scene.source : scene.other;
    const healed = await mend(scene, store, from, done, looked.read, failures);
    return { seed, done, detected, healed, failures };
  } catch (error) {
    failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return { seed, done, detected: false, healed: false, failures };
  } finally {
    await unmountBelow(scene.path);
  }
}

interface Looked {
  readonly found: Fscked;
  readonly read: ReadBack;
}

async function look(scene: Scene, directory: string, done: DamageDone, failures: string[]): Promise<Looked> {
  await using store = await Store.open(directory, { damaged: "look" });
  const found = await fsck({ store, command: "fsck" }, { deep: true });
  const read = await readAll(store, [...scene.expected.trees.keys()]);
  failures.push(...wrongIn(read, expectedOf(scene, done)).map((what) => `opened to look: ${what}`));
  // Whole names may be lost: that is told by their records.
  const told = new Set(found.refs.map(({ name, type }) => (type === "upper" ? UPPER : name)));
  const isNameless = found.damage.some(({ kind }) => kind === "file" || kind === "record" || kind === "upper");
  for (const name of read.hit)
    if (!told.has(name) && !isNameless) failures.push(`${name} is hit, and fsck did not say so`);
  if (!isNameless && done.matters)
    failures.push(...missingIn(read, scene.expected).map((what) => `opened to look: ${what}`));
  return { found, read };
}

/** @returns undefined if the store does not open */
async function openAsUsual(
  scene: Scene,
  directory: string,
  done: DamageDone,
  failures: string[],
): Promise<ReadBack | undefined> {
  const read = /table$/.test(done.kind) ? openInChild(directory, failures) : await openHere(directory, failures);
  if (read === undefined) return undefined;
  // What leaves no trace, not even in a file, is what no file's damage does.
  const expected = done.kind.startsWith("record: upper") && !done.matters ? expectedOf(scene, done) : scene.expected;
  failures.push(...wrongIn(read, expected).map((what) => `opened as usual: ${what}`));
  return read;
}

async function openHere(directory: string, failures: string[]): Promise<ReadBack | undefined> {
  let store: Store;
  try {
    store = await Store.open(directory);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    requireRemedy(error as StoreError, failures);
    return undefined;
  }
  await using _store = store;
  return await readAll(store, NAMES);
}

function openInChild(directory: string, failures: string[]): ReadBack | undefined {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...process.execArgv, OPEN, directory], {
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  if (signal === "SIGABRT" && stderr.includes("leveldb")) return undefined;
  if (status !== 0) throw new Error(`the process that opened it: ${status} ${signal} ${stderr}`);
  const said = JSON.parse(stdout) as Told | { code: string; hint?: string; message: string };
  if ("code" in said) {
    requireRemedy(said, failures);
    return undefined;
  }
  const { trees, entries, upper, problems, hit } = said;
  return {
    trees: new Map(trees),
    entries: new Map(entries.map(([name, found]) => [name, new Map(found)])),
    upper: new Map(upper),
    problems,
    hit: new Set(hit),
  };
}

const OPEN = fileURLToPath(new URL("damage-open.ts", import.meta.url));

/** What `damage-open.ts` says. */
interface Told {
  readonly trees: [string, Digest][];
  readonly entries: [string, [string, string][]][];
  readonly upper: [string, string][];
  readonly problems: string[];
  readonly hit: string[];
}

function requireRemedy(
  { code, hint, message }: { readonly code: string; readonly hint?: string | undefined; readonly message: string },
  failures: string[],
): void {
  const says = code === "FORMAT_INVALID" ? hint?.includes("fsck") === true : code === "FORMAT_NEWER";
  if (!says) failures.push(`opening says ${code}: ${message} (${hint})`);
}

/** Without what views changed where that may be lost: then it may be what it was before, in part. */
function expectedOf({ expected }: Scene, { mayLose }: DamageDone): Expected {
  return mayLose === undefined ? expected : { ...expected, upper: undefined };
}

/** @returns whether all is as it was */
async function mend(
  scene: Scene,
  directory: string,
  from: string,
  done: DamageDone,
  before: ReadBack,
  failures: string[],
): Promise<boolean> {
  const names = [...scene.expected.trees.keys()];
  let mended: Fscked;
  {
    await using store = await Store.open(directory, { damaged: "mend" });
    mended = await fsck({ store, command: "fsck" }, { deep: true, repair: true, from: [from] });
  }
  let read: ReadBack;
  try {
    await using store = await Store.open(directory);
    read = await readAll(store, names);
  } catch (error) {
    if (!(error instanceof StoreError) && errnoOf(error) === undefined) throw error;
    failures.push(`after the repair it does not open: ${String(error)}`);
    return false;
  }
  failures.push(...wrongIn(read, expectedOf(scene, done)).map((what) => `after the repair: ${what}`));
  const lost = new Set([...read.hit, ...missingIn(read, scene.expected).map((what) => what.split(" ")[0]!)]);
  const isWhole = lost.size === 0;
  for (const problem of read.problems) {
    const isLost = done.mayLose === "names" ? problem.endsWith(": NOT_FOUND") : done.mayLose === "upper";
    if (!isLost) failures.push(`after the repair ${problem}`);
  }
  // What views changed is in no other place.
  const left = mended.damage.filter(({ kind, what }) => kind !== "upper" && !what.includes("/uppers"));
  for (const { what, reason } of left) failures.push(`after the repair: ${what}: ${reason}`);
  for (const name of read.hit) if (!before.hit.has(name)) failures.push(`the repair made it worse: ${name}`);
  return isWhole;
}
